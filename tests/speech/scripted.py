"""A recognizer that is fed by scripts: sources, voice activity, an observer, and waiting."""

import threading
import time

import numpy as np

from distil_whisper_ros.audio.source import SourceHealth
from distil_whisper_ros.core.audio_format import (
    Frame,
    frame_count,
    FRAME_DURATION,
    FRAME_LENGTH,
)
from distil_whisper_ros.core.errors import DeviceError
from distil_whisper_ros.core.scheduler import Scheduler
from distil_whisper_ros.core.settings import settings_from
from distil_whisper_ros.core.types import Hypothesis, Segment
from distil_whisper_ros.speech.recognizer import Recognizer
from distil_whisper_ros.speech.state import Lifecycle, StateMachine
from distil_whisper_ros.speech.utterance_buffer import MARGIN

BEHIND = frame_count(MARGIN)  # frames of the pause that an utterance keeps

SETTINGS = settings_from(
    {
        'microphone.pre_roll': 5 * FRAME_DURATION,
        'utterance.wait_for_speech': 20 * FRAME_DURATION,
        'utterance.end_silence': 6 * FRAME_DURATION,
    }
)


TONE = np.array([1, -1] * (FRAME_LENGTH // 2), np.float32)


class Script:
    """An AudioSource: 'S' is a frame of speech, '_' of silence, '.' no frame, '!' a loss."""

    live = True

    def __init__(self, script: str) -> None:
        self.script = script
        self.ended = threading.Event()
        self.closed = False
        self.lost = False

    def open(self) -> None:
        pass

    def begin(self) -> None:
        if self.lost:
            raise DeviceError('the microphone is gone')
        self._position = 0

    def wake(self) -> None:
        pass

    def read(self, wait_for=1):
        if self._position >= len(self.script):
            raise EOFError
        symbol = self.script[self._position]
        if symbol == '.':
            time.sleep(0.005)
            return None
        if symbol == '!':
            self.lost = True
            raise DeviceError('the microphone is gone')
        self._position += 1
        value = 0.5 if symbol == 'S' else 0.001
        return Frame(TONE * np.float32(value), self._position * FRAME_DURATION)

    def end(self) -> None:
        self.ended.set()

    def close(self) -> None:
        self.closed = True

    def health(self) -> SourceHealth:
        return SourceHealth('script', open=not self.lost, problem='gone' if self.lost else '')


class Loudness:
    """A voice activity that takes loud frames for speech."""

    def __call__(self, frame) -> float:
        return 0.95 if frame[0] > 0.1 else 0.02

    def reset(self) -> None:
        pass


class Notes:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.states, self.transcripts, self.failures, self.partial = [], [], [], []
        self.reads_along = False

    def on_state(self, state, detail, facts) -> None:
        self.states.append(state)

    def on_transcript(self, transcript) -> None:
        self.transcripts.append(transcript)

    def on_partial(self, request, text) -> None:
        self.partial.append(text)

    def wants_partial(self) -> bool:
        return self.reads_along

    def on_failure(self, error) -> None:
        self.failures.append(error)


def said(utterance, *_) -> Hypothesis:
    return Hypothesis((Segment('go forward', 0.0, utterance.duration, -0.1, 0.01, 0.8),))


def with_settings(**more):
    values = {
        'microphone.pre_roll': 5 * FRAME_DURATION,
        'utterance.wait_for_speech': 20 * FRAME_DURATION,
        'utterance.end_silence': 6 * FRAME_DURATION,
        **{name.replace('__', '.'): value for name, value in more.items()},
    }
    return settings_from(values)


class Stream:
    """A live AudioSource that a test feeds: 'S' is a frame of speech, '_' of silence."""

    live = True

    def __init__(self) -> None:
        self.opened = 0
        self.condition = threading.Condition()
        self.frames: list[Frame] = []
        self.listening = False
        self.lost = False

    def open(self) -> None:
        self.opened += 1

    def say(self, script: str, moment: float | None = None) -> None:
        with self.condition:
            for symbol in script:
                value = 0.5 if symbol == 'S' else 0.001
                samples = TONE * np.float32(value)
                self.frames.append(Frame(samples, time.monotonic() if moment is None else moment))
            self.condition.notify()

    def begin(self) -> None:
        if self.lost:
            raise DeviceError('the microphone is gone')
        self.listening = True

    def wake(self) -> None:
        pass

    def read(self, wait_for=1):
        if self.lost:
            raise DeviceError('the microphone is gone')
        with self.condition:
            if not self.frames:
                self.condition.wait(0.01)
            return self.frames.pop(0) if self.frames else None

    def end(self) -> None:
        self.listening = False

    def close(self) -> None:
        self.opened -= 1

    def health(self) -> SourceHealth:
        gone = 'the microphone is gone' if self.lost else ''
        return SourceHealth('stream', open=self.opened > 0 and not self.lost, problem=gone)

    def wait_empty(self) -> None:
        deadline = time.monotonic() + 5
        while self.frames and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(0.03)


def until(condition, what='it', timeout=5.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f'{what} did not happen'
        time.sleep(0.002)


def build(source, notes, transcribe=said, voice_activity=None, **more) -> Recognizer:
    """Return a recognizer with a scheduler of its own, whose states `notes` remembers."""
    machine = StateMachine(notes.on_state, notes.on_failure)
    machine.update(lifecycle=Lifecycle.LOADING)
    machine.update(lifecycle=Lifecycle.INACTIVE)
    recognizer = Recognizer(
        source,
        voice_activity or Loudness(),
        transcribe,
        notes,
        Scheduler(notes.on_failure),
        machine,
        **more,
    )
    recognizer.start()
    machine.update(lifecycle=Lifecycle.ACTIVE)
    notes.states.clear()
    return recognizer
