"""Framing, resampling, levels, and cutting long audio."""

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
import numpy as np
import pytest

from distil_whisper_ros.audio.channels import mix
from distil_whisper_ros.audio.framing import Framer
from distil_whisper_ros.audio.levels import level, LevelMeter, quiet_hint
from distil_whisper_ros.audio.resampling import resample, Resampler
from distil_whisper_ros.core.audio_format import FRAME_DURATION, FRAME_LENGTH, SAMPLE_RATE
from distil_whisper_ros.whisper.segmentation import segment_limits

RATES = [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000]


@given(st.lists(st.integers(0, 2000), max_size=20))
def test_framing_keeps_every_sample_in_order(sizes):
    samples = np.arange(sum(sizes), dtype=np.float32)
    framer, frames, position = Framer(), [], 0
    for size in sizes:
        block = samples[position : position + size]
        frames += framer.push(block, 100 + position / SAMPLE_RATE)
        position += size
    frames += framer.flush()
    joined = np.concatenate([frame.samples for frame in frames] or [np.zeros(0)])
    assert all(len(frame.samples) == FRAME_LENGTH for frame in frames)
    np.testing.assert_array_equal(joined[: len(samples)], samples)
    assert not joined[len(samples) :].any()
    for index, frame in enumerate(frames):
        assert frame.time == pytest.approx(100 + index * FRAME_DURATION, abs=1e-3)


def test_framing_follows_a_gap_and_ignores_jitter():
    framer, block = Framer(), np.zeros(FRAME_LENGTH, np.float32)
    times = [0.0, 0.032 + 0.02, 0.064 - 0.02, 5.0]
    seen = [next(framer.push(block, time)).time for time in times]
    assert seen == pytest.approx([0.0, 0.032, 0.064, 5.0])


@given(st.sampled_from(RATES), st.integers(1, 4), st.integers(200, 3000), st.integers(300, 3500))
@hypothesis_settings(deadline=None, max_examples=40)
def test_resampling_keeps_length_and_pitch(rate, channels, hertz, block_length):
    time = np.arange(rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * hertz * time).astype(np.float32)
    block = np.repeat(tone[:, None], channels, axis=1)
    stream = Resampler(rate)
    parts = [stream.push(block[i : i + block_length]) for i in range(0, len(block), block_length)]
    streamed = np.concatenate([*parts, stream.flush()])
    assert abs(len(streamed) - SAMPLE_RATE) <= 2
    np.testing.assert_allclose(streamed, resample(block, rate)[: len(streamed)], atol=1e-3)
    spectrum = np.abs(np.fft.rfft(streamed[:SAMPLE_RATE] * np.hanning(len(streamed))))
    assert abs(int(spectrum.argmax()) - hertz) <= 2
    assert level(streamed[2000:-2000]) == pytest.approx(level(tone), abs=0.5)


@given(
    st.sampled_from(RATES),
    st.lists(st.integers(0, 5000), min_size=1, max_size=12),
    st.integers(1, 3),
)
@hypothesis_settings(deadline=None, max_examples=40)
def test_resampling_blocks_of_any_sizes_gives_the_same_samples(rate, sizes, channels):
    random = np.random.default_rng(sum(sizes))
    block = random.normal(0, 0.1, (sum(sizes), channels)).astype(np.float32)
    stream, position, parts = Resampler(rate), 0, []
    for size in sizes:
        parts.append(stream.push(block[position : position + size]))
        position += size
    streamed, at_once = np.concatenate([*parts, stream.flush()]), resample(block, rate)
    assert streamed.dtype == np.float32
    assert abs(len(streamed) - len(block) * SAMPLE_RATE / rate) <= 2
    assert abs(len(streamed) - len(at_once)) <= 1
    size = min(len(streamed), len(at_once))
    np.testing.assert_allclose(streamed[:size], at_once[:size], atol=1e-3)


def test_mixing_is_the_mean():
    block = np.array([[1.0, 0.0], [0.5, -0.5]], np.float32)
    np.testing.assert_array_equal(mix(block), [0.5, 0.0])


@pytest.mark.parametrize('rate', [8_000, 16_000, 48_000])
@pytest.mark.parametrize('channels', [1, 2, 64])
def test_the_loudest_floats_stay_finite(rate, channels):
    """Samples of a float file that is damaged: their sum is beyond float32."""
    block = np.full((4_000, channels), np.finfo(np.float32).max, np.float32)
    block[::2, -1] *= -1
    assert np.isfinite(resample(block, rate)).all()


def test_level():
    assert level(np.zeros(100, np.float32)) == -120
    assert level(np.zeros(0, np.float32)) == -120
    assert level(np.ones(100, np.float32)) == pytest.approx(0, abs=0.01)
    assert level(np.full(100, 0.1, np.float32)) == pytest.approx(-20, abs=0.01)


def meter(frames: int, value) -> LevelMeter:
    result = LevelMeter()
    for _ in range(frames):
        result.push(value())
    return result


def test_zeros_clipping_and_a_healthy_signal():
    random = np.random.default_rng(0)
    noise = meter(200, lambda: random.normal(0, 1e-4, FRAME_LENGTH).astype(np.float32))
    assert noise.problem == ''
    zeros = meter(200, lambda: np.zeros(FRAME_LENGTH, np.float32))
    assert 'only zeros' in zeros.problem
    loud = meter(200, lambda: random.normal(0, 2, FRAME_LENGTH).clip(-1, 1).astype(np.float32))
    assert 'clips' in loud.problem
    zeros.push(np.full(FRAME_LENGTH, 0.01, np.float32))
    assert zeros.problem == ''


def test_quiet_hint():
    assert 'only zeros' in quiet_hint(-120)
    assert '-62 dBFS' in quiet_hint(-62)
    assert quiet_hint(-30) == ''


@given(st.integers(0, 120 * SAMPLE_RATE), st.floats(5, 30), st.randoms(use_true_random=False))
@hypothesis_settings(deadline=None, max_examples=40)
def test_chunks_cover_everything_once(samples, longest, random):
    speech = [random.random() for _ in range(samples // FRAME_LENGTH)]
    parts = segment_limits(samples, speech, longest)
    assert parts[0][0] == 0
    assert parts[-1][1] == samples
    for (first, last), (following, _) in zip(parts, parts[1:]):
        assert last == following
        assert first < last
    assert all(last - first <= longest * SAMPLE_RATE for first, last in parts)


def test_cuts_are_made_in_pauses():
    speech = [0.9] * 2000
    for pause in (700, 1400):
        speech[pause : pause + 25] = [0.01] * 25
    parts = segment_limits(2000 * FRAME_LENGTH, speech, 28.0)
    assert [round(last / FRAME_LENGTH) for _, last in parts[:-1]] == pytest.approx(
        [712, 1412], abs=12
    )
