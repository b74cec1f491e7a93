"""Standard output and messages: no traceback when a pipe is closed or a disk is full."""

from collections.abc import Iterator
from contextlib import contextmanager
import errno
import os
from pathlib import Path
import sys
from typing import Any

CLOSED_PIPE = 141  # the exit code of a program that SIGPIPE ended, in a shell


def printable(text: str | Path) -> str:
    """Return a text or path in which bytes that are not UTF-8 are replaced by U+FFFD."""
    return os.fsencode(str(text)).decode('utf-8', 'replace')


def use_utf8() -> None:
    """Write UTF-8 to standard output and error, whatever the locale is."""
    streams: list[Any] = [sys.stdout, sys.stderr]
    for stream in streams:
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(encoding='utf-8', errors='replace')


@contextmanager
def standard_output(tool: str) -> Iterator[None]:
    """Exit quietly if the reader of standard output is gone, with one line if it is full.

    `tool` is the name of the program, for the message.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        sys.exit(CLOSED_PIPE)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EBADF):
            raise
        _discard_output()
        sys.exit(f'{tool}: standard output cannot be written: {error.strerror}')


def _discard_output() -> None:
    """Let the interpreter flush to nowhere at its end, where it would complain."""
    with open(os.devnull, 'w') as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
