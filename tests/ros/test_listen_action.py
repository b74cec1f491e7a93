"""The timer of speech/listen's feedback: it rests without goals, and only itself lets it rest."""

import threading
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.utilities import try_shutdown
from robot import isolation

from distil_whisper_ros.core.types import Outcome, State, Transcript
from distil_whisper_ros.ros.listen_action import Goal, ListenAction


@pytest.fixture
def node():
    context = Context()
    rclpy.init(context=context, domain_id=int(isolation()['ROS_DOMAIN_ID']))
    node = Node('listener', context=context)
    yield node
    node.destroy_node()
    try_shutdown(context=context)


def test_no_other_thread_cancels_the_timer(node):
    """rclpy raises when a timer is canceled between its ringing and its call."""
    parts: Any = SimpleNamespace()
    action = ListenAction(node, parts, lambda: State.READY)
    handle: Any = SimpleNamespace(goal_id=SimpleNamespace(uuid=bytes(16)), is_active=False)
    goal = Goal(handle, SimpleNamespace(level=0.0), SimpleNamespace(), 0.0)  # type: ignore[arg-type]
    with action._lock:
        action._goals[bytes(16)] = goal
    action._timer.reset()
    with mock.patch.object(action._server, 'finish'):
        answer = Transcript(Outcome.CANCELED)
        thread = threading.Thread(target=action._answer, args=(handle, answer))
        thread.start()
        thread.join()
    assert not action._timer.is_canceled()
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    for _ in range(100):
        if action._timer.is_canceled():
            break
        executor.spin_once(timeout_sec=0.1)
    assert action._timer.is_canceled()
    executor.shutdown()
    action.destroy()
