"""The options of a speech/listen goal; the timer of its feedback, which only itself lets rest."""

import threading
from types import SimpleNamespace
from typing import Any
from unittest import mock

from distil_whisper_msgs.action import Listen
import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.utilities import try_shutdown
from robot import isolation

from distil_whisper_ros.core.settings import Settings
from distil_whisper_ros.core.types import Outcome, State, Transcript
from distil_whisper_ros.ros.listen_action import Goal, ListenAction, with_options


@pytest.fixture
def node():
    context = Context()
    rclpy.init(context=context, domain_id=int(isolation()['ROS_DOMAIN_ID']))
    node = Node('listener', context=context)
    yield node
    node.destroy_node()
    try_shutdown(context=context)


@pytest.mark.parametrize(
    ('option', 'value', 'parameter'),
    [
        ('start_timeout', 1.5, 'utterance.wait_for_speech'),
        ('end_silence', 0.5, 'utterance.end_silence'),
        ('turn_detection', 'smart_turn', 'utterance.turn_detection'),
        ('turn_threshold', 0.75, 'utterance.turn_threshold'),
        ('max_pause', 4.0, 'utterance.max_pause'),
        ('max_duration', 8.0, 'utterance.max_duration'),
        ('language', 'en', 'model.language'),
        ('task', 'translate', 'model.task'),
        ('prompt', 'Kinect.', 'model.prompt'),
        ('hotwords', ['Zora'], 'model.hotwords'),
        ('commands', ['stop'], 'commands.phrases'),
    ],
)
def test_each_option_of_a_goal_counts_and_an_empty_one_does_not(option, value, parameter):
    def chosen(goal):
        settings = with_options(Settings(), goal)
        group, name = parameter.split('.')
        return getattr(getattr(settings, group), name)

    assert chosen(Listen.Goal(**{option: value})) == value != chosen(Listen.Goal())
    assert with_options(Settings(), Listen.Goal()) == Settings()


def test_a_limit_may_be_given_though_a_message_rounds_it():
    sent = float(np.float32(0.99))  # 0.9900000095…, which is above the limit
    settings = with_options(Settings(), Listen.Goal(turn_threshold=sent))
    assert settings.utterance.turn_threshold == 0.99


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
