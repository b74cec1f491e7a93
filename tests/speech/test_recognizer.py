"""The path of an utterance, fed by scripts: busy, stop, cancel, loss; every request ends."""

import threading
import time

import numpy as np
import pytest
from scripted import BEHIND, build, Notes, said, Script, SETTINGS, with_settings

from distil_whisper_ros.core.audio_format import Frame, FRAME_DURATION, FRAME_LENGTH
from distil_whisper_ros.core.errors import BusyError, DeviceError, InactiveError, ModelError
from distil_whisper_ros.core.settings import settings_from
from distil_whisper_ros.core.types import Ending, Hypothesis, Outcome, Segment, State


@pytest.fixture
def make():
    made = []

    def recognizer(script: str, transcribe=said, source=None):
        source, notes = source or Script(script), Notes()
        built = build(source, notes, transcribe)
        made.append((built, notes))
        return built, source, notes

    yield recognizer
    for each, notes in made:
        each.close()
        assert not any('must not become' in str(error) for error in notes.failures)


def test_an_utterance_from_top_to_bottom(make):
    recognizer, source, notes = make('_' * 8 + 'S' * 20 + '_' * 30)
    transcript = recognizer.record(SETTINGS).result(5)
    assert transcript.outcome is Outcome.TRANSCRIBED
    assert transcript.text == 'go forward'
    assert transcript.utterance.ending is Ending.SILENCE
    assert transcript.utterance.voiced == pytest.approx(20 * FRAME_DURATION)
    # 5 frames of pre-roll, 20 of speech, and those of the pause
    assert transcript.utterance.duration == pytest.approx((25 + BEHIND) * FRAME_DURATION)
    assert transcript.utterance.speech_start == pytest.approx(9 * FRAME_DURATION)
    assert transcript.utterance.speech_end == pytest.approx(29 * FRAME_DURATION)
    assert notes.states == [State.WAITING, State.HEARING, State.TRANSCRIBING, State.READY]
    assert notes.transcripts == [transcript]
    assert source.ended.wait(5)


def test_nobody_speaks(make):
    recognizer, _, notes = make('_' * 100)
    transcript = recognizer.record(SETTINGS).result(5)
    assert transcript.outcome is Outcome.NO_SPEECH
    assert 'no speech was heard within 0.64 s' in transcript.reason
    assert 'dBFS' in transcript.reason  # -60 is far too quiet, and it says so
    assert State.TRANSCRIBING not in notes.states


def test_a_second_request_is_refused_at_once(make):
    recognizer, _, _ = make('_' * 5 + '.')
    first = recognizer.record(SETTINGS)
    with pytest.raises(BusyError, match='busy: '):
        recognizer.record(SETTINGS)
    recognizer.cancel()
    assert first.result(5).outcome is Outcome.CANCELED
    assert recognizer.record(SETTINGS) is not None


def test_stop_transcribes_what_was_heard(make):
    recognizer, _, notes = make('_' * 8 + 'S' * 20 + '.')
    future = recognizer.record(SETTINGS)
    while State.HEARING not in notes.states:
        time.sleep(0.005)
    time.sleep(0.1)
    assert recognizer.stop()
    transcript = future.result(5)
    assert transcript.outcome is Outcome.TRANSCRIBED
    assert transcript.utterance.ending is Ending.STOPPED


def test_stop_before_anybody_spoke(make):
    recognizer, _, notes = make('_' * 8 + '.')
    future = recognizer.record(SETTINGS)
    while State.WAITING not in notes.states:
        time.sleep(0.005)
    recognizer.stop()
    assert future.result(5).outcome is Outcome.NO_SPEECH


def test_stop_and_cancel_without_a_request(make):
    recognizer, _, _ = make('')
    assert not recognizer.stop()
    assert not recognizer.cancel()


def test_cancel_while_transcribing_publishes_nothing(make):
    inside, go_on = threading.Event(), threading.Event()

    def slow(utterance, *_):
        inside.set()
        go_on.wait(5)
        return said(utterance)

    recognizer, _, notes = make('S' * 20 + '_' * 30, slow)
    future = recognizer.record(SETTINGS)
    assert inside.wait(5)
    assert recognizer.cancel()
    go_on.set()
    assert future.result(5).outcome is Outcome.CANCELED
    assert not any(t.accepted for t in notes.transcripts)


def test_a_lost_microphone_keeps_what_was_heard(make):
    recognizer, _, notes = make('_' * 8 + 'S' * 20 + '!')
    transcript = recognizer.record(SETTINGS).result(5)
    assert transcript.outcome is Outcome.TRANSCRIBED
    assert transcript.utterance.ending is Ending.MICROPHONE_LOST
    assert transcript.utterance.note == 'the microphone is gone'
    assert notes.states[-1] is State.LOST
    with pytest.raises(DeviceError):
        recognizer.record(SETTINGS)


def test_a_lost_microphone_before_anybody_spoke(make):
    recognizer, _, _ = make('____!')
    transcript = recognizer.record(SETTINGS).result(5)
    assert transcript.outcome is Outcome.MICROPHONE_LOST
    assert transcript.reason == 'the microphone is gone'


def test_a_rejected_text_says_why(make):
    def guess(utterance, *_):
        return Hypothesis((Segment('thank you', 0.0, 1.0, -3.0, 0.9, 0.8),))

    recognizer, _, _ = make('S' * 20 + '_' * 30, guess)
    transcript = recognizer.record(SETTINGS).result(5)
    assert transcript.outcome is Outcome.REJECTED
    assert transcript.text == 'thank you'
    assert 'guesses' in transcript.reason


@pytest.mark.parametrize('error', [ModelError('out of memory'), RuntimeError('surprise')])
def test_a_failure_ends_the_request_and_not_the_recognizer(make, error):
    def fails(utterance, *_):
        raise error

    recognizer, _, notes = make('S' * 20 + '_' * 30, fails)
    transcript = recognizer.record(SETTINGS).result(5)
    assert transcript.outcome is Outcome.FAILED
    assert str(error) in transcript.reason
    assert bool(notes.failures) == isinstance(error, RuntimeError)
    assert recognizer.record(SETTINGS).result(5).outcome is Outcome.FAILED


def test_the_end_of_a_recording_ends_the_utterance(make):
    recognizer, _, _ = make('__SSSSSSSS')
    transcript = recognizer.record(SETTINGS).result(5)
    assert transcript.utterance.ending is Ending.SOURCE_ENDED
    assert transcript.accepted


class Clock(Script):
    """A script in real time, with the clock's own times, as from a microphone."""

    def read(self, wait_for=1):
        frame = super().read()
        time.sleep(0.002)
        return frame and Frame(frame.samples, time.monotonic())


def test_a_pause_is_transcribed_already_and_used_if_it_is_the_end(make):
    lengths = []

    def counts(utterance, *_):
        lengths.append(utterance.duration)
        return said(utterance)

    recognizer, _, _ = make('', counts, Clock('S' * 20 + '_' * 30))
    transcript = recognizer.record(SETTINGS).result(5)
    assert len(lengths) == 1  # at the pause, and not again
    assert transcript.accepted
    assert transcript.utterance.ending is Ending.SILENCE
    assert transcript.utterance.duration == pytest.approx((20 + BEHIND) * FRAME_DURATION)


def test_a_guess_is_discarded_when_the_speaker_goes_on(make):
    settings = settings_from({'utterance.end_silence': 12 * FRAME_DURATION})
    lengths = []

    def counts(utterance, *_):
        lengths.append(round(utterance.duration / FRAME_DURATION))
        return Hypothesis((Segment(f'{lengths[-1]} frames', 0.0, 1.0, -0.1, 0.01, 0.8),))

    recognizer, _, _ = make('', counts, Clock('S' * 20 + '_' * 8 + 'S' * 10 + '_' * 30))
    transcript = recognizer.record(settings).result(5)
    assert lengths == [20 + BEHIND, 38 + BEHIND]
    assert transcript.text == f'{38 + BEHIND} frames'


def test_a_failed_guess_is_a_failed_transcription(make):
    def fails(utterance, *_):
        raise ModelError('out of memory')

    recognizer, _, _ = make('', fails, Clock('S' * 20 + '_' * 30))
    transcript = recognizer.record(SETTINGS).result(5)
    assert transcript.outcome is Outcome.FAILED
    assert transcript.reason == 'out of memory'


def test_without_speculation_only_the_end_is_transcribed(make):
    settings = settings_from(
        {'utterance.end_silence': 12 * FRAME_DURATION, 'utterance.speculative': False}
    )
    lengths = []

    def counts(utterance, *_):
        lengths.append(utterance.duration)
        return said(utterance)

    recognizer, _, _ = make('', counts, Clock('S' * 20 + '_' * 8 + 'S' * 10 + '_' * 30))
    assert recognizer.record(settings).result(5).accepted
    assert len(lengths) == 1


def test_ids_count(make):
    recognizer, _, _ = make('SSSSSSSS')
    assert [recognizer.record(SETTINGS).result(5).id for _ in range(3)] == [1, 2, 3]


def test_closing_ends_the_request_and_refuses_more(make):
    recognizer, source, _ = make('____.')
    future = recognizer.record(SETTINGS)
    recognizer.close()
    assert future.result(5).outcome is Outcome.CANCELED
    assert source.closed
    with pytest.raises(InactiveError):
        recognizer.record(SETTINGS)


def cough_then(text: str):
    """Return a transcriber whose first text is a guess, which the filter rejects."""
    texts = []

    def transcribe(utterance, *_):
        texts.append(text)
        probability = -3.0 if len(texts) == 1 else -0.1
        return Hypothesis((Segment(text, 0.0, utterance.duration, probability, 0.01, 0.8),))

    return transcribe


def test_a_cough_does_not_end_the_request(make):
    script = '_' * 2 + 'S' * 4 + '_' * 7 + 'S' * 15 + '_' * 10
    recognizer, source, notes = make(script, cough_then('go forward'))
    transcript = recognizer.record(with_settings(utterance__wait_for_speech=1.0)).result(5)
    assert transcript.accepted
    assert transcript.utterance.voiced == pytest.approx(15 * FRAME_DURATION)
    assert [t.outcome for t in notes.transcripts] == [Outcome.REJECTED, Outcome.TRANSCRIBED]
    assert notes.transcripts[0].id != notes.transcripts[1].id
    assert recognizer._agenda.wanted() == []


def test_after_the_time_to_wait_a_cough_ends_the_request(make):
    script = '_' * 18 + 'S' * 4 + '_' * 30
    recognizer, _, notes = make(script, cough_then('go forward'))
    transcript = recognizer.record(SETTINGS).result(5)
    assert transcript.outcome is Outcome.REJECTED
    assert len(notes.transcripts) == 1


def test_a_cough_and_then_nothing(make):
    """The reply tells why the sound was no speech, and it is published once."""
    recognizer, _, notes = make('S' * 4 + '_' * 40, cough_then('thanks'))
    transcript = recognizer.record(SETTINGS).result(5)
    assert transcript.outcome is Outcome.REJECTED
    assert notes.transcripts == [transcript]


def test_a_request_that_waits_on_can_be_canceled(make):
    recognizer, _, notes = make('S' * 4 + '_' * 10 + '.', cough_then('thanks'))
    request = recognizer.record(SETTINGS)
    deadline = time.monotonic() + 5
    while not notes.transcripts and time.monotonic() < deadline:
        time.sleep(0.005)
    assert recognizer.cancel(request)
    assert request.result(5).outcome is Outcome.CANCELED


def test_too_long_speech_is_cut_where_it_is_quietest(make):
    """Nothing is lost or heard twice at the cut."""
    script = Script('S' * 200 + '_' * 30)
    quiet = 12  # frames before the end of the first part, there is a breath

    class Breath(Script):
        def read(self, wait_for=1):
            frame = super().read(wait_for)
            if frame and self._position in range(100 - quiet, 100 - quiet + 5):
                return Frame(frame.samples * np.float32(0.3), frame.time)
            return frame

    source = Breath(script.script)
    recognizer, _, notes = make('', said, source)
    settings = with_settings(utterance__max_duration=100 * FRAME_DURATION)
    recognizer.set_hands_free(lambda: settings)
    deadline = time.monotonic() + 5
    while recognizer.hands_free or len(notes.transcripts) < 3:
        assert time.monotonic() < deadline, notes.failures
        time.sleep(0.005)
    heard = [t.utterance for t in notes.transcripts]
    assert heard[0].ending is Ending.MAX_DURATION
    assert abs(round(heard[0].duration / FRAME_DURATION) - (100 - quiet + 2)) <= 2
    total = sum(len(each.samples) for each in heard)
    assert total == (200 + BEHIND) * FRAME_LENGTH
    # The speech behind the cut is that of the next utterance.
    assert all(each.voiced <= each.duration for each in heard)
    assert sum(each.voiced for each in heard) == pytest.approx(200 * FRAME_DURATION)
    for before, after in zip(heard, heard[1:]):
        assert after.time == pytest.approx(before.time + before.duration, abs=1e-6)


@pytest.mark.parametrize('end', ['mute', 'cancel', 'close'])
def test_a_request_ends_though_it_wanted_to_wait_on(end):
    """Mute, cancel or close come while the rejected text is published."""
    source, notes = Script('S' * 4 + '_' * 10 + '.'), Notes()
    recognizer = build(source, notes, cough_then('thanks'))
    take = notes.on_transcript

    def interfere(transcript) -> None:
        take(transcript)
        if end == 'cancel':
            recognizer.cancel()
        else:
            threading.Thread(
                target=lambda: (
                    recognizer.set_muted(True) if end == 'mute' else recognizer.close()
                )
            ).start()
            time.sleep(0.2)

    notes.on_transcript = interfere
    transcript = recognizer.record(SETTINGS).result(10)
    assert transcript.outcome in (Outcome.REJECTED, Outcome.CANCELED, Outcome.MUTED)
    assert len(notes.transcripts) == 1
    recognizer.close()
    assert notes.failures == []
