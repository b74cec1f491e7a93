"""The process around the node: signals, threads, and the shutdown."""

from collections.abc import Callable
from contextlib import suppress
import os
import signal
import stat
import sys
import threading
import time
import traceback

import rclpy
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import ok, try_shutdown

from ..core.errors import cannot_start
from .log import log_failure, printable, STEADY

THREADS = 6  # transitions, mute and opening a microphone may each hold one for seconds
CLOSING = 8.0  # s until a microphone or a model that hangs is left behind
LAST_REPLIES = 0.1  # s for the results of goals that the end has canceled
LEAVING = 3.0  # s for each step of leaving the graph
LOOK_FOR_SIGNALS = 0.5  # s
NO_THREAD = "can't start new thread"  # Python's sentence
SAME_LINE = 60.0  # s until a line about what others do comes again
AFTER_FAILURE = 0.05  # s: a failure that repeats must not fill the log and the processor


def spin(executor: MultiThreadedExecutor, node: Node, ended: threading.Event) -> None:
    """Serve callbacks until `ended`; log one that fails, and go on."""
    while ok() and not ended.is_set():
        try:
            executor.spin_once(timeout_sec=1.0)
        except ExternalShutdownException:
            return
        except Exception as error:
            if ok() and not ended.is_set():
                _log_failure(node, error)
                time.sleep(AFTER_FAILURE)


def _log_failure(node: Node, error: Exception) -> None:
    """Log what failed in a callback of this package, or of rclpy itself."""
    if type(error).__name__ == 'InvalidHandle':  # each distribution has it in another module
        return  # a subscription was destroyed when its message was about to be taken
    if str(error) == NO_THREAD:  # the call itself waits for a thread that there is
        node.get_logger().warning(
            'the system gives no more threads or memory: close other programs, or raise the limit '
            'of processes (ulimit -u, or pids_limit of the container)',
            throttle_duration_sec=SAME_LINE,
            throttle_time_source_type=STEADY,
        )
        return
    places = (frame.filename for frame in traceback.extract_tb(error.__traceback__))
    if any(place.endswith('time_source.py') for place in places):
        node.get_logger().warning(
            f'a message on /clock cannot be used ({printable(error)}): look at who publishes it',
            throttle_duration_sec=SAME_LINE,
            throttle_time_source_type=STEADY,
        )
        return
    log_failure(node, error)


def never_wait_for_readers() -> None:
    """Let the log lose lines, and not stop the node, where nobody reads it.

    A paused terminal or a log collector that hangs would stop every thread at its next line: the
    node would be deaf, and could not be muted.
    """
    for descriptor in (1, 2):
        with suppress(OSError):  # it is closed, or cannot be opened again: it stays as it is
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISSOCK(mode):
                os.set_blocking(descriptor, False)
            elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
                # Opened again, since the flag would be that of all who share the terminal.
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
                new = os.open(f'/proc/self/fd/{descriptor}', flags)
                os.dup2(new, descriptor)
                os.close(new)


def run(make: Callable[[], Node], args=None) -> None:
    """Run the node that `make` makes until Ctrl-C or SIGTERM; release all, and exit with 0."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    # The main thread waits for signals alone: rclpy's own handling would raise a
    # KeyboardInterrupt wherever the main thread happens to be.
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # rclpy has several, without a common base
        sys.exit(printable(cannot_start(error)))
    never_wait_for_readers()
    try:
        node = make()
    except Exception as error:
        if not type(error).__module__.startswith('rclpy'):
            raise
        given = sys.argv[1:] if args is None else [*args]
        sys.exit(printable(cannot_start(error, given)))
    executor = MultiThreadedExecutor(num_threads=THREADS)
    executor.add_node(node)
    ended = threading.Event()
    thread = threading.Thread(target=spin, args=(executor, node, ended), daemon=True)
    thread.start()
    # The kernel may give a signal to any thread, which does not wake this one, where Python's
    # handlers run. Seen on a busy machine, under strace.
    while not asked.wait(LOOK_FOR_SIGNALS):
        pass
    leave(node, executor, ended, thread)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # nobody reads it
            stream.flush()
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


def leave(
    node: Node, executor: MultiThreadedExecutor, ended: threading.Event, thread: threading.Thread
) -> None:
    """Answer every client, release the devices, and leave the graph.

    A process that just ends stays in the graph of the others for 20 s, and they call its services.
    """
    within(CLOSING, node, getattr(node, 'close', lambda: None))
    time.sleep(LAST_REPLIES)
    ended.set()
    executor.wake()
    thread.join(LEAVING)
    within(LEAVING, node, lambda: executor.shutdown(timeout_sec=0))
    within(LEAVING, node, node.destroy_node)
    within(LEAVING, node, try_shutdown)


def within(seconds: float, node: Node, step: Callable[[], object]) -> None:
    """Do a step of the shutdown in at most `seconds` s; log its exceptions."""

    def guarded() -> None:
        try:
            step()
        except Exception as error:
            log_failure(node, error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    thread.join(seconds)


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
