"""Writes recordings."""

import os
from pathlib import Path
import tempfile

import soundfile

from ..core.audio_format import SAMPLE_RATE, Samples
from ..core.errors import FileError


def write_recording(path: Path, samples: Samples) -> None:
    """Write samples in the one format as 16-bit WAV; only this user may read it.

    The file appears whole or not at all. Raise a FileError if it cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, temporary = tempfile.mkstemp('.part', f'.{path.name}-', path.parent)  # mode 0600
        try:
            soundfile.write(temporary, samples, SAMPLE_RATE, subtype='PCM_16', format='WAV')
            os.fsync(number)  # tells of a full disk here, not later
        finally:
            os.close(number)
        os.replace(temporary, path)
        temporary = None
    except (soundfile.SoundFileError, OSError, AssertionError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or 'the disk may be full'
        raise FileError(
            f'{path} cannot be written ({reason}): check the folder and the space on its disk'
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
