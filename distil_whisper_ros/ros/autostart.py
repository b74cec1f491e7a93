"""Configure and activate the node at its start, and try again until that works."""

from collections.abc import Callable

from rclpy.node import Node

from .timers import steady_timer

AT_ONCE = 0.01  # s


class Autostart:
    """Calls `start` soon, and again after as many seconds as it returns, until it returns None."""

    def __init__(self, node: Node, start: Callable[[], float | None]) -> None:
        """Wait for the executor; one timer serves every attempt."""
        self._start = start
        self._ended = False
        self._timer = steady_timer(node, AT_ONCE, self._attempt)

    def _attempt(self) -> None:
        self._timer.cancel()  # it would ring again at once
        if self._ended:
            return
        delay = self._start()
        if delay is not None and not self._ended:
            self._timer.timer_period_ns = round(delay * 1e9)
            self._timer.reset()

    def end(self) -> None:
        """Make no further attempt."""
        self._ended = True
