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

from ..core.errors import unexpected
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
        fail(response, printable(unexpected(error)))
        return response

    def take(request: Any, response: Any) -> Any:
        try:
            return callback(request, response)
        except Exception as error:
            return failed(response, error)

    service = node.create_service(
        kind, name, take, qos_profile=DEEP, callback_group=MutuallyExclusiveCallbackGroup()
    )
    reply = _Replies(node, name, service.send_response).send

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


class _Replies:
    """Sends the replies of a service, again where DDS has not found the client yet."""

    def __init__(self, node: Node, name: str, send: Callable[[Any, Any], None]) -> None:
        self._node, self._name, self._send = node, name, send

    def send(self, response: Any, header: Any) -> None:
        if self._is_sent(response, header) is False:
            threading.Thread(target=self._again, args=(response, header), daemon=True).start()

    def _again(self, response: Any, header: Any) -> None:
        period, tries = AGAIN
        for _ in range(tries):
            time.sleep(period)
            if self._is_sent(response, header) is not False:
                return
        self._node.get_logger().warning(
            f'a reply of {self._name} was lost: DDS did not find its client'
        )

    def _is_sent(self, response: Any, header: Any) -> bool | None:
        """Return whether a reply was sent; None if the client or this node is gone."""
        try:
            return is_sent(self._send, response, header)
        except Exception as error:
            log = self._node.get_logger()
            log.debug(f'a reply of {self._name} was not sent: {printable(error)}')
            return None


def is_sent(send: Callable[[Any, Any], None], response: Any, header: Any) -> bool:
    """Send a reply; return False if DDS has not found the client yet, which would lose it.

    A client may send a request before this side has found the reader of its reply. rmw_fastrtps
    waits 0.1 s for that, which is too short on a busy machine (its issue 842), and rclpy only
    warns, through Python's warnings.
    """
    with _replacing:  # two threads at once would note the note itself as what was there before
        if warnings.showwarning is not _note_unmatched:
            _shown[0] = warnings.showwarning
            warnings.showwarning = _note_unmatched
            warnings.filterwarnings('always', UNMATCHED, RuntimeWarning)
    _unmatched.seen = False
    send(response, header)
    return not _unmatched.seen


_shown: list[Any] = [warnings.showwarning]
_replacing = threading.Lock()


def _note_unmatched(message: Any, category: Any, *where: Any, **more: Any) -> None:
    if re.match(UNMATCHED, str(message)):
        _unmatched.seen = True
    else:
        _shown[0](message, category, *where, **more)
