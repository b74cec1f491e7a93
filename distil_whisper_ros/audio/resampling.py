"""Any rate and number of channels to the one format, with the SoX resampler."""

import numpy as np
import numpy.typing as npt
import soxr

from ..core.audio_format import SAMPLE_RATE, Samples
from .channels import Mix, mix, pick, Powers


class Resampler:
    """Turns a stream of blocks, shape (samples, channels), into the one format.

    Without a change of rate nothing is delayed; else the first block lacks the filter's length,
    which `flush` returns.
    """

    def __init__(self, sample_rate: int, mixer: Mix = mix) -> None:
        """`sample_rate` is the stream's, in Hz; `mixer` makes one channel of a block."""
        self._mix = mixer
        self._stream = None
        if sample_rate != SAMPLE_RATE:
            self._stream = soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype='float32')

    def push(self, block: npt.NDArray[np.float32]) -> Samples:
        """Mix and resample the next block."""
        samples = self._mix(block)
        return samples if self._stream is None else self._stream.resample_chunk(samples)

    def flush(self) -> Samples:
        """Return the samples that the filter still held; the stream is over."""
        empty = np.empty(0, np.float32)
        return empty if self._stream is None else self._stream.resample_chunk(empty, last=True)


def resample(block: npt.NDArray[np.float32], sample_rate: int) -> Samples:
    """Mix and resample a whole recording of shape (samples, channels).

    Of channels that cancel each other out, the strongest one is used.
    """
    powers = Powers(block.shape[1])
    powers.push(block)
    if powers.canceled:
        block = pick(block, powers.strongest)[:, None]
    resampler = Resampler(sample_rate)
    return np.concatenate((resampler.push(block), resampler.flush()))
