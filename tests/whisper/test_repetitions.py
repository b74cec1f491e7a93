"""What was said twice comes twice, what the model repeats comes once, and nothing is left out."""

from audio_context import activity
import numpy as np
import pytest
from robot import MODEL, RATE, spoken
from sounds import speech
import torch

from distil_whisper_ros.core.settings import HallucinationFilterSettings, ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.speech.hallucination_filter import rejection
from distil_whisper_ros.speech.words import words
from distil_whisper_ros.whisper.audio_context import FULL_CONTEXT
from distil_whisper_ros.whisper.decoding.fallback import (
    has_too_few_words,
    is_repeated,
    letters,
    may_lack_a_word,
    needs_fallback,
)
from distil_whisper_ros.whisper.transcriber import Transcriber
from distil_whisper_ros.whisper.word_timestamps import said

PAUSE = np.zeros(RATE * 3 // 10, np.float32)
RELIABLE = [-0.1] * 4


@pytest.fixture(scope='module')
def as_delivered():
    return Transcriber(ModelSettings(id=str(MODEL)))


def heard(samples) -> Utterance:
    return Utterance.whole(samples, activity(samples))


def repeated(samples, count: int) -> np.ndarray:
    return np.concatenate([np.concatenate((samples, PAUSE)) for _ in range(count)])


@pytest.mark.parametrize(
    ('text', 'twice'),
    [
        ('5 5', True),
        ('55', True),
        ('Three, three.', True),
        ('Go on. Go on.', True),
        ('stop stop stop', True),
        ('はいはい', True),
        ('', False),
        ('5', False),
        ('1 5 1', False),
        ('Go on. Go on now.', False),
        ('mama', False),
        ('very very good', False),
    ],
)
def test_texts_that_are_the_same_twice(text, twice):
    assert is_repeated(text) == twice
    assert needs_fallback(text, RELIABLE, ended=True) == twice


@pytest.mark.parametrize(
    ('text', 'voiced', 'too_few'),
    [
        ('you', 8.0, True),
        ('Go forward 10 meters.', 8.0, True),
        ('Go forward 10 meters.', 1.8, False),
        ('stop', 0.7, False),
        ('3 1 0 0 2', 2.6, False),
        ('前に進んでください', 2.2, False),
        ('안녕하세요 저는 로봇입니다', 2.6, False),
        ('anything', 0.0, False),  # unknown
    ],
)
def test_texts_that_are_too_short_for_the_speech(text, voiced, too_few):
    assert has_too_few_words(text, voiced) == too_few
    assert needs_fallback(text, RELIABLE, True, voiced) == too_few


@pytest.mark.parametrize(
    ('text', 'voiced', 'lacks'),
    [
        ('5', 0.8, True),
        ('5', 0.7, False),
        ('stop', 0.7, False),
        ('5 5', 0.8, False),
        ('5', 0, False),
    ],
)
def test_one_word_in_the_time_of_two(text, voiced, lacks):
    assert may_lack_a_word(text, voiced) == lacks
    assert needs_fallback(text, RELIABLE, True, voiced) == (lacks or text == '5 5')


def test_a_word_that_is_said_twice_comes_twice(as_delivered):
    (samples,) = (samples for samples, text in speech().values() if text == 'five five')
    assert words(as_delivered(heard(samples)).text) == ['5', '5']


def test_letters():
    assert letters('Go 10!') == 2 + 2 * 4
    assert letters('नमस्ते') == 6
    assert letters('안녕') == 4


def word_list(text: str) -> list[tuple[str, int, int]]:
    return [(word, index, index + 1) for index, word in enumerate(text.split())]


def starts(durations: list[float]) -> list[float]:
    return [0.0, *np.cumsum(durations).tolist()]


@pytest.mark.parametrize(
    ('text', 'durations', 'kept'),
    [
        ('stop stop stop stop', [0.5, 0.4, 0.02, 0.0], [0, 1]),
        ('stop stop stop stop', [0.5, 0.4, 0.3, 0.5], [0, 1, 2, 3]),
        # the path passes three of them at once, in the middle
        ('no No, no! no no yes', [0.5, 0.0, 0.02, 0.02, 0.4, 0.5], [0, 4, 5]),
        ('go on go on go on', [0.3, 0.2, 0.3, 0.2, 0.04, 0.02], [0, 1, 2, 3]),
        # short words of one phrase are no loop
        ('go to the end', [0.3, 0.02, 0.02, 0.5], [0, 1, 2, 3]),
        ('and the and the last', [0.3, 0.3, 0.3, 0.02, 0.5], [0, 1, 2, 3, 4]),
        ('', [], []),
    ],
)
def test_words_that_have_speech_of_their_own(text, durations, kept):
    assert said(word_list(text), starts(durations)) == kept


@pytest.mark.parametrize('word_timestamps', [True, False])
@pytest.mark.parametrize('source', ['machine', 'person'])
def test_the_emergency_comes_through(as_delivered, source, word_timestamps):
    """`word_timestamps` is off for partial text."""
    if source == 'machine':
        samples = spoken('stop! ' * 10, 'en-us', 150)
    else:
        samples = repeated(speech()['goforward'][0], 8)
    utterance = heard(samples)
    settings = ModelSettings(id=str(MODEL), word_timestamps=word_timestamps)
    hypothesis = as_delivered(utterance, settings)
    assert rejection(hypothesis, utterance, HallucinationFilterSettings()) == ''
    found = words(hypothesis.text.casefold())
    if source == 'machine':
        assert set(found) == {'stop'}
        assert 8 <= len(found) <= 15  # tiny.en may lose count, but not the command
    else:
        assert 6 <= found.count('forward') <= 9
        assert found.count('forward') == found.count('meters')


@pytest.mark.parametrize('count', [2, 3])
def test_a_command_said_again_comes_again(as_delivered, count):
    samples = repeated(spoken('turn left', 'en-us', 140), count)
    text = as_delivered(heard(samples)).text
    assert words(text.casefold()).count('left') == count


def test_a_loop_is_cut_to_what_was_said(as_delivered, monkeypatch):
    """Whatever the reason: here the end token is never chosen."""
    samples = speech()['goforward'][0]
    greedy = as_delivered._whisper.decoders.greedy
    suppressed = greedy._suppressed.clone()
    suppressed[greedy.end] = -torch.inf
    monkeypatch.setattr(greedy, '_suppressed', suppressed)
    text = as_delivered(heard(samples)).text
    assert words(text)[:4] == ['Go', 'forward', '10', 'meters']
    assert len(words(text)) <= 5


def test_what_the_model_leaves_out_is_decoded_in_halves(as_delivered, monkeypatch):
    """The model hears eight sentences and writes one, as base does."""
    samples = repeated(speech()['goforward'][0], 4)
    decode = as_delivered._segments.decoder.decode
    sizes = []

    def lazy(clips, languages, before, size, call):
        sizes.append(len(clips[0].samples))
        results = decode(clips, languages, before, size, call)
        if len(clips[0].samples) == len(samples):
            one = decode([clips[0].split(3 * RATE)[0]], [''], before, size, call)
            return one
        return results

    monkeypatch.setattr(as_delivered._segments.decoder, 'decode', lazy)
    hypothesis = as_delivered(heard(samples))
    assert words(hypothesis.text).count('forward') >= 3
    assert hypothesis.redone
    assert sizes[:2] == [len(samples)] * 2 and max(sizes[2:]) < len(samples)


@pytest.mark.parametrize('behind', ['speech', 'silence'])
def test_speech_behind_the_last_word_is_decoded_again(as_delivered, monkeypatch, behind):
    """The model ends the text behind the first of two sentences."""
    first, second = (speech()[name][0] for name in ('librivox/0930', 'goforward'))
    samples = np.concatenate((first, second if behind == 'speech' else np.zeros_like(second)))
    decode = as_delivered._segments.decoder.decode
    sizes = []

    def early(clips, languages, before, size, call):
        sizes.append(size)
        if len(sizes) == 1:
            clips = [clips[0].split(len(first))[0]]
        return decode(clips, languages, before, size, call)

    monkeypatch.setattr(as_delivered._segments.decoder, 'decode', early)
    hypothesis = as_delivered(heard(samples))
    again = behind == 'speech'
    assert words(hypothesis.text).count('meters') == again
    assert hypothesis.redone == again
    assert sizes[1:] == [FULL_CONTEXT] * again


def test_a_loop_that_nobody_said_is_rejected():
    from distil_whisper_ros.core.types import Ending, Hypothesis, Segment

    segment = Segment('thank you. ' * 20, 0.0, 3.0, -0.1, 0.05, 5.0)
    fast = Utterance(np.zeros(48_000, np.float32), 0.0, Ending.SILENCE, voiced=2.0)
    slow = Utterance(np.zeros(480_000, np.float32), 0.0, Ending.SILENCE, voiced=20.0)
    settings = HallucinationFilterSettings(max_words_per_second=50.0)
    assert 'repeats itself' in rejection(Hypothesis((segment,)), fast, settings)
    assert rejection(Hypothesis((segment,)), slow, settings) == ''
    laugh = Segment('ha' * 100, 0.0, 3.0, -0.1, 0.05, 5.0)
    assert 'repeats itself' in rejection(Hypothesis((laugh,)), slow, settings)
