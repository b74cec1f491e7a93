"""The audio of one message, checked at the edge."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .limits import check_finite, check_format, LONGEST_BLOCK

LATEST_STAMP = 1e11  # s: beyond, a float has no room for a millisecond


@dataclass(frozen=True)
class Block:
    """A message's audio."""

    samples: npt.NDArray[np.float32]
    """In [-1, 1], shape (samples, channels)."""
    sample_rate: int
    """In Hz."""
    time: float | None
    """When the first sample was captured, by the sender's clock, in seconds; None if unknown."""
    first_sample: int | None = None
    """Number of the first sample since the microphone was opened, if the sender counts."""
    earlier: npt.NDArray[np.float32] | None = None
    """The samples before these once more, in the same shape."""

    @property
    def duration(self) -> float:
        """Its length in seconds."""
        return len(self.samples) / self.sample_rate

    def checked(self) -> 'Block':
        """Return the block, without an impossible stamp; raise a FormatError if it is bad.

        At most LONGEST_BLOCK is accepted, of the samples and of the earlier ones.
        """
        channels = self.samples.shape[1] if self.samples.ndim == 2 else 0
        for samples in (self.samples, self.earlier):
            if samples is None or (samples is self.earlier and not samples.size):
                continue
            check_format(
                self.sample_rate,
                channels if samples.ndim == 2 and samples.shape[1] == channels else 0,
                samples.size,
                max_duration=LONGEST_BLOCK,
            )
            check_finite(samples)
        absurd = self.time is not None and not 0 < self.time < LATEST_STAMP  # NaN, too
        return replace(self, time=None) if absurd else self
