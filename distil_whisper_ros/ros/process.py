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


def answer_help(name: str, description: str, example: str, args=None) -> None:
    """Print the help of a node and exit, if the arguments ask for it."""
    given = sys.argv[1:] if args is None else list(args)
    if not {'-h', '--help'} & set(given):
        return
    print(
        f'usage: {name} [--ros-args -p PARAMETER:=VALUE ...]\n\n{description}\n\n'
        f'example:\n  ros2 run distil_whisper_ros {name} --ros-args -p {example}'
    )
    sys.exit(0)


def main(args=None) -> None:
    """Run the recognizer."""
    answer_help(
        'speech_recognizer',
        'Recognize speech and publish its text. The parameters are in config/speech.yaml.',
        'model.id:=distil-whisper/distil-small.en',
        args,
    )
    from .recognizer_node import SpeechRecognizer

    run(SpeechRecognizer, args)


def microphone(args=None) -> None:
    """Run the network microphone."""
    answer_help(
        'microphone',
        'Publish the audio of a microphone, for a recognizer on another machine.',
        'microphone.device:=USB',
        args,
    )
    from .microphone_node import MicrophoneNode

    run(MicrophoneNode, args)


if __name__ == '__main__':
    main()
