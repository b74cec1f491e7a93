"""What every live source shares: the pre-roll, the frames that wait, and what is wrong with it."""

from collections import deque
from collections.abc import Callable, Iterable
import threading

from ..core.audio_format import Frame, FRAME_DURATION
from ..core.errors import DeviceError
from .levels import LevelMeter
from .source import SourceHealth

TOGETHER = 4  # frames for which a patient listener wakes up
BUFFER = 60.0  # s of frames kept for a listener that is late


class BufferedSource:
    """Keeps the frames of a device or a network; a subclass delivers them from its thread."""

    live = True

    def __init__(self, name: str, pre_roll: float, on_change: Callable[[str], None]) -> None:
        """`on_change` is told each new problem, and '' when all is well again."""
        self._name = name
        self._on_change = on_change
        self._pre_roll = round(pre_roll / FRAME_DURATION)
        self._condition = threading.Condition()
        self._frames: deque[Frame] = deque(maxlen=round(BUFFER / FRAME_DURATION))
        self._listening = False
        self.patient = True
        self._meter = LevelMeter()
        self._problem = ''  # of the device; the meter has the signal's
        self._reported = ''
        self._well = False
        self._sample_rate = self._channels = 0
        self._overflows = self._restarts = 0
        self._lost = 0.0

    def begin(self) -> None:
        """Begin an utterance with the pre-roll; raise a DeviceError if the device is gone."""
        with self._condition:
            if self._problem:
                raise DeviceError(self._problem)
            self._listening, self.patient = True, False

    def read(self) -> Frame | None:
        """Return the next frame, or None after a tenth of a second (two if patient)."""
        with self._condition:
            if not self._frames:
                if self._problem:
                    raise DeviceError(self._problem)
                self._condition.wait(0.2 if self.patient else 0.1)
            return self._frames.popleft() if self._frames else None

    def end(self) -> None:
        """Keep only the pre-roll from now on."""
        with self._condition:
            self._listening, self.patient = False, True
            self._trim()

    def health(self) -> SourceHealth:
        """Return how the source does."""
        return SourceHealth(
            name=self._name,
            open=self._well and not self._problem,
            problem=self.whats_wrong(),
            sample_rate=self._sample_rate,
            channels=self._channels,
            level=self._meter.level,
            overflows=self._overflows,
            lost=self._lost,
            restarts=self._restarts,
        )

    def whats_wrong(self) -> str:
        """Return the device's problem, or the signal's, or ''."""
        return self._problem or self._meter.problem

    def deliver(self, frames: Iterable[Frame]) -> None:
        """Take new frames."""
        with self._condition:
            for frame in frames:
                self._meter.push(frame.samples)
                if self._listening and len(self._frames) == self._frames.maxlen:
                    self._lost += FRAME_DURATION
                self._frames.append(frame)
            if not self._listening:
                self._trim()
            if not self.patient or len(self._frames) >= TOGETHER:
                self._condition.notify_all()
        self.report()

    def _trim(self) -> None:
        while len(self._frames) > self._pre_roll:
            self._frames.popleft()

    def recover(self) -> None:
        """Take note that the device works, for the first time or again."""
        with self._condition:
            self._well = True
            self._problem = ''
            self._meter = LevelMeter()
            if not self._listening:
                self._frames.clear()
        self.report()

    def fail(self, problem: str) -> None:
        """Take note that the device is gone; a listener gets what was heard, then the problem."""
        with self._condition:
            self._problem = problem
            self._condition.notify_all()
        self.report()

    def report(self) -> None:
        """Tell a change of what is wrong."""
        problem = self.whats_wrong()
        if problem != self._reported:
            self._reported = problem
            self._on_change(problem)
