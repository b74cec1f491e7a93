"""Several channels to one: their mean, one of them, and channels that cancel each other out."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..core.audio_format import Samples
from ..core.errors import FormatError

LOUDEST = 1000.0  # 60 dB above full scale
ALL = -1  # mix all channels
CANCELED = 0.1  # of the power that channels without a relation have when they are mixed
LEAST_POWER = 1e-9  # -90 dBFS: below, nothing is there that could cancel
NEEDED = 0.25  # s of a stream until its channels are judged
MEMORY = 1.0  # s over which a stream is judged

Block = npt.NDArray[np.float32]
"""Samples, shape (samples, channels)."""
Mix = Callable[[Block], Samples]


def mix(block: Block) -> Samples:
    """Return the mean of the channels of a block of shape (samples, channels).

    Samples far above full scale, as of a damaged file, are clipped: their sums would be infinite.
    """
    if len(block) and max(block.max(), -block.min()) > LOUDEST:
        block = block.clip(-LOUDEST, LOUDEST)
    return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)


def pick(block: Block, channel: int) -> Samples:
    """Return one channel of a block, or with ALL their mean."""
    return mix(block if channel == ALL else block[:, channel : channel + 1])


def check_channel(parameter: str, channel: int, channels: int, owner: str) -> None:
    """Raise a FormatError if there is no such channel.

    `parameter` is its name for people; `owner` is the device, recording or topic.
    """
    if channel != ALL and not 0 <= channel < channels:
        raise FormatError(
            f'{parameter} is {channel}, but {owner} has no channel beyond {channels - 1} (the '
            'first is 0)'
        )


class Powers:
    """The mean powers of channels, without their constant parts, and of their mix."""

    def __init__(self, channels: int) -> None:
        self._count = 0.0
        self._sums = np.zeros(channels + 1)  # of the channels and, last, of the mix
        self._squares = np.zeros(channels + 1)

    def push(self, block: Block, keep: float = 1.0) -> None:
        """Add a block; `keep` is the weight of all that came before, from 0 to 1."""
        if block.shape[1] == 1:
            return
        mean = block.mean(axis=1, dtype=np.float64)
        self._count = self._count * keep + len(block)
        self._sums *= keep
        self._squares *= keep
        self._sums[:-1] += block.sum(axis=0, dtype=np.float64)
        self._sums[-1] += mean.sum()
        self._squares[:-1] += np.einsum('ij,ij->j', block, block, dtype=np.float64)
        self._squares[-1] += mean @ mean

    @property
    def canceled(self) -> bool:
        """Whether the mix of the channels is far weaker than they are."""
        powers = self._powers
        channels = len(powers) - 1
        if channels < 2 or powers[:-1].max() < LEAST_POWER:
            return False
        return bool(powers[-1] < CANCELED * powers[:-1].sum() / channels**2)

    @property
    def strongest(self) -> int:
        """The channel with the most power."""
        return int(self._powers[:-1].argmax())

    @property
    def _powers(self) -> npt.NDArray[np.float64]:
        count = max(1.0, self._count)
        return self._squares / count - (self._sums / count) ** 2


class Mixer:
    """Turns the blocks of a stream into one channel.

    Where the channels cancel each other out, it changes to the strongest one, and stays with it.
    """

    def __init__(self, sample_rate: int, channels: int, channel: int = ALL) -> None:
        """`channel` is the one to use, or ALL; it must exist. `sample_rate` is in Hz."""
        self._rate = sample_rate
        self._channel = channel
        self._powers = Powers(channels)
        self._seen = 0  # samples
        self.problem = ''
        """That the channels cancel each other out, in one sentence; or empty."""

    def __call__(self, block: Block) -> Samples:
        """Return the mix of a block, or one channel of it."""
        if self._channel == ALL and block.shape[1] > 1 and len(block):
            self._judge(block)
        return pick(block, self._channel)

    def _judge(self, block: Block) -> None:
        self._seen += len(block)
        self._powers.push(block, keep=max(0.0, 1 - len(block) / (MEMORY * self._rate)))
        if self._seen >= NEEDED * self._rate and self._powers.canceled:
            self._channel = self._powers.strongest
            self.problem = (
                'the channels of the microphone cancel each other out when they are mixed: '
                f'channel {self._channel} is used; set microphone.channel to choose one'
            )
