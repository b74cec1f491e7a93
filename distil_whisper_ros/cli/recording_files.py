"""The recordings that the command line names: files, folders, standard input."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, ExitStack
import os
from pathlib import Path
import sys
import tempfile
from typing import Any

from ..core.errors import FileError
from .bags import bag_as_wav, is_bag
from .output import printable

SUFFIXES = {
    *('.wav', '.wave', '.rf64', '.w64', '.flac', '.ogg', '.oga', '.opus', '.mp3', '.aiff', '.aif'),
    *('.aifc', '.au', '.snd', '.caf', '.m4a', '.m4b', '.mp4', '.webm', '.mka', '.aac', '.amr'),
    *('.3gp', '.wma', '.mcap'),
}
STANDARD_INPUT = Path('-')
LONGEST_INPUT = 16 << 30  # bytes: ten hours of 48 kHz in stereo, as floats
Tell = Callable[[str], None]


def recordings(names: Iterable[str], skip: Tell, fail: Tell) -> list[Path]:
    """Return the recordings: each file that is named, and those in each folder.

    `skip` and `fail` are called with a line about a file that is none, and about a folder that
    cannot be read.
    """
    found: list[Path] = []
    for name in names:
        if name != '-' and os.path.isdir(name):
            there = in_folder(Path(name), skip, fail)
            if not there:
                skip(f'no recordings in {printable(name)}')
            found += there
        else:
            found.append(Path(name))
    return found


def in_folder(folder: Path, skip: Tell, fail: Tell) -> list[Path]:
    """Return the recordings in a folder and the folders in it, sorted."""

    def unreadable(error: OSError) -> None:
        fail(f'the folder {printable(str(error.filename))} cannot be read: {error.strerror}')

    found: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=unreadable):
        for name in sorted((*folders, *files)):
            path = Path(parent, name)
            if path.suffix.lower() not in SUFFIXES:
                continue
            reason = why_skipped(path)
            if reason:
                skip(f'skipped {printable(path)}: {reason}')
            else:
                found.append(path)
    return sorted(found)


def why_skipped(path: Path) -> str:
    """Return why a file in a folder is no recording, although its name is one's; or ''."""
    if path.name.startswith('._'):
        return 'macOS keeps other data of a file in it'
    if os.path.isdir(path):
        return 'it is a folder; only the recordings in it are read'
    if not os.path.lexists(path) or os.path.isfile(path):
        return ''
    return 'the link is broken' if os.path.islink(path) else 'it is not a regular file'


def named(path: Path) -> str:
    """Return the name of a recording for people."""
    return 'standard input' if path == STANDARD_INPUT else printable(path)


@contextmanager
def as_file(path: Path) -> Iterator[Path]:
    """Give a recording as a file, which standard input and bags become; raise a FileError."""
    if is_bag(path):
        with bag_as_wav(path) as file:
            yield file
        return
    if path != STANDARD_INPUT:
        yield path
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise FileError('standard input is no recording: pipe one in, or name a file')
    with ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.NamedTemporaryFile(prefix='transcribe-'))
            size = 0
            source: Any = sys.stdin.buffer
            while part := source.read(1 << 16):
                size += len(part)
                if size > LONGEST_INPUT:
                    raise FileError(
                        f'standard input is longer than {LONGEST_INPUT >> 30} GB: name a file'
                    )
                file.write(part)
            file.flush()
        except OSError as error:
            raise FileError(
                f'standard input cannot be kept in {tempfile.gettempdir()}: {error.strerror}; '
                'set TMPDIR to a folder with space'
            ) from error
        if not size:
            raise FileError('standard input is empty')
        yield Path(file.name)
