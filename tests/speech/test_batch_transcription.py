"""Requests that bring their audio: every one ends, also when the model goes."""

import itertools
import threading

import numpy as np
import pytest
from scripted import Loudness, said, with_settings

from distil_whisper_ros.core.errors import BusyError, FormatError, InactiveError, ModelError
from distil_whisper_ros.core.scheduler import Scheduler
from distil_whisper_ros.core.types import Outcome
from distil_whisper_ros.speech.batch_transcription import TranscriptionQueue

SPEECH = np.full((16_000, 1), 0.5, np.float32)


class Model:
    """A transcriber that waits for a gate, and may fail."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.inside = threading.Event()
        self.error: Exception | None = None

    def __call__(self, utterance, settings, context):
        self.inside.set()
        while not self.gate.wait(0.002):
            context.check()
        if self.error is not None:
            raise self.error
        return said(utterance)

    def transcribe_batch(self, utterances, settings, context):
        return [self(each, settings, context) for each in utterances]

    def can_batch(self, settings):
        return False


@pytest.fixture
def queue():
    failures = []
    scheduler = Scheduler()
    made = TranscriptionQueue(
        Model(), Loudness(), scheduler, itertools.count(1), failures.append
    )  # fmt: skip
    made.failures, made.scheduler = failures, scheduler  # type: ignore[attr-defined]
    yield made
    scheduler.close()


def test_audio_becomes_text_with_times_from_its_first_sample(queue):
    queue._transcriber.gate.set()
    silence = np.zeros((8_000, 1), np.float32)
    transcript = queue.transcribe(
        np.concatenate((silence, SPEECH)), 16_000, with_settings()
    ).result(5)
    assert transcript.accepted
    assert transcript.utterance.time == 0.0
    assert transcript.utterance.speech_start == pytest.approx(0.5, abs=0.05)


def test_silence_is_no_speech(queue):
    transcript = queue.transcribe(np.zeros((8_000, 2), np.float32), 16_000, with_settings())
    assert transcript.result(5).outcome is Outcome.NO_SPEECH


@pytest.mark.parametrize(
    ('audio', 'rate', 'words'),
    [
        (SPEECH, 0, 'audio.sample_rate is 0'),
        (SPEECH, 1, 'audio.sample_rate is 1'),
        (SPEECH, 10**9, 'audio.sample_rate'),
        (SPEECH[:0], 16_000, 'audio.data is empty'),
        (np.zeros((10, 65), np.float32), 16_000, 'audio.channels is 65'),
        (np.zeros((601 * 8_000, 1), np.float32), 8_000, 'requests.max_audio_duration'),
    ],
)
def test_sizes_are_checked_before_anything_is_allocated(queue, audio, rate, words):
    with pytest.raises(FormatError, match=words):
        queue.transcribe(audio, rate, with_settings())


def test_beyond_the_queue_a_request_is_refused(queue):
    settings = with_settings(requests__queue_length=2)
    first = queue.transcribe(SPEECH, 16_000, settings)
    assert queue._transcriber.inside.wait(5)
    more = [queue.transcribe(SPEECH, 16_000, settings) for _ in range(2)]
    with pytest.raises(BusyError, match='2 requests wait already'):
        queue.transcribe(SPEECH, 16_000, settings)
    queue._transcriber.gate.set()
    assert [future.result(5).id for future in (first, *more)] == [1, 2, 3]


def test_the_end_answers_what_waits_and_what_is_under_way(queue):
    futures = [queue.transcribe(SPEECH, 16_000, with_settings()) for _ in range(4)]
    assert queue._transcriber.inside.wait(5)
    queue.close()
    queue.scheduler.close()
    for future in futures:
        assert future.result(5).outcome is Outcome.CANCELED
        assert 'the model was unloaded' in future.result().reason
    with pytest.raises(InactiveError):
        queue.transcribe(SPEECH, 16_000, with_settings())


def test_a_scheduler_that_ends_first_leaves_no_request_behind(queue):
    futures = [queue.transcribe(SPEECH, 16_000, with_settings()) for _ in range(4)]
    queue.scheduler.close()
    for future in futures:
        assert future.result(5).outcome is Outcome.CANCELED


@pytest.mark.parametrize('error', [RuntimeError('surprise'), ModelError('out of memory')])
def test_a_failure_ends_one_request_alone(queue, error):
    queue._transcriber.gate.set()
    queue._transcriber.error = error
    failed = queue.transcribe(SPEECH, 16_000, with_settings()).result(5)
    assert failed.outcome is Outcome.FAILED
    assert str(error) in failed.reason
    assert bool(queue.failures) == isinstance(error, RuntimeError)
    queue._transcriber.error = None
    assert queue.transcribe(SPEECH, 16_000, with_settings()).result(5).accepted


def test_a_failure_while_a_batch_is_made_ends_its_request(queue):
    first = queue.transcribe(SPEECH, 16_000, with_settings())
    assert queue._transcriber.inside.wait(5)
    second, third = (queue.transcribe(SPEECH, 16_000, with_settings()) for _ in range(2))

    def fails(settings):
        queue._transcriber.can_batch = lambda settings: False
        raise RuntimeError('surprise')

    queue._transcriber.can_batch = fails
    queue._transcriber.gate.set()
    assert first.result(5).accepted
    assert second.result(5).outcome is Outcome.FAILED
    assert third.result(5).accepted
    assert 'surprise' in str(queue.failures[0])


def test_a_sentence_behind_minutes_of_silence(transcriber):
    """The real model and voice activity; the silence is a quiet room's."""
    from robot import goforward

    from distil_whisper_ros.speech.voice_activity import VoiceActivity

    scheduler = Scheduler()
    try:
        queue = TranscriptionQueue(
            transcriber, VoiceActivity(), scheduler, itertools.count(1)
        )  # fmt: skip
        room = np.random.default_rng(0).normal(0, 1e-3, 500 * 16_000).astype(np.float32)
        audio = np.concatenate((room, goforward()))[:, None]
        transcript = queue.transcribe(audio, 16_000, with_settings()).result(120)
        assert transcript.accepted, transcript.reason
        assert transcript.text.lower() == 'go forward 10 meters.'
        hypothesis = transcript.hypothesis
        assert hypothesis is not None
        (segment,) = hypothesis.segments
        assert segment.words[0].start > 500
        opposite = np.stack([goforward(), -goforward()], 1)
        again = queue.transcribe(opposite, 16_000, with_settings()).result(60)
        assert again.text.lower() == 'go forward 10 meters.'
    finally:
        scheduler.close()
