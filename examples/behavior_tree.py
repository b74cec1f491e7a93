#!/usr/bin/env python3
"""A behavior tree asks a question, listens, and acts on the answer: pip install py_trees.

It asks on `say`, for a speech synthesizer; after a yes it publishes "kitchen" on `destination`.
Without an answer it asks once more, and then gives up. Name the synthesizer in self_speech.topics.
"""

import operator
import signal
import sys
from threading import Event
import time
from typing import Any

from distil_whisper_msgs.action import Listen
from py_trees.behaviour import Behaviour
from py_trees.behaviours import CheckBlackboardVariableValue
from py_trees.common import Access, ComparisonExpression, Status
from py_trees.composites import Selector, Sequence
from py_trees.decorators import Retry
from py_trees.display import unicode_tree
from py_trees.trees import BehaviourTree
import rclpy
from rclpy.action.client import ActionClient
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String

ANSWERS = ['yes', 'no']
PERIOD, DISCOVERY = 0.1, 2.0  # s between two ticks; s in which subscribers may be found


class Publish(Behaviour):
    """Publishes a text, as soon as somebody subscribes."""

    def __init__(self, node: Node, topic: str, text: str) -> None:
        super().__init__(f'{topic}: {text}')
        self._publisher, self._text = node.create_publisher(String, topic, 10), text
        self._until = time.monotonic() + DISCOVERY

    def update(self) -> Status:
        if not self._publisher.get_subscription_count() and time.monotonic() < self._until:
            return Status.RUNNING
        self._publisher.publish(String(data=self._text))
        return Status.SUCCESS


class Hear(Behaviour):
    """Listens for one of several commands, and writes its first word on the blackboard."""

    def __init__(self, node: Node, commands: list[str], wait: float) -> None:
        super().__init__(f'hear {", ".join(commands)}')
        self._goal = Listen.Goal(commands=commands, start_timeout=wait)
        self._client = ActionClient(node, Listen, 'speech/listen')
        self._board = self.attach_blackboard_client()
        self._board.register_key('answer', Access.WRITE)

    def setup(self, **_more: object) -> None:
        if not self._client.wait_for_server(10):
            raise RuntimeError('there is no recognizer: start it, or name its namespace')

    def initialise(self) -> None:
        self._sent: Any = self._client.send_goal_async(self._goal)
        self._result: Any = None

    def update(self) -> Status:
        if not self._client.server_is_ready():
            self.feedback_message = 'the recognizer is gone'
            return Status.FAILURE
        if self._result is None and self._sent.done():
            self._result = self._sent.result().get_result_async()
        if self._result is None or not self._result.done():
            return Status.RUNNING
        transcript = self._result.result().result.transcript
        self.feedback_message = transcript.reason or f'"{transcript.text}"'
        self._board.answer = transcript.command.partition(' ')[0]
        return Status.SUCCESS if transcript.command else Status.FAILURE

    def terminate(self, new_status: Status) -> None:
        if new_status == Status.INVALID and self.status == Status.RUNNING and self._result:
            self._sent.result().cancel_goal_async()  # the tree does something else now


def tree(node: Node, wait: float) -> BehaviourTree:
    """Return the tree; `wait` is how long it waits for an answer, in seconds."""
    ask = Publish(node, 'say', 'Shall I go to the kitchen?')
    asked = Sequence('ask', True, [ask, Hear(node, ANSWERS, wait)])
    yes = CheckBlackboardVariableValue('yes?', ComparisonExpression('answer', 'yes', operator.eq))
    going = Publish(node, 'say', 'I am on my way.'), Publish(node, 'destination', 'kitchen')
    act = Selector(
        'act', True, [Sequence('go', True, [yes, *going]), Publish(node, 'say', 'I stay.')]
    )
    answered = Sequence('answered', True, [Retry('twice', asked, 2), act])
    return BehaviourTree(
        Selector('errand', True, [answered, Publish(node, 'say', 'I heard no answer.')])
    )


def main() -> None:
    """Tick the tree until it has succeeded, or Ctrl-C; print how far it came."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    stopped = Event()  # an exception for Ctrl-C could be raised within rclpy
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    node = Node('speech_behavior_tree')
    try:
        errand = tree(node, float(str(node.declare_parameter('wait', 5.0).value)))
        errand.setup()
        while errand.root.status != Status.SUCCESS and not stopped.is_set():
            rclpy.spin_once(node, timeout_sec=PERIOD)
            errand.tick()
        print(unicode_tree(errand.root, show_status=True))
    except (ParameterException, RuntimeError) as error:
        sys.exit(f'behavior_tree: {error}')


if __name__ == '__main__':
    main()
