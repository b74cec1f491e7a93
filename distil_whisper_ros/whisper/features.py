"""Log-mel spectrograms, on the device of the model.

The arithmetic is that of transformers' feature extractor, which works on the CPU: on a Jetson that
is a wait for the slower of the two. One thing differs: behind a short
clip are no digital zeros, but an even, soft noise. In digital silence Whisper hears single words
wrong and does not find the end of the text; `benchmarks/audio_context.py` measures it. For
sentences no difference was found.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..core.audio_format import SAMPLE_RATE, Samples

RANGE = 8.0  # powers of ten below the loudest value that are kept
QUIETEST = 1e-10
# The noise behind clips of up to SHORT seconds, in all bands, as Whisper scales them: a power of
# 1e-4, which is about 52 dB below the loudest band of speech.
BACKGROUND, SHORT = 0.0, 2.0


class LogMel:
    """Compute log-mel spectrograms as a WhisperFeatureExtractor does."""

    def __init__(self, extractor: Any, device: torch.device) -> None:
        """Take window, hop and filters of transformers' feature extractor."""
        self._device = device
        self._size, self._hop = extractor.n_fft, extractor.hop_length
        self._window = torch.hann_window(self._size, device=device)
        filters = torch.from_numpy(np.asarray(extractor.mel_filters, np.float32))
        self._filters = filters.T.contiguous().to(device)

    def __call__(self, batch: Sequence[Samples], length: int) -> torch.Tensor:
        """Return spectrograms in float32, shape (batch, mel bands, frames).

        Each clip is cut to `length` samples, or padded: see BACKGROUND.
        """
        padded = np.zeros((len(batch), length), np.float32)
        for row, samples in zip(padded, batch):
            row[: len(samples)] = samples[:length]
        waves = torch.from_numpy(padded).to(self._device)
        spectrum = torch.stft(
            waves, self._size, self._hop, window=self._window, return_complex=True
        )
        power = (spectrum[..., :-1].abs() ** 2).contiguous()
        logs = (self._filters @ power).clamp(min=QUIETEST).log10()
        logs = torch.maximum(logs, logs.amax((1, 2), keepdim=True) - RANGE)
        scaled = (logs + 4.0) / 4.0
        for clip, samples in zip(scaled, batch):
            if len(samples) <= SHORT * SAMPLE_RATE:
                clip[:, len(samples) // self._hop + 1 :] = BACKGROUND
        return scaled
