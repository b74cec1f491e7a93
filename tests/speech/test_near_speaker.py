"""A voice far away does not hold an utterance open, and no word of the near one is lost."""

from far_voice import BEFORE, EARLY, listen, with_television
import numpy as np
import pytest
from robot import RATE
from sounds import speech

from distil_whisper_ros.core.audio_format import FRAME_LENGTH
from distil_whisper_ros.core.types import Ending
from distil_whisper_ros.speech.near_speaker import LEAST, NearSpeaker, SPAN

RNG = np.random.default_rng(0)
DEFAULT = 12.0


def frame(decibels: float) -> np.ndarray:
    return (RNG.normal(0, 1, FRAME_LENGTH) * 10 ** (decibels / 20)).astype(np.float32)


def far(speaker: NearSpeaker, decibels: float, frames: int, spoken=True) -> list[bool]:
    return [speaker.is_far(frame(decibels), spoken) for _ in range(frames)]


def test_what_is_far_below_the_speaker_is_far():
    speaker = NearSpeaker(DEFAULT)
    assert not any(far(speaker, -20, 40))
    assert far(speaker, -35, 20) == [False] * (SPAN - 1) + [True] * (20 - SPAN + 1)
    assert not any(far(speaker, -20, 5))
    assert not any(far(speaker, -29, 40))


def test_too_little_speech_tells_nothing():
    speaker = NearSpeaker(DEFAULT)
    far(speaker, -20, LEAST - 1)
    assert not any(far(speaker, -45, SPAN + 5, spoken=False))


def test_zero_switches_it_off():
    speaker = NearSpeaker(0.0)
    far(speaker, -10, 40)
    assert not any(far(speaker, -60, 40))


def test_a_bang_is_no_loud_speaker():
    speaker = NearSpeaker(DEFAULT)
    far(speaker, -30, 20)
    far(speaker, 0, 1)
    assert not any(far(speaker, -30, 40))


def test_who_walks_away_is_followed():
    speaker = NearSpeaker(DEFAULT)
    for decibels in range(-15, -45, -2):
        assert not any(far(speaker, decibels, 100))


@pytest.mark.parametrize('below', [10, 15, 20])
def test_a_television_does_not_hold_the_utterance_open(below):
    endless = early = 0
    for samples, end in with_television(below):
        ending, found = listen(samples, DEFAULT)
        endless += ending is not Ending.SILENCE
        early += found < end - EARLY
    assert endless <= 2
    assert early <= 2


def test_without_the_rule_it_does():
    samples, _ = next(with_television(15))
    assert listen(samples, 0.0)[0] is Ending.MAX_DURATION


@pytest.mark.parametrize('kind', ['offset', 'rumble'])
def test_offset_and_rumble_change_nothing(kind):
    """As of a cheap sound card, and of a robot's motors."""
    quiet = np.zeros(RATE, np.float32)
    for name, (samples, _) in speech().items():
        samples = np.concatenate((quiet, samples, quiet, quiet))
        times = np.arange(len(samples)) / RATE
        added = 0.2 if kind == 'offset' else 0.2 * np.sin(2 * np.pi * 12 * times)
        ending, end = listen(samples, DEFAULT)
        other_ending, other_end = listen((samples + added).astype(np.float32), DEFAULT)
        assert ending is other_ending is Ending.SILENCE, name
        assert other_end == pytest.approx(end, abs=0.2), name
        assert end > BEFORE
