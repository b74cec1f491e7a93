"""The high pass removes offset and rumble, frame by frame, and nothing of a voice."""

import math

import numpy as np
import pytest

from distil_whisper_ros.audio.framing import frames_of
from distil_whisper_ros.audio.high_pass import CUTOFF, HighPass
from distil_whisper_ros.audio.levels import level, LevelMeter
from distil_whisper_ros.core.audio_format import FRAME_LENGTH, SAMPLE_RATE

RNG = np.random.default_rng(1)


def filtered(samples) -> np.ndarray:
    high_pass = HighPass()
    return np.concatenate([high_pass(frame) for frame in frames_of(samples)])


def reference(samples) -> np.ndarray:
    """Return the same filter, sample by sample, from the formula."""
    omega = 2 * math.pi * CUTOFF / SAMPLE_RATE
    alpha, cosine = math.sin(omega) / math.sqrt(2), math.cos(omega)
    b = np.array([(1 + cosine) / 2, -1 - cosine, (1 + cosine) / 2]) / (1 + alpha)
    a = np.array([-2 * cosine, 1 - alpha]) / (1 + alpha)
    x, y = [0.0, 0.0], [0.0, 0.0]
    result = []
    for value in samples.astype(float):
        out = b[0] * value + b[1] * x[0] + b[2] * x[1] - a[0] * y[0] - a[1] * y[1]
        x, y = [value, x[0]], [out, y[0]]
        result.append(out)
    return np.array(result)


def test_it_is_the_filter_of_the_formula():
    samples = RNG.normal(0, 0.1, FRAME_LENGTH * 20).astype(np.float32)
    samples[:FRAME_LENGTH] -= samples[:FRAME_LENGTH].mean()
    np.testing.assert_allclose(filtered(samples), reference(samples), atol=1e-5)


@pytest.mark.parametrize(
    ('hertz', 'least', 'most'),
    [(10, -40, -30), (20, -25, -20), (CUTOFF, -3.2, -2.8), (120, -1, 0), (300, -0.1, 0.1)],
)
def test_what_it_lets_through(hertz, least, most):
    times = np.arange(FRAME_LENGTH * 40) / SAMPLE_RATE
    tone = (0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)
    settled = filtered(tone)[FRAME_LENGTH * 20 :]
    assert least < level(settled) - level(tone) < most


def test_an_offset_makes_no_click():
    samples = np.full(FRAME_LENGTH * 10, 0.4, np.float32)
    assert np.abs(filtered(samples)).max() < 1e-3


def test_reset_forgets():
    high_pass = HighPass()
    loud = RNG.normal(0, 0.5, FRAME_LENGTH).astype(np.float32)
    first = high_pass(loud)
    high_pass(loud)
    high_pass.reset()
    np.testing.assert_array_equal(high_pass(loud), first)


def test_the_level_is_that_of_the_sound_alone():
    meter, noise = LevelMeter(), RNG.normal(0, 0.01, FRAME_LENGTH * 20)
    times = np.arange(len(noise)) / SAMPLE_RATE
    rumble = 0.05 * np.sin(2 * np.pi * 8 * times)
    for frame in frames_of((noise + 0.3 + rumble).astype(np.float32)):
        meter.push(frame)
    assert meter.level == pytest.approx(-40, abs=1.5)
