"""The limits of all incoming audio, checked before memory is allocated.

A message with a rate of 1 Hz would take gigabytes once it is resampled, and one with 0 Hz would
divide by zero; so streams, requests and recordings are all checked here.
"""

import math

import numpy as np
import numpy.typing as npt

from ..core.errors import FormatError

LOWEST_RATE, HIGHEST_RATE = 8_000, 384_000  # Hz
MOST_CHANNELS = 64
LONGEST_BLOCK = 10.0  # s of a message of a stream
LONGEST_RECORDING = 36_000.0  # s: 2.3 GB in the one format


def check_format(
    sample_rate: int,
    channels: int,
    samples: int | None = None,
    *,
    max_duration: float = math.inf,
    limit: str = '',
    prefix: str = '',
) -> None:
    """Raise a FormatError if audio is not within the limits.

    `samples` counts those of all channels; None leaves the length unchecked. `max_duration` is in
    seconds, and `limit` the parameter that sets it. `prefix` goes before the names of the fields
    sample_rate, channels and data: 'audio.' makes 'audio.sample_rate'.
    """
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise FormatError(
            f'{prefix}sample_rate is {sample_rate} Hz; it must be from {LOWEST_RATE} to '
            f'{HIGHEST_RATE} Hz'
        )
    if not 1 <= channels <= MOST_CHANNELS:
        raise FormatError(
            f'{prefix}channels is {channels}; it must be from 1 to {MOST_CHANNELS}'
        )  # fmt: skip
    if samples is None:
        return
    if samples <= 0:
        raise FormatError(f'{prefix}data is empty; it must hold samples')
    if samples % channels:
        raise FormatError(
            f'{prefix}data has {samples} samples; it must have a whole number for each of the '
            f'{channels} channels'
        )
    duration = samples / channels / sample_rate
    if duration > max_duration:
        raise FormatError(
            f'{prefix}data is {duration:.1f} s long; the limit is {max_duration:g} s'
            + (f' ({limit})' if limit else '')
        )


def check_finite(samples: npt.NDArray[np.floating], *, prefix: str = '') -> None:
    """Raise a FormatError if samples are NaN or infinite."""
    if not np.isfinite(samples).all():
        raise FormatError(
            f'{prefix}data has samples that are not numbers (NaN or infinite); each must be '
            'finite'
        )
