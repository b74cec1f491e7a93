"""Ask the node whether it works: exit code 0 if it does, else 1 and one line."""

import argparse
import sys
import time

from distil_whisper_msgs.msg import RecognizerState
import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.utilities import remove_ros_args

from ..core.errors import cannot_start

EXAMPLES = """\
examples:
  ros2 run distil_whisper_ros health
  ros2 run distil_whisper_ros health --namespace robot1

exit code: 0 if the recognizer works, 1 if it does not answer or is in an error state.
"""
BAD = (RecognizerState.STATE_ERROR, RecognizerState.STATE_LOST)


def main(arguments: list[str] | None = None) -> None:
    """Wait for the state of the recognizer; exit with 1 if it is an error."""
    parser = argparse.ArgumentParser(
        prog='health',
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--namespace', default='', help='namespace of the node, as "robot1" (default: none)'
    )
    parser.add_argument(
        '--timeout',
        type=float,
        default=10.0,
        help='how long to wait for the node, in seconds (default: 10)',
    )
    given = parser.parse_args(remove_ros_args(arguments or sys.argv)[1:])
    try:
        rclpy.init()
    except Exception as error:  # rclpy has several, without a common base
        sys.exit(f'health: {cannot_start(error)}')
    try:
        node = Node('speech_health', namespace=given.namespace)
    except Exception as error:
        named = [f'__ns:={given.namespace}']
        sys.exit(f'health: {cannot_start(error, named)}')
    states: list[RecognizerState] = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(RecognizerState, 'speech/state', states.append, latched)
    deadline = time.monotonic() + given.timeout
    while not states and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.2)
    node.destroy_node()
    rclpy.shutdown()
    if not states:
        sys.exit(
            f'health: no speech_recognizer answers in namespace "/{given.namespace}" and this '
            'ROS_DOMAIN_ID'
        )
    state = states[-1]
    print(f'{state.label} {state.detail}'.strip())
    sys.exit(1 if state.state in BAD else 0)


if __name__ == '__main__':
    main()
