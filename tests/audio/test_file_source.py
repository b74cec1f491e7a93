"""Recordings of every kind, and files that are none."""

import os
from pathlib import Path
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from robot import goforward
import soundfile

from distil_whisper_ros.audio.file_source import FileSource
from distil_whisper_ros.audio.recording_writer import write_recording
from distil_whisper_ros.audio.recordings import read_recording
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
        ('pipe', 'is not a regular file: name a WAV, FLAC or OGG file'),
        ('1 Hz', 'sample_rate is 1 Hz; it must be from 8000 to 384000 Hz'),
        ('0 Hz', 'is not a recording that can be read'),
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
    elif content == 'pipe':
        os.mkfifo(path)
    elif content in ('1 Hz', '0 Hz'):
        soundfile.write(path, np.zeros(1000, np.float32), 16_000)
        header = bytearray(path.read_bytes())
        header[24:28] = int(content[0]).to_bytes(4, 'little')
        path.write_bytes(header)
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


@pytest.mark.parametrize(
    ('path', 'message'),
    [
        ('~nobody-of-that-name/a.wav', 'no such user'),
        ('/dev/zero', 'is not a regular file'),
        ('/dev/null', 'is not a regular file'),
        ('a' * 5000, 'cannot be opened'),
        ('a\0b', 'does not exist'),
    ],
)
def test_a_path_that_cannot_be_used(path, message):
    with pytest.raises(FileError, match=message) as error:
        FileSource(path).open()
    assert '\n' not in str(error.value)


def test_a_raw_file_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / 'a.raw'
    path.write_bytes(bytes(1000))
    with pytest.raises(FileError, match='is not a recording that can be read: raw samples tell'):
        FileSource(str(path)).open()


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read every file')
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / 'a.wav'
    write_recording(path, goforward())
    path.chmod(0)
    with pytest.raises(FileError, match='Permission denied'):
        FileSource(str(path)).open()


def test_a_long_recording_is_kept_once(tmp_path):
    """Ten minutes at 48 kHz in stereo: 230 MB as float32, and 38 MB in the one format."""
    path = tmp_path / 'long.wav'
    second = np.random.default_rng(0).normal(0, 0.1, (48_000, 2)).astype(np.float32)
    with soundfile.SoundFile(path, 'w', 48_000, 2, 'PCM_16') as recording:
        for _ in range(600):
            recording.write(second)
    tracemalloc.start()
    try:
        source = FileSource(str(path))
        source.open()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 90e6
    source.begin()
    for _ in range(5):
        source.read()
    began = time.monotonic()
    for _ in range(1000):
        assert source.health().level == pytest.approx(-28, abs=3)
    assert time.monotonic() - began < 1.0


def test_a_written_recording_is_private_and_replaces_an_older_one(tmp_path):
    path = tmp_path / 'a.wav'
    path.write_bytes(b'older')
    write_recording(path, goforward())
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ['a.wav']
    assert len(read_recording(path)) == len(goforward())


@pytest.mark.skipif(os.geteuid() != 0, reason='needs root, to mount a small disk')
def test_a_full_disk_leaves_no_part_of_a_file(tmp_path):
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip('this user may not mount a file system')
    try:
        with pytest.raises(FileError, match='cannot be written') as error:
            write_recording(tmp_path / 'a.wav', goforward())
        assert '\n' not in str(error.value)
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(['umount', str(tmp_path)], check=True)


def test_a_write_that_fails_leaves_no_part_of_a_file(tmp_path):
    """A limit of the process stands for a full disk, which not every user can make."""
    code = f"""
import resource, signal, sys
from pathlib import Path
import numpy as np
from distil_whisper_ros.audio.recording_writer import write_recording
from distil_whisper_ros.core.errors import FileError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    write_recording(Path({str(tmp_path / 'a.wav')!r}), np.zeros(100_000, np.float32))
except FileError as error:
    print(error)
"""
    folder = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': folder},
    )
    assert 'a.wav cannot be written' in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []
