"""Standard output and messages: no traceback when a pipe is closed or a disk is full."""

from collections.abc import Iterator
from contextlib import contextmanager
import errno
import os
from pathlib import Path
import sys
from typing import Any

from ..core.printable import printable as escape

CLOSED_PIPE = 141  # the exit code of a program that SIGPIPE ended, in a shell
STANDARD_ERROR = 2


def printable(text: str | Path) -> str:
    r"""Return a text or path for people, of any length.

    Bytes that are not UTF-8 become U+FFFD, and control characters are written as `\n`, `\x1b`.
    """
    return escape(as_utf8(text), sys.maxsize)


def as_utf8(text: str | Path) -> str:
    """Return a text or path in which bytes that are not UTF-8 are replaced by U+FFFD."""
    return str(text).encode('utf-8', 'surrogateescape').decode('utf-8', 'replace')


def use_utf8() -> None:
    """Write UTF-8 to standard output and error, whatever the locale is.

    A standard error that is closed becomes one that leads nowhere, so that nothing else gets its
    number and no message goes to standard output instead.
    """
    if sys.stderr is None:
        _lead_nowhere(STANDARD_ERROR)
        sys.stderr = open(STANDARD_ERROR, 'w', closefd=False)
    streams: list[Any] = [sys.stdout, sys.stderr]
    for stream in streams:
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(encoding='utf-8', errors='replace')


@contextmanager
def standard_output(tool: str) -> Iterator[None]:
    """Exit quietly if nobody reads standard output, with one line if it is full or closed.

    `tool` is the name of the program, for the message.
    """
    if sys.stdout is None:
        tell(f'{tool}: standard output cannot be written: {os.strerror(errno.EBADF)}')
        sys.exit(CLOSED_PIPE)
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _lead_nowhere(sys.stdout.fileno())
        sys.exit(CLOSED_PIPE)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EBADF):
            raise
        _lead_nowhere(sys.stdout.fileno())
        sys.exit(f'{tool}: standard output cannot be written: {error.strerror}')


def tell(line: str) -> None:
    """Print a line on standard error, if that can be written."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        discard_messages()


def discard_messages() -> None:
    """Let what goes to standard error lead nowhere: it is full, or its terminal is closed."""
    _lead_nowhere(sys.stderr.fileno())


def _lead_nowhere(descriptor: int) -> None:
    """Let a descriptor lead nowhere; the interpreter flushes to it at its end, and complains."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
