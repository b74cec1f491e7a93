"""A recording as an audio source."""

from collections.abc import Callable
import threading
import time

import numpy as np

from ..core.audio_format import Frame, FRAME_DURATION, FRAME_LENGTH, SAMPLE_RATE, Samples
from ..core.errors import FileError
from .channels import ALL
from .levels import LevelMeter
from .recordings import load_recording, Recording
from .source import SourceHealth


class FileSource:
    """An AudioSource that plays a recording from its beginning at each request."""

    def __init__(
        self,
        path: str,
        realtime: bool = False,
        channel: int = ALL,
        on_notice: Callable[[str], None] = lambda notice: None,
    ) -> None:
        """With `realtime`, frames come as fast as they were spoken.

        `channel` is the one to use, from 0, or ALL. `on_notice` is called with what is odd about
        the recording, in one line, when it is opened.
        """
        self._path = path
        self._realtime = realtime
        self._channel = channel
        self._on_notice = on_notice
        self._notice = ''
        self._format = SAMPLE_RATE, 1
        self._lock = threading.Lock()
        self._samples: Samples = np.empty(0, np.float32)
        self._meter = LevelMeter()
        self._next: int | None = None  # number of the next frame; None between utterances
        self._began = 0.0  # capture time of the first sample

    @property
    def live(self) -> bool:
        """Whether frames come as fast as they were spoken."""
        return self._realtime

    def open(self) -> None:
        """Read the whole recording; raise a FileError if that fails."""
        if not self._path:
            raise FileError(
                'audio.file is empty: name the recording that audio.source "file" plays'
            )
        recording = load_recording(self._path, self._channel)
        notice = noticed(self._path, recording)
        with self._lock:
            self._samples = recording.samples
            self._format = recording.sample_rate, recording.channels
            self._notice = notice
        if notice:
            self._on_notice(notice)

    def begin(self) -> None:
        """Start the recording over."""
        with self._lock:
            self._next = 0
            self._meter = LevelMeter()
            self._began = time.monotonic()
            if not self._realtime:  # as if it had been spoken just now
                self._began -= self._frames * FRAME_DURATION

    @property
    def _frames(self) -> int:
        return -(-len(self._samples) // FRAME_LENGTH)

    def wake(self) -> None:
        """Do nothing: a read takes no longer than until the next frame."""

    def read(self, wait_for: int = 1) -> Frame | None:
        """Return the next frame; raise EOFError after the last one."""
        with self._lock:
            if self._next is None or self._next >= self._frames:
                raise EOFError
            wait = self._time(self._next + 1) - time.monotonic()
            if wait > 0:
                wait = self._time(min(self._next + wait_for, self._frames)) - time.monotonic()
        if wait > 0:
            longest = 0.2 if wait_for > 1 else 0.1
            time.sleep(min(wait, longest))
            if wait > longest:
                return None
        with self._lock:
            if self._next is None or self._next >= self._frames:  # it was closed meanwhile
                raise EOFError
            number, self._next = self._next, self._next + 1
            samples = self._samples[number * FRAME_LENGTH : (number + 1) * FRAME_LENGTH]
            if len(samples) < FRAME_LENGTH:  # the last one
                samples = np.pad(samples, (0, FRAME_LENGTH - len(samples)))
            self._meter.push(samples)
            return Frame(samples, self._time(number))

    def _time(self, number: int) -> float:
        """Return the capture time of a frame, by its number."""
        return self._began + number * FRAME_DURATION

    def end(self) -> None:
        """Stop the recording."""
        with self._lock:
            self._next = None

    def close(self) -> None:
        """Free the recording."""
        with self._lock:
            self._next = None
            self._samples = np.empty(0, np.float32)

    def health(self) -> SourceHealth:
        """Return the recording's name, level, and what is odd about it."""
        return SourceHealth(
            name=self._path,
            open=bool(len(self._samples)),
            problem=self._notice,
            sample_rate=self._format[0],
            channels=self._format[1],
            level=self._meter.level,
        )


def noticed(name: str, recording: Recording) -> str:
    """Return all that is odd about a recording in one line; or ''."""
    notices = '; '.join(recording.notices)
    return f'{name}: {notices}' if notices else ''
