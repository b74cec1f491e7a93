"""Text from outside made safe for logs and terminals: short, and without control characters."""

import traceback

from rclpy.clock import Clock, ClockType  # type: ignore[reportPrivateImportUsage] # Humble
from rclpy.node import Node

from ..core.errors import is_memory_full, NO_MEMORY

LIMIT = 500  # characters of a line
TRACEBACK_LIMIT = 20_000
STEADY = Clock(clock_type=ClockType.STEADY_TIME)  # of throttles: a paused simulation has lines
SAME_LINE = 5.0  # s until the same line about a full memory comes again


def printable(text: object, limit: int = LIMIT, lines: bool = False) -> str:
    r"""Return a text in at most `limit` characters, plus its length if it was longer.

    Control characters, as newlines, ANSI escapes and invisible marks, are written as Python writes
    them: `\n`, `\x1b`. With `lines`, newlines stay.
    """
    whole = str(text)
    kept = ''.join(
        char if char.isprintable() or (lines and char == '\n') else escaped(char)
        for char in whole[:limit]
    )
    return kept if len(whole) <= limit else f'{kept}... ({len(whole)} characters)'


def escaped(char: str) -> str:
    """Return a control character as Python writes it."""
    return char.encode('unicode_escape').decode('ascii')


def log_failure(node: Node, error: BaseException) -> None:
    """Log an unexpected exception with its traceback, or that the memory is full."""
    if is_memory_full(error):
        node.get_logger().error(
            NO_MEMORY, throttle_duration_sec=SAME_LINE, throttle_time_source_type=STEADY
        )
        return
    text = ''.join(traceback.format_exception(type(error), error, error.__traceback__))
    node.get_logger().error(printable(text, TRACEBACK_LIMIT, lines=True))
