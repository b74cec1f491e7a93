"""Ask the node whether it works: exit code 0 if it does, else 1 and one line."""

import argparse
from collections.abc import Sequence
import signal
import sys
import time

from distil_whisper_msgs.msg import RecognizerState
import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from ..core.errors import cannot_start
from .arguments import namespace, Parser, seconds
from .output import printable, standard_output, use_utf8

EXAMPLES = """\
examples:
  ros2 run distil_whisper_ros health
  ros2 run distil_whisper_ros health --namespace robot1

exit code: 0 if the recognizer works, 1 if it does not answer or is in an error state, 2 for wrong
arguments, 130 after Ctrl-C.
"""
SHORTEST = 0.1  # s
BAD = (RecognizerState.STATE_ERROR, RecognizerState.STATE_LOST)


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog='health',
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--namespace',
        type=namespace,
        default='',
        help='namespace of the node, as "robot1" (default: none)',
    )
    parser.add_argument(
        '--timeout',
        type=seconds(SHORTEST),
        default=10.0,
        help='how long to wait for the node, in seconds (default: 10)',
    )
    return parser


def without_ros(given: list[str]) -> list[str]:
    """Return the arguments without those for ROS."""
    try:
        return remove_ros_args(given)
    except UnicodeEncodeError:  # ROS takes no other bytes
        return given
    except Exception as error:  # rclpy has several, without a common base
        sys.exit(f'health: {cannot_start(error)}')


def main(given: list[str] | None = None) -> None:
    """Wait for the state of the recognizer; exit with 1 if it is an error."""
    use_utf8()
    options = arguments().parse_args(without_ros(given or sys.argv)[1:])
    try:
        # Not rclpy's signal handlers: they end the context while it is in use.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # rclpy has several, without a common base
        sys.exit(f'health: {cannot_start(error)}')
    interrupted: list[int] = []  # an exception in the middle of rclpy may end in a traceback
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda number, _: interrupted.append(number))
    state = newest_state(options.namespace, options.timeout, interrupted)
    if interrupted:
        sys.exit(130)
    if state is None:
        sys.exit(
            f'health: no speech_recognizer answers in namespace "/{options.namespace}" and this '
            'ROS_DOMAIN_ID'
        )
    if sys.stdout is not None:  # the exit code is what a check reads
        with standard_output('health'):
            print(printable(f'{state.label} {state.detail}'.strip()))
    sys.exit(1 if state.state in BAD else 0)


def newest_state(space: str, timeout: float, interrupted: Sequence[int]) -> RecognizerState | None:
    """Return the state of the recognizer in a namespace, or None if there is none in time.

    It waits until a signal is in `interrupted`.
    """
    try:
        node = Node('speech_health', namespace=space)
    except Exception as error:
        sys.exit(f'health: {cannot_start(error, [f"__ns:={space}"])}')
    try:
        states: list[RecognizerState] = []
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(RecognizerState, 'speech/state', states.append, latched)
        deadline = time.monotonic() + timeout
        while not (states or interrupted) and time.monotonic() < deadline:
            rclpy.spin_once(node, timeout_sec=0.2)
        return states[-1] if states else None
    finally:
        node.destroy_node()
        rclpy.shutdown()


if __name__ == '__main__':
    main()
