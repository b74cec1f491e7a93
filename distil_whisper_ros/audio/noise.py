"""Noise to add to recordings, for measurements."""

import numpy as np

from ..core.audio_format import Samples


def colored(random: np.random.Generator, count: int, exponent: float) -> np.ndarray:
    """Return noise whose amplitude falls with frequency to the `exponent`, of level 0 dBFS."""
    spectrum = np.fft.rfft(random.normal(0, 1, count))
    frequency = np.maximum(1, np.arange(len(spectrum)))
    noise = np.fft.irfft(spectrum / frequency**exponent, count)
    return noise / noise.std()


def with_noise(samples: Samples, ratio: float, seed: int = 0) -> Samples:
    """Return the samples in pink noise; `ratio` is signal to noise in dB."""
    noise = colored(np.random.default_rng(seed), len(samples), 0.5)
    gain = np.sqrt(np.mean(samples**2)) / 10 ** (ratio / 20)
    return (samples + noise * gain).clip(-1, 1).astype(np.float32)
