"""Services whose answer comes later, from another thread.

rclpy would have a coroutine wait for it. Its executor looks at each waiting coroutine whenever
anything happens, and keeps a list entry for each look: some hundred waiting requests stop it. So
the callback returns `Later`, and the thread that ends the request sends the response.
"""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
import re
import threading
import time
from typing import Any
import warnings

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile

from .log import log_failure, printable

DEEP = QoSProfile(depth=1000)
"""Requests that may wait for the executor: with rclpy's 10, DDS drops the rest of a burst."""

UNMATCHED = r'failed to send response \(timeout\)'
"""How rclpy's warning begins where DDS has not found the client's end of the service yet."""
AGAIN = 0.5, 20
"""Seconds between the tries to send such a reply again, and their number."""
_unmatched = threading.local()


@dataclass(frozen=True)
class Later:
    """An answer that comes later."""

    future: 'Future[Any]'
    finish: Callable[[Any], Any]
    """Makes the response of the future's result."""


def create_deferred_service(
    node: Node,
    kind: Any,
    name: str,
    callback: Callable[[Any, Any], Any],
    fail: Callable[[Any, str], None],
) -> None:
    """Create a service whose callback takes request and response, and returns one or a Later.

    Requests are taken one at a time, in the order of their arrival. Every request has an answer:
    after an exception, `fail` writes a sentence about it into the response.
    """

    def failed(response: Any, error: Exception) -> Any:
        log_failure(node, error)
        fail(response, f'internal error: {printable(repr(error))}')
        return response

    def take(request: Any, response: Any) -> Any:
        try:
            return callback(request, response)
        except Exception as error:
            return failed(response, error)

    service = node.create_service(
        kind, name, take, qos_profile=DEEP, callback_group=MutuallyExclusiveCallbackGroup()
    )
    send = service.send_response

    def reply(response: Any, header: Any) -> None:
        try:
            if not is_sent(send, response, header):
                lasting = threading.Thread(target=again, args=(response, header), daemon=True)
                lasting.start()
        except Exception as error:  # the client or this node is gone
            node.get_logger().debug(f'a reply of {name} was not sent: {printable(error)}')

    def again(response: Any, header: Any) -> None:
        period, tries = AGAIN
        try:
            for _ in range(tries):
                time.sleep(period)
                if is_sent(send, response, header):
                    return
        except Exception as error:
            node.get_logger().debug(f'a reply of {name} was not sent: {printable(error)}')
            return
        node.get_logger().warning(f'a reply of {name} was lost: DDS did not find its client')

    def send_now_or_later(answer: Any, header: Any) -> None:
        if not isinstance(answer, Later):
            reply(answer, header)
            return

        def done(finished: 'Future[Any]') -> None:
            try:
                response = answer.finish(finished.result())
            except Exception as error:
                response = failed(kind.Response(), error)
            reply(response, header)

        answer.future.add_done_callback(done)

    service.send_response = send_now_or_later  # type: ignore[method-assign]


def is_sent(send: Callable[[Any, Any], None], response: Any, header: Any) -> bool:
    """Send a reply; return False if DDS has not found the client yet, which would lose it.

    A client may send a request before this side has found the reader of its reply. rmw_fastrtps
    waits 0.1 s for that, which is too short on a busy machine (its issue 842), and rclpy only
    warns, through Python's warnings.
    """
    if warnings.showwarning is not _note_unmatched:
        _shown[0] = warnings.showwarning
        warnings.showwarning = _note_unmatched
        warnings.filterwarnings('always', UNMATCHED, RuntimeWarning)
    _unmatched.seen = False
    send(response, header)
    return not _unmatched.seen


_shown: list[Any] = [warnings.showwarning]


def _note_unmatched(message: Any, category: Any, *where: Any, **more: Any) -> None:
    if re.match(UNMATCHED, str(message)):
        _unmatched.seen = True
    else:
        _shown[0](message, category, *where, **more)
