"""Recordings of every kind, and files that are none."""

import numpy as np
import pytest
from robot import goforward
import soundfile

from distil_whisper_ros.audio.file_source import FileSource
from distil_whisper_ros.audio.recordings import read_recording, write_recording
from distil_whisper_ros.audio.resampling import resample
from distil_whisper_ros.core.errors import FileError


@pytest.mark.parametrize(
    ('name', 'rate', 'channels', 'subtype'),
    [
        ('a.wav', 8_000, 1, 'PCM_16'),
        ('a.wav', 48_000, 2, 'PCM_24'),
        ('a.wav', 16_000, 1, 'FLOAT'),
        ('a.flac', 44_100, 2, 'PCM_16'),
        ('a.ogg', 16_000, 1, 'VORBIS'),
        ('a.wav', 16_000, 1, 'ULAW'),
    ],
)
def test_every_kind_becomes_the_one_format(tmp_path, name, rate, channels, subtype):
    import soxr

    block = soxr.resample(goforward(), 16_000, rate)
    path = tmp_path / name
    soundfile.write(path, np.stack([block] * channels, 1), rate, subtype=subtype)
    samples = read_recording(path)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(len(goforward()), abs=20)
    size = min(len(samples), len(goforward()))
    reference = resample(block[:, None], rate)[:size]
    assert np.corrcoef(samples[:size], reference)[0, 1] > 0.97


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, 'does not exist: name a WAV, FLAC or OGG file'),
        (b'this is a text\n', 'is not a recording that can be read'),
        (b'', 'is not a recording that can be read'),
        ('empty', 'is empty: it has no samples'),
        ('nan', 'has samples that are not numbers (NaN or infinite)'),
        ('folder', 'is a folder: name a WAV, FLAC or OGG file'),
    ],
)
def test_what_is_no_recording_is_named(tmp_path, content, message):
    path = tmp_path / 'speech.wav'
    if content == 'empty':
        soundfile.write(path, np.zeros(0, np.float32), 16_000)
    elif content == 'nan':
        soundfile.write(path, np.full(100, np.nan, np.float32), 16_000, subtype='FLOAT')
    elif content == 'folder':
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError) as error:
        FileSource(str(path)).open()
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert '\n' not in str(error.value)


def test_no_file_is_named():
    with pytest.raises(FileError, match='audio.file is empty'):
        FileSource('').open()


def test_what_is_written_can_be_read(tmp_path):
    path = tmp_path / 'new' / 'a.wav'
    write_recording(path, goforward())
    np.testing.assert_allclose(read_recording(path), goforward(), atol=1e-4)
    with pytest.raises(FileError, match='cannot be written'):
        write_recording(path / 'b.wav', goforward())


def test_in_real_time_it_takes_as_long_as_it_was_spoken(tmp_path):
    import time

    path = tmp_path / 'a.wav'
    soundfile.write(path, goforward()[:16_000], 16_000)
    source = FileSource(str(path), realtime=True)
    source.open()
    source.begin()
    begun, frames = time.monotonic(), 0
    with pytest.raises(EOFError):
        while True:
            frame = source.read()
            if frame is not None:
                frames += 1
                assert frame.time <= time.monotonic()
    assert frames == 32
    assert time.monotonic() - begun >= 1.0
