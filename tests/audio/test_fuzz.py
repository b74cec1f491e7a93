"""Damaged recordings: each gives samples or a FileError, and takes no more memory than it may."""

import io
import os
import random
import tracemalloc

import numpy as np
import pytest
from robot import goforward
import soundfile
import soxr

from distil_whisper_ros.audio.recordings import read_recording
from distil_whisper_ros.core.errors import FileError

CASES = int(os.environ.get('FUZZ_CASES', '300'))
HEADER = 120  # bytes at the beginning, where damage does most
# What a byte of a file may take: the lowest rate is doubled and a sample of 4 bits has 4 bytes of
# float32, while it is read and after; a packet of OGG or FLAC that repeats itself takes the most.
PER_BYTE, AT_LEAST = 4_000, 64e6

KINDS = {
    'wav': ('WAV', 'PCM_16', 16_000, 1),
    'float': ('WAV', 'FLOAT', 48_000, 2),
    'adpcm': ('WAV', 'IMA_ADPCM', 8_000, 1),
    'flac': ('FLAC', 'PCM_16', 44_100, 2),
    'ogg': ('OGG', 'VORBIS', 16_000, 1),
}


def recording(kind: str) -> bytes:
    """Return half a second of a person's words as a file of that kind."""
    form, subtype, rate, channels = KINDS[kind]
    samples = soxr.resample(goforward()[8_000:16_000], 16_000, rate)
    stream = io.BytesIO()
    soundfile.write(stream, np.stack([samples] * channels, 1), rate, subtype, format=form)
    return stream.getvalue()


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Return a file with some bytes changed, removed, added or cut off."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        size = min(len(changed), chance.choice((HEADER, HEADER, len(changed))))
        place = chance.randrange(max(1, size))
        action = chance.randrange(5)
        if action == 0:
            changed[place : place + 1] = bytes([chance.randrange(256)])
        elif action == 1:  # a number of four bytes that is extreme
            extreme = chance.choice((0, 1, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1))
            changed[place : place + 4] = extreme.to_bytes(4, 'little')
        elif action == 2:
            del changed[place : place + chance.randrange(1, 16)]
        elif action == 3:
            changed[place:place] = chance.randbytes(chance.randrange(1, 16))
        else:
            del changed[max(4, place) :]
    return bytes(changed)


@pytest.mark.parametrize('kind', KINDS)
def test_a_damaged_recording_gives_samples_or_a_file_error(tmp_path, kind):
    original, path = recording(kind), tmp_path / f'damaged.{kind}'
    read = 0
    for seed in range(-(-CASES // len(KINDS))):
        data = damaged(original, random.Random(f'{kind} {seed}'))
        path.write_bytes(data)
        tracemalloc.start()
        try:
            samples = read_recording(path)
            read += 1
            assert samples.dtype == np.float32 and samples.ndim == 1, seed
            assert len(samples) and np.isfinite(samples).all(), seed
        except FileError as error:
            assert str(path) in str(error), seed
            assert '\n' not in str(error), seed
        finally:
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert most < AT_LEAST + PER_BYTE * len(data), (seed, most, len(data))
    # Some damage does no harm: the reader was truly reached. Each page of OGG has a checksum.
    assert read or CASES < 50 or kind == 'ogg'
