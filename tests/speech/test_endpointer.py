"""The endpointer, from scripts of probabilities: '_' is silence, 'S' is speech."""

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
import pytest

from distil_whisper_ros.core.audio_format import frame_count, FRAME_DURATION
from distil_whisper_ros.core.settings import UtteranceSettings
from distil_whisper_ros.core.types import Ending
from distil_whisper_ros.speech.endpointer import DELAY, Endpointer, ONSET_AGE

FRAME = FRAME_DURATION
SHORT = UtteranceSettings(
    wait_for_speech=20 * FRAME,
    max_duration=40 * FRAME,
    end_silence=5 * FRAME,
    min_speech=2 * FRAME,
)


def run(script: str, settings=SHORT, pre_roll=0.0):
    """Feed a script; return the ending, the frames taken, and the endpointer."""
    endpointer = Endpointer(settings, pre_roll)
    for symbol in script:
        ending = endpointer.step({'_': 0.02, 'S': 0.95, 'h': 0.42}[symbol])
        if ending is not None:
            return ending, endpointer.index, endpointer
    return None, endpointer.index, endpointer


@pytest.mark.parametrize(
    ('script', 'ending', 'frames'),
    [
        ('_' * 30, Ending.NO_SPEECH, 22),
        ('____SSSSSSSS_____', Ending.SILENCE, 17),
        ('SSSSSSSS____SSSS_____', Ending.SILENCE, 21),  # a pause that is too short
        ('_S__S__S' * 4, Ending.NO_SPEECH, 22),  # clicks
        ('S' * 60, Ending.MAX_DURATION, 40),
        ('_' * 10 + 'S' * 60, Ending.MAX_DURATION, 50),  # waiting does not count
        ('____SSSS' + 'h' * 60, Ending.MAX_DURATION, 44),  # lower is enough to go on
        ('h' * 30, Ending.NO_SPEECH, 22),  # but not to begin
        ('___SSSSSSS', None, 10),
    ],
)
def test_endings(script, ending, frames):
    assert run(script)[:2] == (ending, frames)


def test_speech_is_found_where_it_is():
    _, _, endpointer = run('____SSSSSSSS_____')
    assert (endpointer.speech_start, endpointer.speech_end, endpointer.voiced) == (4, 12, 8)


def test_someone_who_begins_at_the_last_moment_is_heard():
    ending, _, endpointer = run('_' * 19 + 'S' * 8 + '_' * 5)
    assert ending is Ending.SILENCE
    assert endpointer.voiced == 8


def test_too_little_speech_goes_back_to_waiting():
    settings = UtteranceSettings(
        wait_for_speech=40 * FRAME, end_silence=5 * FRAME, min_speech=6 * FRAME
    )
    ending, _, endpointer = run('__SSS' + '_' * 6 + 'SSSSSSSS_____', settings)
    assert ending is Ending.SILENCE
    assert endpointer.speech_start == 11


def test_pre_roll_counts_as_duration():
    assert run('_' * 10 + 'S' * 60, pre_roll=5 * FRAME)[:2] == (Ending.MAX_DURATION, 45)


def test_without_endpointing_the_time_is_fixed():
    settings = UtteranceSettings(endpointing=False, max_duration=30 * FRAME)
    for script in ('_' * 60, 'SSSS' + '_' * 60, 'S' * 60):
        assert run(script, settings)[:2] == (Ending.MAX_DURATION, 30)


@given(
    st.lists(st.floats(0, 1), min_size=400, max_size=400),
    st.floats(0.5, 4.0),
    st.floats(0.1, 1.0),
    st.floats(0.1, 3.0),
    st.booleans(),
)
@hypothesis_settings(deadline=None, max_examples=60)
def test_always_ends_and_never_exceeds_the_limits(
    probabilities, longest, silence, wait, endpointing
):
    settings = UtteranceSettings(
        endpointing=endpointing, max_duration=longest, end_silence=silence, wait_for_speech=wait
    )
    endpointer = Endpointer(settings)
    endings = [endpointer.step(p) for p in probabilities[:1]]
    for probability in probabilities[1:]:
        if endings[-1] is not None:
            break
        endings.append(endpointer.step(probability))
    start, end = endpointer.speech_start, endpointer.speech_end
    if start is not None and end is not None:
        assert 0 <= start < end <= endpointer.index
        assert 0 < endpointer.voiced <= end - start
        assert (endpointer.index - start) * FRAME <= longest + 1e-9
    if endings[-1] is Ending.SILENCE:
        assert endpointer.pause == frame_count(silence)
    if endings[-1] is Ending.NO_SPEECH:
        assert not endpointer.speaking
    if not endpointing:
        assert endpointer.index * FRAME <= longest + 1e-9


def test_an_onset_that_goes_on_and_off_begins_where_frames_are_still_kept():
    """Two voiced frames and then every second one: the first of them is long gone."""
    patient = UtteranceSettings(wait_for_speech=1000 * FRAME, max_duration=40 * FRAME)
    endpointer = Endpointer(patient)
    for symbol in 'SS' + '_S' * 200 + 'SS':
        endpointer.step({'_': 0.02, 'S': 0.95}[symbol])
        if endpointer.speaking:
            break
    assert endpointer.speech_start is None or (
        endpointer.index - endpointer.speech_start <= ONSET_AGE + 1
    )


@hypothesis_settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.3, 0.4, 0.6, 1.0, float('nan')]), min_size=1))
def test_every_utterance_ends_within_its_frames(pattern):
    """Whatever voice activity says, again and again."""
    endpointer = Endpointer(SHORT)
    most = frame_count(SHORT.wait_for_speech) + DELAY + ONSET_AGE + frame_count(SHORT.max_duration)
    for index in range(most + 1):
        if endpointer.step(pattern[index % len(pattern)]) is not None:
            return
    raise AssertionError('it goes on for ever')


def test_speech_that_began_within_the_time_counts():
    ending, frames, endpointer = run('_' * 21 + 'S' * 10 + '_' * 6)
    assert ending is Ending.SILENCE
    assert endpointer.speech_start == 21


def test_it_may_wait_for_ever():
    endpointer = Endpointer(SHORT, waits_forever=True)
    assert all(endpointer.step(0.02) is None for _ in range(5000))
