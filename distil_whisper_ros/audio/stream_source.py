"""A microphone elsewhere: blocks that come over a network, to frames.

Lost blocks show in the numbers of the samples or, where a message has none, in the time stamps.
Our own messages carry the samples before theirs once more, so that a lost message costs nothing;
sending it again would cost seconds (seen with Fast DDS). A short gap becomes silence, so that the
words behind it stay where they were said; a long one, or a microphone that restarted, starts over.
The numbers also tell several senders apart, of which one is heard.
"""

from collections.abc import Callable
from dataclasses import replace
import math
import time

import numpy as np

from ..core.audio_format import Frame, SAMPLE_RATE, Samples
from ..core.errors import DeviceError
from .buffered_source import BufferedSource
from .channels import ALL, check_channel, Mixer
from .framing import Framer
from .message_block import Block
from .resampling import Resampler
from .sender_clock import SenderClock, STEP
from .source import SourceHealth

GONE = 2.0  # s without a block after which the publisher is gone
LARGEST_GAP = 1.0  # s that silence stands for
JITTER = 0.1  # s by which stamps may differ without a loss
LOSS_SHOWN = 10.0  # s for which a loss, or another sender, is a problem to report
SILENT = 0.5  # s without a block of the sender that is heard, after which another one is


class StreamSource(BufferedSource):
    """An AudioSource that is fed with `push`."""

    def __init__(
        self,
        name: str,
        pre_roll: float,
        on_change: Callable[[str], None] = lambda problem: None,
        clock: Callable[[], float] = time.monotonic,
        channel: int = ALL,
    ) -> None:
        """`name` is the topic. `clock` is time.monotonic; tests give their own.

        `channel` is the one to use of several, from 0, or ALL.
        """
        super().__init__(name, pre_roll, on_change)
        self._clock = clock
        self._is_open = False
        self._framer = Framer()
        self._channel = channel
        self._mixer = Mixer(SAMPLE_RATE, 1)
        self._resampler = Resampler(SAMPLE_RATE, self._mixer)
        self._format = (0, 0)
        self._next: Block | None = None  # the latest block, which the next one should follow
        self._arrived = clock()
        self._lost_at = self._foreign_at = -math.inf
        self._sender_clock = SenderClock()
        self.gaps = 0
        """Number of gaps in the audio."""
        self.senders = 1
        """How many there are, as far as the graph tells; for those that do not count samples."""

    def open(self) -> None:
        """Start to wait for the publisher."""
        if self._is_open:
            return
        self._arrived = self._clock()
        self._device_problem = ''
        self._working = False
        self._is_open = True

    def close(self) -> None:
        """Stop, and drop all frames."""
        self._is_open = False
        self._forget()

    def _forget(self) -> None:
        with self._condition:
            self._working = False
            self._frames.clear()
            self._next = None
            self._sender_clock = SenderClock()

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
        """Return the state of the source."""
        self.check_publisher()
        return replace(super().health(), clock_offset=self.clock_offset)

    @property
    def clock_offset(self) -> float | None:
        """Seconds by which the sender's clock is ahead of this machine's wall clock.

        Less the shortest delay of the network; None before a block with a stamp came.
        """
        difference = self._sender_clock.difference
        return None if difference is None else self._clock() - time.time() - difference

    def check_publisher(self) -> None:
        """Find out whether the publisher is gone."""
        silent = self._clock() - self._arrived > GONE
        if self._is_open and silent and not self._device_problem:
            self.set_problem(self._silence())

    def _silence(self) -> str:
        if not self._restarts and not self._working:
            return (
                f'nobody publishes audio on {self._name}: start the executable "microphone" '
                'on the machine that has one, with the same ROS_DOMAIN_ID'
            )
        return f'no more audio arrives on {self._name}: the publisher or the network is gone'

    def push(self, block: Block) -> None:
        """Take the next block, from one thread; raise a FormatError if it is bad."""
        block = block.checked()
        check_channel('microphone.channel', self._used(block), block.samples.shape[1], self._name)
        if self._is_open:
            self._push(block)
        if not self._is_open:  # it was closed meanwhile
            self._forget()

    def _push(self, block: Block) -> None:
        arrived, before = self._clock(), self._arrived
        if self._is_foreign(block, arrived - before):
            self._foreign_at = arrived
            self.report()
            return
        self._arrived = arrived
        missing = self._missing(block, arrived - before)
        gone = not self._working or bool(self._device_problem)
        other = (block.sample_rate, block.samples.shape[1]) != self._format
        if missing > 0 and block.earlier is not None:
            missing = max(0.0, missing - len(block.earlier) / block.sample_rate)
            block = self._with_earlier(block)
        if missing > 0:
            self._lose(min(missing, arrived - before + STEP))  # more cannot have been sent
        if gone or other or missing < 0 or missing > LARGEST_GAP:
            self._restarts += self._working and missing <= 0
            self._start_over(block)
        elif missing > 0:
            silence = np.zeros((round(missing * block.sample_rate), block.samples.shape[1]))
            moment = self._local(block, arrived) - missing
            self._deliver(silence.astype(np.float32), moment)
        if gone:
            self._tell_working()
        self._next = block
        self._deliver(block.samples, self._local(block, arrived))

    def _is_foreign(self, block: Block, elapsed: float) -> bool:
        """Return whether another sender than the one that is heard sent a block.

        `elapsed` is the time in seconds since the last block of that one arrived.
        """
        before = self._next
        if before is None or before.first_sample is None or elapsed > SILENT:
            return False
        if self._device_problem or block.first_sample is None:
            return block.first_sample is None
        return not 0 <= self._missing(block, elapsed) <= LARGEST_GAP

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
            None if block.time is None else block.time - len(taken) / block.sample_rate,
            block.first_sample - len(taken),
        )

    def _used(self, block: Block) -> int:
        """Return the channel to use; a sender with one channel has chosen it already."""
        return self._channel if block.samples.shape[1] > 1 else ALL

    def _tell_working(self) -> None:
        told = bool(self._reported)
        self.set_working()
        if not told:  # an observer that waits for the first block must hear of it
            self._tell('')

    def _start_over(self, block: Block) -> None:
        self._framer = Framer()
        self._mixer = Mixer(block.sample_rate, block.samples.shape[1], self._used(block))
        self._resampler = Resampler(block.sample_rate, self._mixer)
        self._format = self._sample_rate, self._channels = (
            block.sample_rate,
            block.samples.shape[1],
        )
        self._next = None

    def _missing(self, block: Block, elapsed: float) -> float:
        """Return how many seconds are missing before a block; negative if the sender restarted.

        `elapsed` is the time in seconds since the block before arrived.
        """
        before = self._next
        if before is None:
            return 0.0
        if block.first_sample is not None and before.first_sample is not None:
            expected = before.first_sample + len(before.samples)
            return (block.first_sample - expected) / block.sample_rate
        if block.time is None or before.time is None:
            return 0.0
        late = block.time - (before.time + before.duration)
        if abs(late) > elapsed + STEP:  # the sender's clock was set; nothing is missing
            return 0.0
        return late if abs(late) > JITTER else 0.0

    def _lose(self, seconds: float) -> None:
        self.gaps += 1
        self._overflows += 1
        self._lost += seconds
        self._lost_at = self._clock()

    def _local(self, block: Block, arrived: float) -> float:
        """Return when a block was captured, in seconds of this machine's monotonic clock."""
        if block.time is None:
            return arrived - block.duration
        self._sender_clock.follow(block.time + block.duration, arrived)
        return self._sender_clock.local(block.time)

    def _deliver(self, samples: Samples, stamp: float) -> None:
        mono = self._resampler.push(samples)
        self._channel_problem = self._mixer.problem
        self.add_frames(self._framer.push(mono, stamp))

    @property
    def problem(self) -> str:
        """The publisher's problem, or the network's, or the signal's, or ''."""
        problem = super().problem or self._other_senders()
        if not problem and self._is_open and not self._working:
            return self._silence()  # not reported before it lasts for GONE
        if not problem and self._clock() - self._lost_at < LOSS_SHOWN:
            return (
                f'the network lost audio of {self._name} ({self.gaps} gaps, {self._lost:.2f} s so '
                'far): words may be missing'
            )
        return problem

    @property
    def _worth_a_line(self) -> str:
        """The problem, without the numbers that change with each gap."""
        problem = super().problem or self._other_senders()
        if not problem and self._clock() - self._lost_at < LOSS_SHOWN:
            return f'the network loses audio of {self._name}: words may be missing'
        return problem

    def _other_senders(self) -> str:
        before = self._next
        uncounted = before is not None and before.first_sample is None
        if self._clock() - self._foreign_at < LOSS_SHOWN:
            return (
                f'several publishers send audio on {self._name}, and only the first is heard: '
                'stop the others, or give each a topic of its own (audio.topic)'
            )
        if self.senders > 1 and uncounted:
            return (
                f'{self.senders} publishers send audio on {self._name}, which cannot be told '
                'apart: stop the others, or give each a topic of its own (audio.topic)'
            )
        return ''
