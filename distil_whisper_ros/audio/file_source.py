"""Recordings: WAV, FLAC, OGG and whatever else libsndfile reads, as samples or as a source."""

from collections import deque
import time

from ..core.audio_format import Frame, FRAME_DURATION, SAMPLE_RATE
from ..core.errors import FileError
from .framing import Framer
from .levels import level
from .recordings import read_recording
from .source import SourceHealth


class FileSource:
    """An AudioSource that hears a recording from its beginning at each request."""

    def __init__(self, path: str, realtime: bool = False) -> None:
        """With `realtime`, frames come as fast as they were spoken."""
        self._path = path
        self._realtime = realtime
        self.patient = False
        self._recording: list[Frame] = []
        self._frames: deque[Frame] = deque()
        self._began = 0.0

    @property
    def live(self) -> bool:
        """Whether frames come as fast as they were spoken."""
        return self._realtime

    def open(self) -> None:
        """Read the whole recording; raise a FileError if that cannot be done."""
        if not self._path:
            raise FileError(
                'audio.file is empty: name the recording that audio.source "file" hears'
            )
        samples = read_recording(self._path)
        framer = Framer()
        self._recording = [*framer.push(samples, 0.0), *framer.flush()]

    def begin(self) -> None:
        """Start the recording over."""
        self._began = time.time()
        if not self._realtime:  # as if it had been spoken just now
            self._began -= len(self._recording) * FRAME_DURATION
        self._frames = deque(self._recording)

    def read(self) -> Frame | None:
        """Return the next frame; raise EOFError behind the last."""
        if not self._frames:
            raise EOFError
        wait = self._began + self._frames[0].time + FRAME_DURATION - time.time()
        if wait > 0:
            time.sleep(min(wait, 0.1))
            if wait > 0.1:
                return None
        try:
            frame = self._frames.popleft()
        except IndexError:  # it was closed meanwhile
            raise EOFError from None
        return Frame(frame.samples, self._began + frame.time)

    def end(self) -> None:
        """Stop the recording."""
        self._frames.clear()

    def close(self) -> None:
        """Forget the recording."""
        self._frames.clear()

    def health(self) -> SourceHealth:
        """Return which recording is open."""
        loudest = max((level(f.samples) for f in self._recording), default=-120.0)
        return SourceHealth(
            name=self._path,
            open=bool(self._recording),
            sample_rate=SAMPLE_RATE,
            channels=1,
            level=loudest,
        )
