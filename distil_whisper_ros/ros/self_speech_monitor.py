"""Topics and actions that are true or active while the robot itself speaks."""

from collections.abc import Callable

from action_msgs.msg import GoalStatus, GoalStatusArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Bool, String

from ..core.errors import SettingError
from .log import printable
from .timers import steady_timer

ACTIVE = (GoalStatus.STATUS_ACCEPTED, GoalStatus.STATUS_EXECUTING, GoalStatus.STATUS_CANCELING)
PERIOD = 1.0  # s between checks that each speaker still exists


class SelfSpeechMonitor:
    """Reports when the robot starts and stops to speak.

    An utterance that starts during robot speech is ignored until the next pause.
    """

    def __init__(
        self,
        node: Node,
        topics: list[str],
        actions: list[str],
        on_change: Callable[[str, bool], None],
        text_topic: str = '',
        on_text: Callable[[str], object] = bool,
    ) -> None:
        """Call `on_change` with a speaker, and whether it speaks; `on_text` with what it says.

        Raise a SettingError for a name that ROS does not take.
        """
        self._node = node
        self._on_change = on_change
        self._speaking: dict[str, bool] = {}
        self._group = MutuallyExclusiveCallbackGroup()
        self._subscriptions = []
        self._timer = None
        try:
            for name in topics:
                self._follow_topic(name)
            for name in actions:
                self._follow_action(name)
            if text_topic:
                self._follow_text(text_topic, on_text)
        except Exception as error:
            self.close()
            texts = [text_topic] if text_topic else []
            self._check_type('self_speech.topics', topics, 'std_msgs/msg/Bool')
            self._check_type('self_speech.text_topic', texts, 'std_msgs/msg/String')
            reason = printable(str(error).partition(', at /')[0])  # less the place in rcl's source
            raise SettingError(
                'self_speech.topics, self_speech.actions or self_speech.text_topic has a wrong '
                f'name: {reason}'
            ) from error
        if topics or actions:
            self._timer = steady_timer(node, PERIOD, self._end_speakers_that_are_gone)

    def _check_type(self, parameter: str, names: list[str], wanted: str) -> None:
        """Raise a SettingError for a topic that has another type here."""
        known = dict(self._node.get_topic_names_and_types())
        for name in names:
            types = known.get(self._node.resolve_topic_name(name), [wanted])
            if any(each != wanted for each in types):
                raise SettingError(
                    f'{parameter} has {printable(name)!r}, a topic with messages of '
                    f'{", ".join(types)}, but it must have {wanted}'
                )

    def _follow_topic(self, name: str) -> None:
        def on_message(message: Bool) -> None:
            self._set(name, message.data)

        self._subscriptions.append(
            self._node.create_subscription(Bool, name, on_message, 10, callback_group=self._group)
        )

    def _follow_text(self, name: str, on_text: Callable[[str], object]) -> None:
        def on_message(message: String) -> None:
            on_text(message.data)

        self._subscriptions.append(
            self._node.create_subscription(
                String, name, on_message, 10, callback_group=self._group
            )
        )

    def _follow_action(self, name: str) -> None:
        def on_status(message: GoalStatusArray) -> None:
            self._set(name, any(goal.status in ACTIVE for goal in message.status_list))

        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscriptions.append(
            self._node.create_subscription(
                GoalStatusArray,
                f'{name}/_action/status',
                on_status,
                latched,
                callback_group=self._group,
            )
        )

    def _set(self, name: str, speaking: bool) -> None:
        if self._speaking.get(name, False) != speaking:
            self._speaking[name] = speaking
            self._on_change(name, speaking)

    def _end_speakers_that_are_gone(self) -> None:
        """End the speech of a speaker without a publisher, which cannot report its end."""
        for name, speaking in tuple(self._speaking.items()):
            gone = all(
                self._node.count_publishers(topic) == 0
                for topic in (name, f'{name}/_action/status')
            )
            if speaking and gone:
                self._node.get_logger().warn(
                    f'{printable(name)} disappeared during robot speech: listening again'
                )
                self._set(name, False)

    def close(self) -> None:
        """Stop following the speakers."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
