"""Eight threads call everything in random order, while a checker watches the invariants."""

from collections import Counter
import os
import random
import sys
import threading
import time

import numpy as np
import pytest
from scripted import build, Loudness, Notes, Stream, until, with_settings

from distil_whisper_ros.core.audio_format import Frame, FRAME_LENGTH
from distil_whisper_ros.core.errors import DeviceError, SpeechError
from distil_whisper_ros.core.types import Hypothesis, Outcome, Segment, State

STEPS = int(os.environ.get('STRESS_STEPS', 10_000))
THREADS = 8


class Microphone(Stream):
    """A live source that counts how often it is open, and speaks random sentences for ever."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)
        self._left, self._loud = 0, False
        self.most_open = 0

    def open(self) -> None:
        super().open()
        self.most_open = max(self.most_open, self.opened)

    def close(self) -> None:
        self.opened = 0

    def begin(self) -> None:
        if not self.opened:
            raise DeviceError('the microphone is closed')

    def read(self, wait_for=1):
        if not self.opened:
            raise DeviceError('the microphone is closed')
        if not self._left:
            self._loud = not self._loud
            self._left = self._random.randint(4, 40) if self._loud else self._random.randint(1, 20)
        self._left -= 1
        time.sleep(0.0002)
        value = 0.5 if self._loud else 0.001
        return Frame(np.full(FRAME_LENGTH, value, np.float32), time.monotonic())


class Watcher(Notes):
    """Remembers how often each id was told, and whether anything was told while muted."""

    def __init__(self) -> None:
        super().__init__()
        self.told: Counter[int] = Counter()
        self.reads_along = True

    def on_transcript(self, transcript) -> None:
        self.told[transcript.id] += 1
        super().on_transcript(transcript)


def walk(recognizer, requests, errors, seed: int, steps: int) -> None:
    """Take random steps."""
    choice = random.Random(seed)
    mine = []

    def record() -> None:
        settings = with_settings(
            requests__policy=choice.choice(['refuse', 'refuse', 'queue', 'queue', 'preempt']),
            utterance__max_duration=choice.choice([0.5, 10.0]),
            partial__period=0.1,
        )
        mine.append(recognizer.record(settings, partial=choice.random() < 0.5))
        requests.append(mine[-1])

    def self_speech() -> None:
        recognizer.self_speech.begin('say')
        recognizer.self_speech.end('say', choice.choice([0.0, 0.01]))

    actions = {
        record: 40,
        recognizer.cancel: 1,
        (lambda: mine and recognizer.cancel(choice.choice(mine))): 4,
        recognizer.stop: 4,
        (lambda: recognizer.set_muted(True)): 1,
        (lambda: recognizer.set_muted(False)): 10,
        (lambda: recognizer.set_hands_free(with_settings)): 2,
        (lambda: recognizer.set_hands_free(None)): 2,
        self_speech: 1,
        (lambda: time.sleep(choice.random() * 0.05)): 35,
    }
    for _ in range(steps):
        (action,) = choice.choices(list(actions), list(actions.values()))
        try:
            action()
        except SpeechError:
            pass  # busy, or gone: an answer
        except Exception as error:
            errors.append(error)


def transcribing(seed: int):
    """Return a transcriber, a quarter of whose texts the filter rejects: requests wait on."""
    choice = random.Random(seed)

    def transcribe(utterance, settings, context):
        for _ in range(5):
            context.check()
            time.sleep(0.0005)
        probability = -3.0 if choice.random() < 0.25 else -0.1
        return Hypothesis((Segment('go forward', 0.0, 1.0, probability, 0.01, 0.8),))

    return transcribe


@pytest.fixture
def hurried():
    """Switch threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.timeout(600)
@pytest.mark.parametrize('seed', [1, 2])
def test_random_steps_of_many_threads(hurried, seed):
    microphone, watcher = Microphone(seed), Watcher()
    recognizer = build(microphone, watcher, transcribing(seed), Loudness())
    requests, errors = [], []
    threads = [
        threading.Thread(
            target=walk,
            args=(recognizer, requests, errors, 100 * seed + n, STEPS // THREADS),
        )
        for n in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
        assert not thread.is_alive(), 'a call hangs'
    assert errors == []
    # Whatever came before, it works.
    recognizer.set_hands_free(None)
    recognizer.set_muted(False)
    recognizer.cancel()
    deadline = time.monotonic() + 30
    while True:
        try:
            last = recognizer.record(with_settings(requests__policy='preempt'))
        except SpeechError:
            assert time.monotonic() < deadline
            time.sleep(0.01)
            continue
        if last.result(30).outcome is Outcome.TRANSCRIBED:
            break
        assert time.monotonic() < deadline, 'it does not hear any more'
    outcomes = Counter(request.result(30).outcome for request in requests)
    assert len({request.id for request in requests}) == len(requests)
    assert outcomes[Outcome.TRANSCRIBED] and outcomes[Outcome.CANCELED], outcomes
    assert outcomes[Outcome.FAILED] == 0
    assert max(watcher.told.values()) == 1, 'something was published twice'
    assert watcher.failures == []
    assert microphone.most_open == 1
    recognizer.set_muted(True)
    assert microphone.opened == 0
    until(lambda: recognizer._machine.state is State.MUTED)
    recognizer.close()
    assert not recognizer._listener.is_alive()
    assert not recognizer._answerer.is_alive()


@pytest.mark.timeout(300)
@pytest.mark.parametrize('seed', range(10))
def test_closing_in_the_middle_of_it_ends_every_request(hurried, seed):
    microphone, watcher = Microphone(seed), Watcher()
    recognizer = build(microphone, watcher, transcribing(seed), Loudness())
    requests, errors = [], []
    threads = [
        threading.Thread(target=walk, args=(recognizer, requests, errors, 100 * seed + n, 60))
        for n in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    time.sleep(random.Random(seed).random())
    recognizer.close()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), 'a call hangs'
    assert errors == []
    assert all(request.result(10) for request in requests)
    assert max(watcher.told.values(), default=1) == 1
    assert watcher.failures == []
    assert microphone.opened == 0
    assert not recognizer._listener.is_alive()
    assert not recognizer._answerer.is_alive()
