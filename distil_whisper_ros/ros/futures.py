"""Waiting in a coroutine of the executor for what another thread does."""

from concurrent.futures import Future as ThreadFuture
import threading
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.task import Future


def awaitable(node: Node, pending: 'ThreadFuture[Any]') -> Any:
    """Return a future that a coroutine of the node's executor can await."""
    executor = node.executor
    future = Future(executor=executor)

    def done(finished) -> None:
        future.set_result(finished.result())
        if executor is not None:
            executor.wake()  # Humble looks at coroutines only when something happens

    pending.add_done_callback(done)
    return future


class InOrder(CallbackGroup):
    """Lets callbacks begin in the order of their messages, and then wait side by side.

    A reentrant group takes messages in several threads, and a later one may overtake; an exclusive
    group keeps the next waiting until a coroutine is done. Each callback calls `begun` once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._beginning = False

    def can_execute(self, entity) -> bool:
        """Return whether no other callback is about to begin."""
        return not self._beginning

    def beginning_execution(self, entity) -> bool:
        """Take the turn; return whether it was free."""
        with self._lock:
            free = not self._beginning
            self._beginning = True
            return free

    def ending_execution(self, entity) -> Any:
        """Do nothing: the turn was given up when the callback had begun."""
        return True

    def begun(self, node: Node) -> None:
        """Give up the turn."""
        with self._lock:
            self._beginning = False
        if node.executor is not None:
            node.executor.wake()
