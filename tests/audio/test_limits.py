"""The limits of every sound that comes in."""

import numpy as np
import pytest

from distil_whisper_ros.audio.limits import check_finite, check_format
from distil_whisper_ros.core.errors import AudioError, FormatError


def test_usual_audio_is_accepted():
    check_format(8_000, 1)
    check_format(384_000, 64, 64 * 384_000)
    check_format(16_000, 2, 32_000, max_duration=1.0)
    check_finite(np.zeros((10, 2), np.float32))


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ((0, 1, 10), 'audio.sample_rate is 0 Hz; it must be from 8000 to 384000 Hz'),
        ((1, 1, 10), 'audio.sample_rate is 1 Hz; it must be from 8000 to 384000 Hz'),
        ((-16_000, 1, 10), 'audio.sample_rate is -16000 Hz; it must be'),
        ((2**32 - 1, 1, 10), 'audio.sample_rate is 4294967295 Hz; it must be'),
        ((16_000, 0, 10), 'audio.channels is 0; it must be from 1 to 64'),
        ((16_000, -1, 10), 'audio.channels is -1; it must be from 1 to 64'),
        ((16_000, 65, 65), 'audio.channels is 65; it must be from 1 to 64'),
        ((16_000, 1, 0), 'audio.data is empty; it must hold samples'),
        ((16_000, 2, 7), 'audio.data has 7 samples; it must have a whole number for each of the'),
        ((16_000, 2, 96_000), 'audio.data is 3.0 s long; the limit is 2 s (the_limit)'),
    ],
)
def test_each_limit_is_told_by_its_field(values, message):
    with pytest.raises(FormatError) as error:
        check_format(*values, max_duration=2.0, limit='the_limit', prefix='audio.')
    assert str(error.value).startswith(message)
    assert '\n' not in str(error.value)
    assert isinstance(error.value, AudioError)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_samples_must_be_finite(value):
    samples = np.zeros((10, 2), np.float32)
    samples[3, 1] = value
    with pytest.raises(FormatError, match='audio.data has samples that are not numbers'):
        check_finite(samples, prefix='audio.')
