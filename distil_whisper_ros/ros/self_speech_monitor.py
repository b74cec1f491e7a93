"""Topics and actions that tell when the robot itself speaks."""

from collections.abc import Callable

from action_msgs.msg import GoalStatus, GoalStatusArray
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Bool

UNDER_WAY = (GoalStatus.STATUS_ACCEPTED, GoalStatus.STATUS_EXECUTING, GoalStatus.STATUS_CANCELING)
PERIOD = 1.0  # s between looks at whether a speaker is still there


class SelfSpeechMonitor:
    """Follows the speakers."""

    def __init__(
        self,
        node: Node,
        topics: list[str],
        actions: list[str],
        on_speech: Callable[[str, bool], None],
        group: CallbackGroup,
    ) -> None:
        """`on_speech` is told which speaker begins (True) or ends."""
        self._node = node
        self._on_speech = on_speech
        self._speaking: dict[str, bool] = {}
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscriptions = [
            *(
                node.create_subscription(
                    Bool, name, self._follow_topic(name), 10, callback_group=group
                )
                for name in topics
                if name
            ),
            *(
                node.create_subscription(
                    GoalStatusArray,
                    f'{name}/_action/status',
                    self._follow_action(name),
                    latched,
                    callback_group=group,
                )
                for name in actions
                if name
            ),
        ]
        self._timer = (
            node.create_timer(PERIOD, self._look, callback_group=group)
            if self._subscriptions
            else None
        )

    def _follow_topic(self, name: str):
        return lambda message: self._tell(name, message.data)

    def _follow_action(self, name: str):
        def follow(message) -> None:
            under_way = any(status.status in UNDER_WAY for status in message.status_list)
            self._tell(name, under_way)

        return follow

    def _tell(self, name: str, speaking: bool) -> None:
        if self._speaking.get(name, False) != speaking:
            self._speaking[name] = speaking
            self._on_speech(name, speaking)

    def _look(self) -> None:
        """Stop waiting for a speaker that is gone: it cannot say that it is done."""
        for name, speaking in tuple(self._speaking.items()):
            gone = all(
                self._node.count_publishers(topic) == 0
                for topic in (name, f'{name}/_action/status')
            )
            if speaking and gone:
                self._node.get_logger().warn(f'{name} is gone while the robot spoke: listening')
                self._tell(name, False)

    def close(self) -> None:
        """Follow nobody any more."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
