"""Another node of the same name: both answer each call, and publish each text twice."""

from collections.abc import Callable
import math
import time

from rclpy.node import Node

# s that both must be there: DDS takes a process that was killed for alive for up to 20 s.
LINGERING = 30.0


class TwinWatch:
    """Warns once of each time that there are several."""

    def __init__(self, node: Node, clock: Callable[[], float] = time.monotonic) -> None:
        """Look for nodes with the name of `node`."""
        self._node, self._clock = node, clock
        self._since = math.inf  # the first look that saw several; infinity where the last saw none
        self._warned = False

    def look(self) -> None:
        """Look for others; called once in a while."""
        own = (self._node.get_name(), self._node.get_namespace())
        if self._node.get_node_names_and_namespaces().count(own) < 2:
            self._since, self._warned = math.inf, False
            return
        self._since = min(self._since, self._clock())
        if self._warned or self._clock() - self._since < LINGERING:
            return
        self._warned = True
        self._node.get_logger().warn(
            f'another node is called {self._node.get_fully_qualified_name()} too: both answer '
            'each call, and each text comes twice; end one of them, or start it with another '
            'namespace'
        )
