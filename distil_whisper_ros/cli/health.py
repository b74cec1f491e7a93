"""Ask the node whether it does its work: exit code 0 if so, else 1 and one line."""

import argparse
import sys
import time

from distil_whisper_msgs.msg import RecognizerState
import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.utilities import remove_ros_args

BAD = (RecognizerState.STATE_ERROR, RecognizerState.STATE_LOST)


def main(arguments: list[str] | None = None) -> None:
    """Wait for the latched state of the recognizer and judge it."""
    parser = argparse.ArgumentParser(prog='health', description=__doc__)
    parser.add_argument(
        '--namespace', default='', help='the node\'s namespace, as "robot1" (default: none)'
    )
    parser.add_argument(
        '--timeout', type=float, default=10.0, help='seconds to wait for the node (default: 10)'
    )
    given = parser.parse_args(remove_ros_args(arguments or sys.argv)[1:])
    rclpy.init()
    node = Node('speech_health', namespace=given.namespace)
    states: list[RecognizerState] = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(RecognizerState, 'speech/state', states.append, latched)
    deadline = time.monotonic() + given.timeout
    while not states and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.2)
    node.destroy_node()
    rclpy.shutdown()
    if not states:
        sys.exit(f'no speech_recognizer answers in "/{given.namespace}" and this ROS_DOMAIN_ID')
    state = states[-1]
    print(f'{state.label} {state.detail}'.strip())
    sys.exit(1 if state.state in BAD else 0)


if __name__ == '__main__':
    main()
