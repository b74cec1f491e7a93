"""Failures in the log of a node."""

import traceback

from rclpy.clock import Clock, ClockType  # type: ignore[reportPrivateImportUsage] # Humble
from rclpy.node import Node

from ..core.errors import is_memory_full, NO_MEMORY
from ..core.printable import printable

TRACEBACK_LIMIT = 20_000
STEADY = Clock(clock_type=ClockType.STEADY_TIME)  # of throttles: a paused simulation has lines
SAME_LINE = 5.0  # s until the same line about a full memory comes again


def log_failure(node: Node, error: BaseException) -> None:
    """Log an unexpected exception with its traceback, or that the memory is full."""
    if is_memory_full(error):
        node.get_logger().error(
            NO_MEMORY, throttle_duration_sec=SAME_LINE, throttle_time_source_type=STEADY
        )
        return
    text = ''.join(traceback.format_exception(type(error), error, error.__traceback__))
    node.get_logger().error(printable(text, TRACEBACK_LIMIT, lines=True))
