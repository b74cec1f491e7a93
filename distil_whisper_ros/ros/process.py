"""The process around the node: signals, threads, and a clean end."""

import os
import signal
import sys
import threading
import traceback

import rclpy
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import ok, try_shutdown


def spin(executor: MultiThreadedExecutor, node: Node) -> None:
    """Serve callbacks; one that fails is told, and the others go on."""
    while ok():
        try:
            executor.spin_once(timeout_sec=1.0)
        except ExternalShutdownException:
            return
        except Exception:
            if ok():
                node.get_logger().error(traceback.format_exc())


def run(make, args=None) -> None:
    """Run the node that `make` makes until Ctrl-C or SIGTERM; release all, and exit with 0."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    # The main thread waits for signals alone: rclpy's own handling would raise a
    # KeyboardInterrupt wherever the main thread happens to be.
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    node = make()
    executor = MultiThreadedExecutor(num_threads=4)
    executor.add_node(node)
    thread = threading.Thread(target=spin, args=(executor, node), daemon=True)
    thread.start()
    ended.wait()
    node.close()
    try_shutdown()
    thread.join(2.0)
    sys.stdout.flush()
    sys.stderr.flush()
    # A download or a model on its way into memory cannot be interrupted, and is not waited for.
    os._exit(0)


def main(args=None) -> None:
    """Run the recognizer."""
    from .recognizer_node import SpeechRecognizer

    run(SpeechRecognizer, args)


def microphone(args=None) -> None:
    """Run the network microphone."""
    from .microphone_node import MicrophoneNode

    run(MicrophoneNode, args)


if __name__ == '__main__':
    main()
