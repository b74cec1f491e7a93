"""The level and the probability of speech as numbers, for plots."""

from collections.abc import Callable

from std_msgs.msg import Float32

from .managed_node import ManagedNode
from .timers import steady_timer

PERIOD = 0.05  # s: 20 times a second
LOOK = 1.0  # s between looks for subscribers


class SignalMeter:
    """Publishes both while somebody subscribes; it costs nothing otherwise."""

    def __init__(self, node: ManagedNode, signal: Callable[[], tuple[float, float]]) -> None:
        """`signal` returns the level in dBFS and the probability; NaN is not published."""
        self._signal = signal
        self._publishers = [
            node.create_lifecycle_publisher(Float32, name, 10)
            for name in ('speech/level', 'speech/voice_activity')
        ]
        # Only its own callback cancels it: rclpy raises for one canceled between ringing and call.
        self._timer = steady_timer(node, PERIOD, self._publish)
        steady_timer(node, LOOK, self._look)

    def _look(self) -> None:
        if self._timer.is_canceled() and self._wanted:
            self._timer.reset()

    @property
    def _wanted(self) -> bool:
        return any(each.get_subscription_count() for each in self._publishers)

    def _publish(self) -> None:
        if not self._wanted:
            self._timer.cancel()
            return
        for publisher, value in zip(self._publishers, self._signal(), strict=True):
            if value == value:  # no NaN
                publisher.publish(Float32(data=value))
