"""The files that texts are written to: whole or not at all."""

from collections.abc import Iterable
import errno
import os
from pathlib import Path
import stat

from ..core.errors import FileError, SettingError, SpeechError
from .output import printable
from .recording_files import STANDARD_INPUT

HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # later files could not be written either


class OutputError(SpeechError):
    """No file can be written."""


def check_folder(folder: Path) -> None:
    """Make the output folder; raise a SettingError if it cannot be used."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise SettingError(
            f'--output is {printable(folder)}, which is not a folder: name another one'
        ) from error
    except OSError as error:
        raise SettingError(
            f'--output is {printable(folder)}, which cannot be made: {error.strerror}'
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingError(
            f'--output is {printable(folder)}, in which this user may not write: name another one'
        )


def targets(paths: Iterable[Path], folder: Path, extension: str) -> list[Path]:
    """Return a file in `folder` for each recording, no two of them the same.

    The name is the recording's stem; where another recording has it, the recording's full name,
    and then a number.
    """
    chosen: list[Path] = []
    for each in paths:
        path = Path('stdin') if each == STANDARD_INPUT else each
        names = [path.stem, path.name, *(f'{path.name}.{number}' for number in range(2, 10_000))]
        free = (folder / f'{name}{extension}' for name in names)
        chosen.append(next(each for each in free if each not in chosen))
    return chosen


def regular_file(file: Path) -> Path:
    """Return the file that is written for `file`: itself, or the target of a link.

    Raise an OSError if something else has that name: a device, a pipe or a folder.
    """
    try:
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EEXIST, 'it is not a regular file')
    except FileNotFoundError:
        pass
    return Path(os.path.realpath(file))


def write(file: Path, text: str) -> None:
    """Write a text as UTF-8, whole or not at all; of a link, the target is written.

    Raise a FileError if that fails, and an OutputError if later files could not be written either.
    """
    try:
        target = regular_file(file)
        part = target.with_name(f'.{target.name[:80]}-{os.getpid()}.part')
        try:
            with open(part, 'x', encoding='utf-8') as output:
                output.write(text)
                output.flush()
                os.fsync(output.fileno())  # tells of a full disk here, not later
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        problem = f'{printable(file)} cannot be written: {error.strerror}'
        if error.errno in HOPELESS:
            raise OutputError(problem) from error
        raise FileError(problem) from error
