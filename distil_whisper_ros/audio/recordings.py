"""Recordings: WAV, FLAC, OGG and whatever else libsndfile reads."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ..core.audio_format import SAMPLE_RATE, Samples
from ..core.errors import FileError
from .resampling import resample


def read_recording(path: str | Path) -> Samples:
    """Return a recording in the one format, or raise a FileError that names the file."""
    path = Path(path).expanduser()
    if path.is_dir() or not path.exists():
        kind = 'is a folder' if path.is_dir() else 'does not exist'
        raise FileError(f'the recording {path} {kind}: name a WAV, FLAC or OGG file')
    name: Any = os.fsencode(path)  # a name need not be UTF-8
    try:
        block, rate = soundfile.read(name, dtype='float32', always_2d=True)
    except (soundfile.LibsndfileError, OSError, TypeError, ValueError) as error:
        raise FileError(
            f'{path} is not a recording that can be read ({str(error).split(": ")[-1]}): '
            'use WAV, FLAC or OGG'
        ) from error
    if not len(block):
        raise FileError(f'the recording {path} is empty: it has no samples')
    if not np.isfinite(block).all():
        raise FileError(
            f'the recording {path} has samples that are not numbers (NaN or infinite): record '
            'or convert it again'
        )
    return resample(np.asarray(block, np.float32), rate)


def write_recording(path: Path, samples: Samples) -> None:
    """Write samples in the one format as 16-bit WAV."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, SAMPLE_RATE, subtype='PCM_16')
    except (soundfile.LibsndfileError, OSError) as error:
        raise FileError(f'{path} cannot be written: {error}') from error
