"""Let the recognizer listen once, show its progress, and print the text."""

import argparse
from contextlib import contextmanager, suppress
import os
import select
import signal
import sys
import time
from typing import Any

from rich.live import Live
from rich.text import Text

from ..core.errors import cannot_start
from .arguments import namespace, Parser, seconds, utf8
from .output import discard_messages, standard_output, tell, use_utf8
from .progress import is_interactive, terminal

EXAMPLES = """\
examples:
  ros2 run distil_whisper_ros listen
  ros2 run distil_whisper_ros listen --namespace robot1 --end-silence 1.2
  ros2 run distil_whisper_ros listen --command "turn left" --command "turn right" --command stop
  text=$(ros2 run distil_whisper_ros listen) && echo "you said: $text"

keys while it listens: Enter or Space ends the utterance; Esc, q or Ctrl-C cancels.

The text goes to standard output, everything else to standard error.

exit code: 0 with a text, 1 without one (with the reason), 2 for wrong arguments or without a
recognizer, 130 after cancel.
"""
METER = 24  # characters of the level meter
QUIETEST = -60.0  # dBFS at its left end
DISCOVERY_TIMEOUT = 5.0  # s
REPLY_TIMEOUT = 10.0  # s from the goal to the answer that it is taken: DDS may lose one
GONE_TIMEOUT = 3.0  # s without the recognizer until the result is given up
REFRESH = 0.05  # s
STOP, CANCEL = {'\r', '\n', ' '}, {'\x1b', 'q', '\x03'}


def meter(level: float) -> str:
    """Return a bar for a level in dBFS."""
    filled = round((max(QUIETEST, min(0.0, level)) - QUIETEST) / -QUIETEST * METER)
    return '█' * filled + '·' * (METER - filled)


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog='listen',
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    time_given = {'type': seconds(0.0), 'default': 0.0, 'metavar': 'SECONDS'}
    parser.add_argument(
        '--start-timeout', **time_given, help='how long to wait for speech to start'
    )
    parser.add_argument('--end-silence', **time_given, help='pause that ends the utterance')
    parser.add_argument(
        '--turn-detection',
        default='',
        choices=('', 'auto', 'smart_turn', 'silence'),
        help='how to tell that you are done',
    )
    parser.add_argument('--max-pause', **time_given, help='longest pause within the utterance')
    parser.add_argument('--max-duration', **time_given, help='maximum duration of the utterance')
    parser.add_argument(
        '--language', type=utf8, default='', help='language spoken, as "en" or "german"'
    )
    parser.add_argument(
        '--task',
        default='',
        choices=('', 'transcribe', 'translate'),
        help='write the text as spoken, or translate it to English',
    )
    parser.add_argument('--prompt', type=utf8, default='', help='text that guides spelling')
    parser.add_argument(
        '--hotword',
        type=utf8,
        action='append',
        default=[],
        help='a rare word that is likely to be spoken; can be given several times',
    )
    parser.add_argument(
        '--command',
        type=utf8,
        action='append',
        default=[],
        help='print the command that was said instead of the text; can be given several times',
    )
    parser.add_argument(
        '--namespace', type=namespace, default='', help='namespace of the robot, as "robot1"'
    )
    parser.add_argument('--quiet', action='store_true', help='print only the text')
    return parser


@contextmanager
def single_keys():
    """Read single keys from the terminal, if there is one; yield a function that returns one."""
    if sys.stdin is None or not sys.stdin.isatty():
        yield lambda: ''
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def key() -> str:
        ready, _, _ = select.select([descriptor], [], [], 0)
        try:
            return os.read(descriptor, 1).decode(errors='ignore') if ready else ''
        except OSError:  # the terminal is closed; SIGHUP tells
            return ''

    try:
        tty.setcbreak(descriptor, termios.TCSADRAIN)  # a key that was pressed before counts
        yield key
    finally:
        with suppress(termios.error):  # the terminal is closed
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def ending_signals() -> list[signal.Signals]:
    """Return the signals that cancel; not SIGHUP where nohup has it ignored."""
    ending = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    return ending[: 2 if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else 3]


@contextmanager
def interrupts():
    """Note Ctrl-C, SIGTERM and SIGHUP, and end at a second one; yield the list of what is noted.

    An exception in the middle of rclpy could lose the reply that it takes. A terminal that is
    closed may send SIGHUP twice, itself and by its shell.
    """
    noted: list[int] = []

    def note(number: int, _: object) -> None:
        if noted and number != signal.SIGHUP:
            raise KeyboardInterrupt
        noted.append(number)

    before = {each: signal.signal(each, note) for each in ending_signals()}
    try:
        yield noted
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class Screen:
    """One line that shows the state, the level and the text so far; a context manager."""

    def __init__(self, quiet: bool) -> None:
        self._live: Live | None = None
        if not quiet and is_interactive():
            self._live = Live(
                console=terminal(),
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )

    def __enter__(self) -> 'Screen':
        if self._live is not None:
            with self._guarded():
                self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live is not None:
            with self._guarded():
                self._live.stop()

    @contextmanager
    def _guarded(self):
        """Show nothing from now on if the terminal is closed."""
        try:
            yield
        except OSError:
            discard_messages()
            self._live = None

    def show(self, state: str, level: float, text: str) -> None:
        """Show a state, a level in dBFS and a text, of which the end is visible."""
        if self._live is not None:
            width = max(20, self._live.console.width - METER - 18)
            line = Text(no_wrap=True, overflow='crop')
            line.append(f'{state:12} ', 'bold')
            line.append(meter(level), 'green')
            line.append(f' {text[-width:]}')
            with self._guarded():
                self._live.update(line, refresh=True)


def main(given: list[str] | None = None) -> None:
    """Listen once."""
    use_utf8()
    options = arguments().parse_args(given)
    try:
        import rclpy
        from rclpy.signals import SignalHandlerOptions
    except ImportError:
        tell('listen: ROS 2 was not found: source its setup.bash')
        sys.exit(2)
    try:
        # Not rclpy's signal handlers: without its context, the goal cannot be canceled.
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        for each in ending_signals():
            signal.signal(each, signal.default_int_handler)  # as Ctrl-C
    except Exception as error:  # rclpy has several, without a common base
        tell(f'listen: {cannot_start(error)}')
        sys.exit(2)
    try:
        with standard_output('listen'):
            code = listen(options)
    except KeyboardInterrupt:
        code = 130
    except SystemExit as error:  # standard output cannot be written
        code = error.code if isinstance(error.code, int) else 1
        if isinstance(error.code, str):
            tell(error.code)
    sys.exit(code)


def listen(options: argparse.Namespace) -> int:
    """Send the goal, show its progress, print the result; return the exit code."""
    from distil_whisper_msgs.action import Listen
    import rclpy
    from rclpy.action.client import ActionClient
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.utilities import try_shutdown

    try:
        node = rclpy.create_node('listen', namespace=options.namespace)
    except Exception as error:  # rclpy has several, without a common base
        given = [f'__ns:={options.namespace}']
        print(f'listen: {cannot_start(error, given)}', file=sys.stderr)
        return 2
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    client = ActionClient(node, Listen, 'speech/listen')
    try:
        return ask(executor, node, client, options)
    finally:
        # A process that just ends stays in the graph of the others for 20 s, and what it shared of
        # its memory stays on the disk, where the next one finds it.
        executor.shutdown(timeout_sec=0)
        client.destroy()
        node.destroy_node()
        try_shutdown()


def ask(executor: Any, node: Any, client: Any, options: argparse.Namespace) -> int:
    """Send the goal if there is a recognizer, print the result; return the exit code."""
    from distil_whisper_msgs.action import Listen

    if not client.wait_for_server(DISCOVERY_TIMEOUT):
        where = node.resolve_topic_name('speech/listen')
        tell(
            f'listen: there is no recognizer at {where}: start it (ros2 launch distil_whisper_ros '
            'speech.launch.py), or name its --namespace'
        )
        return 2
    goal = Listen.Goal(
        start_timeout=options.start_timeout,
        end_silence=options.end_silence,
        turn_detection=options.turn_detection,
        max_pause=options.max_pause,
        max_duration=options.max_duration,
        language=options.language,
        task=options.task,
        prompt=options.prompt,
        hotwords=options.hotword,
        commands=options.command,
        partial_results=not options.quiet,
    )
    try:
        with Screen(options.quiet) as screen:
            answer = run_goal(executor, node, client, goal, screen)
    except ConnectionError as error:
        tell(f'listen: {error}')
        return 2
    return print_result(answer, options)


def run_goal(executor: Any, node: Any, client: Any, goal: Any, screen: Screen) -> Any:
    """Send the goal, show its feedback and obey keys until it ends; return the result.

    Everything runs in this thread: rclpy's action client notes a request only after it has sent
    it, so that another thread, which spins, may find nothing that its reply belongs to.

    Raises a ConnectionError if the recognizer is gone, or does not answer.
    """
    from distil_whisper_msgs.msg import RecognizerState
    from std_srvs.srv import Trigger

    names = {
        getattr(RecognizerState, f'STATE_{name}'): name.lower()
        for name in ('READY', 'WAITING', 'HEARING', 'TRANSCRIBING', 'MUTED', 'LOST')
    }
    stop = node.create_client(Trigger, 'speech/stop')

    def on_feedback(message: Any) -> None:
        now = message.feedback
        screen.show(names.get(now.state, ''), now.level, now.partial_text)

    result: Any = None
    wanted = canceled = False
    begun = seen = time.monotonic()
    # Before the goal: from then on a person may press one.
    with single_keys() as key, interrupts() as interrupted:
        sent = client.send_goal_async(goal, feedback_callback=on_feedback)
        while result is None or not result.done():
            pressed = key()
            executor.spin_once(timeout_sec=REFRESH)
            if result is None and sent.done():
                result = sent.result().get_result_async()
            if pressed in STOP:
                stop.call_async(Trigger.Request())
            wanted = wanted or pressed in CANCEL or bool(interrupted)
            if wanted and result is not None and not canceled:
                canceled = True
                sent.result().cancel_goal_async()
            now = time.monotonic()
            seen = now if client.server_is_ready() else seen
            if now > seen + GONE_TIMEOUT:
                raise ConnectionError('the recognizer is gone: see its log')
            if result is None and now > begun + REPLY_TIMEOUT:
                raise ConnectionError(f'the recognizer did not answer within {REPLY_TIMEOUT:g} s')
    return result.result()


def print_result(answer: Any, options: argparse.Namespace) -> int:
    """Print the result of the goal; return the exit code."""
    from action_msgs.msg import GoalStatus

    def print_detail(text: str) -> None:
        if not options.quiet:
            tell(text)

    transcript = answer.result.transcript
    if answer.status == GoalStatus.STATUS_CANCELED:
        tell('listen: canceled')
        return 130
    if not transcript.accepted:
        tell(f'listen: {transcript.reason}')
        return 1
    if options.command:
        print(transcript.command, flush=True)
        command = transcript.command or 'no command'
        print_detail(f'{command}, probability {transcript.command_score:.0%}: "{transcript.text}"')
        return 0 if transcript.command else 1
    print(transcript.text, flush=True)
    print_detail(
        f'{transcript.latency:.2f} s after the end of speech, confidence '
        f'{transcript.confidence:.0%}'
    )
    return 0


if __name__ == '__main__':
    main()
