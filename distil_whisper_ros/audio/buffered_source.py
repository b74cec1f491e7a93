"""The base of every live source: it keeps the pre-roll and the frames that wait."""

from collections import deque
from collections.abc import Callable, Iterable
import logging
import math
import threading
import time

from ..core.audio_format import Frame, FRAME_DURATION
from ..core.errors import DeviceError
from .levels import LevelMeter
from .source import SourceHealth

BATCH = 4  # frames that come at once while nobody reads: fewer wake-ups
BUFFER = 60.0  # s of frames kept for a listener that is late
LATE = 1.0  # s between the capture of a frame and its arrival, at most, on a machine that works
STARVED = 5.0  # s that a listener waits for a frame; every source finds its own faults before


class BufferedSource:
    """Keeps the frames of a device or a network; a subclass adds them from its thread."""

    live = True
    knows_capture_times = False
    """Whether the times of its frames are those of this machine's clock, and not estimated."""

    def __init__(self, name: str, pre_roll: float, on_change: Callable[[str], None]) -> None:
        """Call `on_change` with each new problem, and with '' when the last one is gone.

        `pre_roll` is in seconds.
        """
        self._name = name
        self._on_change = on_change
        self._pre_roll = round(pre_roll / FRAME_DURATION)
        self._condition = threading.Condition()
        self._frames: deque[Frame] = deque(maxlen=round(BUFFER / FRAME_DURATION))
        self._listening = False
        self._wait_for = BATCH  # frames that the reader waits for
        self._woken = False
        self._oldest = -math.inf  # capture time of a frame that the utterance may have
        self._latest = 0.0  # when the latest frame came, or the utterance began
        self._meter = LevelMeter()
        self._device_problem = ''  # the meter has the signal's
        self._channel_problem = ''  # the channels cancel each other out
        self._reported = ''
        self._report_lock = threading.Lock()
        self._working = False
        self._sample_rate = self._channels = 0
        self._overflows = self._restarts = 0
        self._lost = 0.0

    def begin(self) -> None:
        """Begin an utterance with the pre-roll; raise a DeviceError if the device is gone.

        What is older does not come any more: after a process or a machine was stopped for a
        while, a request must not hear what was said before it.
        """
        with self._condition:
            if self._device_problem or not self._working:
                raise DeviceError(self._device_problem or f'{self._name} is not open')
            self._listening, self._wait_for = True, 1
            self._latest = time.monotonic()
            if self.knows_capture_times:
                self._oldest = self._latest - self._pre_roll * FRAME_DURATION - LATE
            while self._frames and self._frames[0].time < self._oldest:
                self._frames.popleft()

    def read(self, wait_for: int = 1) -> Frame | None:
        """Return the next frame; see AudioSource."""
        with self._condition:
            self._wait_for = wait_for
            if not self._frames and not self._device_problem:
                self._condition.wait_for(
                    lambda: len(self._frames) >= wait_for or self._device_problem or self._woken,
                    0.2 if wait_for > 1 else 0.1,
                )
            self._woken = False
            if self._frames:
                return self._frames.popleft()
            if self._device_problem:
                raise DeviceError(self._device_problem)
            if self._listening and time.monotonic() - self._latest > STARVED:
                raise DeviceError(
                    f'no audio came from {self._name} for {STARVED:g} s, although it is open'
                    if self._working
                    else f'no audio comes from {self._name}: it is closed'
                )
            return None

    def wake(self) -> None:
        """Let a read that waits return None now."""
        with self._condition:
            self._woken = True
            self._condition.notify_all()

    def end(self) -> None:
        """End an utterance: keep only the pre-roll from now on."""
        with self._condition:
            self._listening, self._wait_for = False, BATCH
            self._trim()

    def health(self) -> SourceHealth:
        """Return the state of the source."""
        return SourceHealth(
            name=self._name,
            open=self._working and not self._device_problem,
            problem=self.problem,
            sample_rate=self._sample_rate,
            channels=self._channels,
            level=self._meter.level,
            overflows=self._overflows,
            lost=self._lost,
            restarts=self._restarts,
        )

    @property
    def problem(self) -> str:
        """The device's problem, or the signal's, or ''."""
        return self._device_problem or self._meter.problem or self._channel_problem

    @property
    def _worth_a_line(self) -> str:
        """The problem as the observer is told of it, each time this changes."""
        return self.problem

    def add_frames(self, frames: Iterable[Frame]) -> None:
        """Add new frames, from the subclass's thread."""
        with self._condition:
            for frame in frames:
                self._meter.push(frame.samples)
                self._latest = time.monotonic()
                if frame.time < self._oldest:
                    continue
                if self._listening and len(self._frames) == self._frames.maxlen:
                    self._lost += FRAME_DURATION
                self._frames.append(frame)
            if not self._listening:
                self._trim()
            if len(self._frames) >= self._wait_for:
                self._condition.notify_all()
        self.report()

    def _trim(self) -> None:
        while len(self._frames) > self._pre_roll:
            self._frames.popleft()

    def set_working(self) -> None:
        """Remember that the device works, for the first time or again."""
        with self._condition:
            self._working = True
            self._device_problem = ''
            self._meter = LevelMeter()
            if not self._listening:
                self._frames.clear()
        self.report()

    def set_problem(self, problem: str) -> None:
        """Remember that the device is gone; a listener gets the frames left, then the problem."""
        with self._condition:
            self._device_problem = problem
            self._condition.notify_all()
        self.report()

    def report(self) -> None:
        """Tell the observer if the problem changed."""
        with self._report_lock:  # not held during the call, which may ask for our health
            problem = self._worth_a_line
            if problem == self._reported:
                return
            self._reported = problem
        self._tell(problem)

    def _tell(self, problem: str) -> None:
        try:
            self._on_change(problem)
        except Exception:  # the observer's fault must not end the thread that delivers audio
            logging.getLogger(__name__).exception('a problem of %s was not reported', self._name)
