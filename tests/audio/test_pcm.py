"""Samples in the formats of messages, with random values and sizes."""

from array import array

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from distil_whisper_ros.audio.pcm import from_bytes, from_int16, from_numbers, to_int16

CHANNELS = st.integers(1, 8)
INT16 = st.lists(st.integers(-32768, 32767), max_size=200)


def whole(values: list, channels: int) -> list:
    """Return as many values as make whole samples."""
    return values[: len(values) // channels * channels]


@given(INT16, CHANNELS)
def test_16_bit_samples_come_back_unchanged(values, channels):
    values = whole(values, channels)
    samples = from_int16(array('h', values), channels)
    assert samples.dtype == np.float32
    assert samples.shape == (len(values) // channels, channels)
    assert (np.abs(samples) <= 1).all()
    assert to_int16(samples.ravel()).tolist() == values


@given(INT16, CHANNELS)
def test_bytes_are_little_endian(values, channels):
    values = whole(values, channels)
    data = array('B', np.array(values, '<i2').tobytes())
    np.testing.assert_array_equal(
        from_bytes(data, channels), from_int16(array('h', values), channels)
    )


@given(st.lists(st.floats(-100, 100, width=32), max_size=200))
def test_louder_samples_are_clipped(values):
    samples = np.array(values, np.float32)
    written = to_int16(samples)
    assert written.dtype == np.int16
    np.testing.assert_allclose(written / 32768, samples.clip(-1, 32767 / 32768), atol=1 / 32768)


@given(CHANNELS, st.integers(1, 50), st.sampled_from([2.0**7, 2.0**15, 2.0**31]))
def test_numbers_of_any_scale(channels, length, scale):
    values = [scale * (index % 3 - 1) for index in range(channels * length)]
    samples = from_numbers(values, channels, scale)
    assert samples.shape == (length, channels)
    assert samples.ravel().tolist() == [index % 3 - 1 for index in range(channels * length)]


@given(st.integers(2, 8), st.integers(1, 100))
def test_a_part_of_a_sample_is_refused(channels, length):
    values = array('h', [0] * (channels * length + 1))
    with pytest.raises(ValueError, match='reshape'):
        from_int16(values, channels)
