"""What is odd about the levels of a recording: samples far beyond full scale, or very low ones.

Channels that cancel each other out are seen in the same survey of its samples.
"""

import numpy as np

from ..core.audio_format import SAMPLE_RATE, Samples
from .channels import Block, Powers
from .levels import decibels

BEYOND = 16.0  # times full scale: 24 dB above it, so the samples are numbers of another range
BEYOND_SHARE = 1e-3  # of the samples; fewer are clicks
RANGES = (2.0**15, 2.0**23, 2.0**31)  # full scale of 16, 24 and 32 bits

WINDOW = SAMPLE_RATE // 10  # samples: the level is that of a tenth of a second
LOUD_WINDOWS = 10  # a second that is louder is speech, less may be a click
QUIET = -38.0  # dBFS of the loudest second: 17 dB below speech near a microphone
SILENT = -90.0  # dBFS: the last bit of 16; below, nothing can be amplified
NORMAL = -20.0  # dBFS of the loudest second of a recording that was amplified


class Survey:
    """Looks at the samples of a file as they are read."""

    def __init__(self, channels: int) -> None:
        self.powers = Powers(channels)
        self.peak = 0.0
        self._count = self._beyond = 0

    def push(self, block: Block) -> None:
        """Look at a block."""
        peak = max(float(block.max()), -float(block.min()))
        self.peak = max(self.peak, peak)
        self._count += block.size
        if peak > BEYOND:
            self._beyond += int(np.count_nonzero(np.abs(block) > BEYOND))
        self.powers.push(block)

    @property
    def scale(self) -> float:
        """The factor that brings the samples to full scale: 1, or that of whole numbers."""
        if self._beyond <= BEYOND_SHARE * self._count:
            return 1.0
        return 1.0 / next((each for each in RANGES if self.peak <= each), self.peak)

    @property
    def scale_notice(self) -> str:
        """What is odd about the range of the samples, as a sentence; or empty."""
        if self.scale == 1.0:
            return ''
        return (
            f'its samples reach {self.peak:.3g} where full scale is 1: all are divided by '
            f'{1 / self.scale:.0f}'
        )


def amplify(samples: Samples) -> str:
    """Amplify a very quiet recording in place; return what was odd as a sentence, or ''."""
    if not len(samples):
        return ''
    loudest = _loudest(samples)
    if loudest <= -119:
        return 'it holds only zeros'
    if loudest >= QUIET:
        return ''
    if loudest < SILENT:
        return f'it is silent: its loudest second has {loudest:.0f} dBFS'
    gain = NORMAL - loudest
    samples *= np.float32(10 ** (gain / 20))
    np.clip(samples, -1, 1, out=samples)
    return f'it is very quiet ({loudest:.0f} dBFS): amplified by {gain:.0f} dB'


def _loudest(samples: Samples) -> float:
    """Return the level in dBFS that the loudest second has, or a tenth of a short recording."""
    whole = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW)
    if not len(whole):
        whole = samples[None]
    powers = np.sort(np.einsum('ij,ij->i', whole, whole)) / whole.shape[1]
    return decibels(float(powers[-min(LOUD_WINDOWS, -(-len(powers) // 10))]))
