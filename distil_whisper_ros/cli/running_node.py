"""Ask a recognizer that runs which model it has."""

from dataclasses import dataclass
import time
from typing import Any

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
import rclpy
from rclpy.node import Node

ANSWER = 5.0  # s
RECOGNIZER = 'speech_recognizer'


@dataclass(frozen=True)
class RunningNode:
    """A recognizer on this machine or in the network."""

    name: str
    """With its namespace."""
    model: str
    revision: str
    loaded: bool


def names(node: Node) -> list[str]:
    """Return the full names of the recognizers that `node` sees."""
    seen = node.get_node_names_and_namespaces()
    return sorted(f'{space.rstrip("/")}/{name}' for name, space in seen if name == RECOGNIZER)


def ask(node: Node, name: str) -> RunningNode | None:
    """Return what the recognizer `name` has, or None if it does not answer."""
    request = GetParameters.Request(names=['model.id', 'model.revision'])
    parameters = _call(node, GetParameters, f'{name}/get_parameters', request)
    state = _call(node, GetState, f'{name}/get_state', GetState.Request())
    if parameters is None or state is None or len(parameters.values) != len(request.names):
        return None
    model, revision = (value.string_value for value in parameters.values)
    primary = state.current_state.id
    loaded = primary in (State.PRIMARY_STATE_INACTIVE, State.PRIMARY_STATE_ACTIVE)
    return RunningNode(name, model, revision, loaded)


def _call(node: Node, kind: Any, service: str, request: Any) -> Any:
    """Return the response of a service, or None if there is none in time."""
    client = node.create_client(kind, service)
    try:
        if not client.wait_for_service(ANSWER):
            return None
        future = client.call_async(request)
        deadline = time.monotonic() + ANSWER
        while not future.done() and time.monotonic() < deadline:
            rclpy.spin_once(node, timeout_sec=0.1)
        return future.result() if future.done() else None
    finally:
        node.destroy_client(client)
