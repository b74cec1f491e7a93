"""Services whose answer comes later, from another thread.

rclpy would have a coroutine wait for it. Its executor looks at each waiting coroutine whenever
anything happens, and keeps a list entry for each look: some hundred waiting requests stop it. So
the callback returns `Later`, and the thread that ends the request sends the response.
"""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile

from .log import log_failure, printable

DEEP = QoSProfile(depth=1000)
"""Requests that may wait for the executor: with rclpy's 10, DDS drops the rest of a burst."""


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
            send(response, header)
        except Exception as error:  # the client or this node is gone
            node.get_logger().debug(f'a reply of {name} was not sent: {printable(error)}')

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
