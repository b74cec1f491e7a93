"""The log-mel spectrogram that Whisper's encoders take, with numpy alone.

The same as transformers' WhisperFeatureExtractor with `do_normalize` gives, which a test compares:
80 bands of Slaney's mel scale from 0 to 8 kHz, a frame of 25 ms every 10 ms.
"""

from typing import Any

import numpy as np

from ..core.audio_format import SAMPLE_RATE, Samples

BANDS = 80
WINDOW, STEP = 400, 160  # samples
LINEAR_TO = 1000.0  # Hz: the mel scale is linear below, and logarithmic above
MELS_PER_HERTZ = 3 / 200
OCTAVE_OF_MELS = 27 / np.log(6.4)
# Frames that are multiplied with the filters at once. For more, numpy's BLAS wakes a thread for
# each core, and these spin for 30 ms afterwards: on a robot with two cores the transcription that
# runs beside would wait for them.
BLOCK = 16
RANGE = 8.0  # powers of ten below the loudest, at which it is cut off
LEAST_POWER, LEAST_VARIANCE = 1e-10, 1e-7


def log_mel(samples: Samples) -> Any:
    """Return the spectrogram of samples, which are normalized first, as (BANDS, frames)."""
    normal = (samples - samples.mean()) / np.sqrt(samples.var() + LEAST_VARIANCE)
    around = np.pad(normal.astype(np.float32), WINDOW // 2, mode='reflect')
    frames = np.lib.stride_tricks.sliding_window_view(around, WINDOW)[::STEP][:-1]
    spectrum = np.fft.rfft(frames * _HANN, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    blocks = [power[begin : begin + BLOCK] @ _FILTERS for begin in range(0, len(power), BLOCK)]
    logarithm = np.log10(np.maximum(np.concatenate(blocks), LEAST_POWER))
    logarithm = np.maximum(logarithm, logarithm.max() - RANGE)
    return ((logarithm.T + 4.0) / 4.0).astype(np.float32)


def _filters() -> Any:
    """Return the bands as triangles over the spectrum, shape (WINDOW // 2 + 1, BANDS).

    Each band begins where the one before has its peak; the triangles have equal areas.
    """
    first_logarithmic = LINEAR_TO * MELS_PER_HERTZ
    highest = first_logarithmic + OCTAVE_OF_MELS * np.log(SAMPLE_RATE / 2 / LINEAR_TO)
    mels = np.linspace(0.0, highest, BANDS + 2)
    edges = np.where(
        mels < first_logarithmic,
        mels / MELS_PER_HERTZ,
        LINEAR_TO * np.exp((mels - first_logarithmic) / OCTAVE_OF_MELS),
    )
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    hertz = np.linspace(0.0, SAMPLE_RATE / 2, WINDOW // 2 + 1)[:, None]
    rising, falling = (hertz - low) / (peak - low), (high - hertz) / (high - peak)
    return np.maximum(0.0, np.minimum(rising, falling)) * 2 / (high - low)


_HANN = np.hanning(WINDOW + 1)[:-1]
_FILTERS = _filters()
