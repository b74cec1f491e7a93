"""A microphone elsewhere: blocks that come over a network, to frames.

What a network loses is told by the numbers of the samples or, where a message has none, by the
time stamps. Our own messages carry the samples before theirs once more, so that a lost message
costs nothing; to have it sent again would cost seconds (seen with Fast DDS). A short gap becomes
silence, so that the words behind it stay where they were said; a long one, or a microphone that
was started anew, begins afresh.
"""

from collections.abc import Callable
from dataclasses import dataclass
import time

import numpy as np
import numpy.typing as npt

from ..core.audio_format import Frame, SAMPLE_RATE, Samples
from ..core.errors import DeviceError
from .buffered_source import BufferedSource
from .framing import Framer
from .resampling import Resampler
from .source import SourceHealth

GONE = 2.0  # s without a block after which the publisher is gone
LARGEST_GAP = 1.0  # s that silence stands for
JITTER = 0.1  # s by which stamps may differ without a loss
LOSS_SHOWN = 10.0  # s for which a loss is a problem to report


@dataclass(frozen=True)
class Block:
    """A message's audio."""

    samples: npt.NDArray[np.float32]
    """In [-1, 1], shape (samples, channels)."""
    sample_rate: int
    """In Hz."""
    time: float
    """When the first sample was captured, by the sender's clock, in seconds since the epoch."""
    first_sample: int | None = None
    """Number of the first sample since the microphone was opened, if the sender counts."""
    earlier: npt.NDArray[np.float32] | None = None
    """The samples before these once more, in the same shape."""

    @property
    def duration(self) -> float:
        """Its length in seconds."""
        return len(self.samples) / self.sample_rate


class StreamSource(BufferedSource):
    """An AudioSource that is fed with `push`."""

    def __init__(
        self,
        name: str,
        pre_roll: float,
        on_change: Callable[[str], None] = lambda problem: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`name` is what people know it by: the topic."""
        super().__init__(name, pre_roll, on_change)
        self._clock = clock
        self._framer = Framer()
        self._resampler = Resampler(SAMPLE_RATE)
        self._format = (0, 0)
        self._next: Block | None = None  # the block before, to know what should follow
        self._arrived = clock()
        self._lost_at = -LOSS_SHOWN
        self._shift: float | None = None
        self.gaps = 0
        """Times that something was missing."""

    def open(self) -> None:
        """Begin to wait for the publisher."""
        self._arrived = self._clock()
        self._device_problem = ''
        self._working = False

    def close(self) -> None:
        """Forget what was heard."""
        with self._condition:
            self._frames.clear()
            self._working = False
            self._next = None

    def read(self, wait_for: int = 1) -> Frame | None:
        """Return the next frame; see AudioSource."""
        self.check_publisher()
        return super().read(wait_for)

    def begin(self) -> None:
        """Begin an utterance; raise a DeviceError if nobody publishes."""
        self.check_publisher()
        if not self._working:
            raise DeviceError(self._silence())
        super().begin()

    def health(self) -> SourceHealth:
        """Return how the source does."""
        self.check_publisher()
        return super().health()

    def check_publisher(self) -> None:
        """Find out whether the publisher is gone."""
        if not self._device_problem and self._clock() - self._arrived > GONE:
            self.set_problem(self._silence())

    def _silence(self) -> str:
        if not self._restarts and not self._working:
            return (
                f'nobody publishes audio on {self._name}: start the executable "microphone" '
                'on the machine that has one, with the same ROS_DOMAIN_ID'
            )
        return f'no audio comes on {self._name} any more: the publisher or the network is gone'

    def push(self, block: Block) -> None:
        """Take the next block, from one thread."""
        self._arrived = self._clock()
        missing = self._missing(block)
        gone = not self._working or bool(self._device_problem)
        other = (block.sample_rate, block.samples.shape[1]) != self._format
        if missing > 0 and block.earlier is not None:
            missing = max(0.0, missing - len(block.earlier) / block.sample_rate)
            block = self._with_earlier(block)
        if missing > 0:
            self._lose(missing)
        if gone or other or missing < 0 or missing > LARGEST_GAP:
            self._restarts += self._working and missing <= 0
            self._afresh(block)
        elif missing > 0:
            silence = np.zeros((round(missing * block.sample_rate), block.samples.shape[1]))
            self._deliver(silence.astype(np.float32), self._local(block, block.time - missing))
        if gone:
            self._begin_again()
        self._next = block
        self._deliver(block.samples, self._local(block, block.time))

    def _with_earlier(self, block: Block) -> Block:
        """Return a block that begins where the one before it ended, if it can."""
        before = self._next
        if before is None or before.first_sample is None or block.first_sample is None:
            return block
        assert block.earlier is not None
        wanted = block.first_sample - (before.first_sample + len(before.samples))
        taken = block.earlier[-wanted:]
        return Block(
            np.concatenate((taken, block.samples)),
            block.sample_rate,
            block.time - len(taken) / block.sample_rate,
            block.first_sample - len(taken),
        )

    def _begin_again(self) -> None:
        told = bool(self._reported)
        self.set_working()
        if not told:  # who waits for the first block is to know of it
            self._tell('')

    def _afresh(self, block: Block) -> None:
        self._framer, self._resampler = Framer(), Resampler(block.sample_rate)
        self._format = self._sample_rate, self._channels = (
            block.sample_rate,
            block.samples.shape[1],
        )
        self._next = self._shift = None

    def _missing(self, block: Block) -> float:
        """Return how many seconds are missing before a block; negative if it begins anew."""
        before = self._next
        if before is None:
            return 0.0
        if block.first_sample is not None and before.first_sample is not None:
            expected = before.first_sample + len(before.samples)
            return (block.first_sample - expected) / block.sample_rate
        late = block.time - (before.time + before.duration)
        return late if abs(late) > JITTER else 0.0

    def _lose(self, seconds: float) -> None:
        self.gaps += 1
        self._overflows += 1
        self._lost += seconds
        self._lost_at = self._clock()

    def _local(self, block: Block, stamp: float) -> float:
        """Return a stamp of the sender's clock in seconds of this machine's monotonic clock."""
        if self._shift is None:
            self._shift = self._clock() - (block.time + block.duration)
        return stamp + self._shift

    def _deliver(self, samples: Samples, stamp: float) -> None:
        self.add_frames(self._framer.push(self._resampler.push(samples), stamp))

    @property
    def problem(self) -> str:
        """The publisher's problem, or the network's, or the signal's, or ''."""
        problem = super().problem
        if not problem and self._clock() - self._lost_at < LOSS_SHOWN:
            return (
                f'the network lost audio of {self._name} ({self.gaps} gaps, {self._lost:.2f} s so '
                'far): words may be missing'
            )
        return problem
