"""Timers on the steady clock: a simulation that pauses must not stop the node's own work."""

from collections.abc import Callable

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.timer import Timer

from .log import log_failure, STEADY


def steady_timer(node: Node, period: float, callback: Callable[[], None]) -> Timer:
    """Return a timer that calls back every `period` seconds, one call at a time.

    Exceptions are logged, and the timer goes on.
    """

    def guarded() -> None:
        try:
            callback()
        except Exception as error:
            log_failure(node, error)

    return node.create_timer(period, guarded, MutuallyExclusiveCallbackGroup(), STEADY)
