"""Ask the recognizer to listen, watch it hear, and print the text."""

import argparse
from contextlib import contextmanager
import os
import select
import sys
import threading
import time
from typing import Any

EXAMPLES = """\
examples:
  ros2 run distil_whisper_ros listen
  ros2 run distil_whisper_ros listen --namespace robot1 --end-silence 1.2
  ros2 run distil_whisper_ros listen --command "turn left" --command "turn right" --command stop
  text=$(ros2 run distil_whisper_ros listen) && echo "you said: $text"

keys while it listens: Enter or Space stops and transcribes, Esc, q or Ctrl-C cancels.

The text goes to standard output, all else to standard error. exit code: 0 with a text, 1 without
one (the reason is told), 2 for wrong arguments or without a recognizer, 130 if it was canceled.
"""
METER = 24  # characters of the level meter
QUIETEST = -60.0  # dBFS at its left end
FOUND_WITHIN = 5.0  # s
REFRESH = 0.05  # s
STOP, CANCEL = {'\r', '\n', ' '}, {'\x1b', 'q', '\x03'}


def meter(level: float) -> str:
    """Return a bar for a level in dBFS."""
    filled = round((max(QUIETEST, min(0.0, level)) - QUIETEST) / -QUIETEST * METER)
    return '█' * filled + '·' * (METER - filled)


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog='listen',
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    seconds = {'type': float, 'default': 0.0, 'metavar': 'SECONDS'}
    parser.add_argument('--start-timeout', **seconds, help='until somebody must have begun')
    parser.add_argument('--end-silence', **seconds, help='pause that ends the utterance')
    parser.add_argument('--max-duration', **seconds, help='longest utterance')
    parser.add_argument('--language', default='', help='as "en" or "german"')
    parser.add_argument('--task', default='', choices=('', 'transcribe', 'translate'))
    parser.add_argument('--prompt', default='', help='text that guides spelling')
    parser.add_argument('--hotword', action='append', default=[], help='a rare word; repeatable')
    parser.add_argument('--command', action='append', default=[], help='map the text; repeatable')
    parser.add_argument('--namespace', default='', help="the robot's")
    parser.add_argument('--quiet', action='store_true', help='print the text alone')
    return parser


@contextmanager
def single_keys():
    """Read single keys from the terminal, if there is one; yield a function that returns one."""
    if not sys.stdin.isatty():
        yield lambda: ''
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def key() -> str:
        ready, _, _ = select.select([descriptor], [], [], 0)
        return os.read(descriptor, 1).decode(errors='ignore') if ready else ''

    try:
        tty.setcbreak(descriptor)
        yield key
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class Screen:
    """One line that shows the state, the level and the text so far."""

    def __init__(self, quiet: bool) -> None:
        self._shown = not quiet and sys.stderr.isatty()

    def show(self, state: str, level: float, text: str) -> None:
        """Draw the line anew."""
        if self._shown:
            width = max(20, os.get_terminal_size(sys.stderr.fileno()).columns - METER - 18)
            line = f'{state:12} {meter(level)} {text[-width:]}'
            print(f'\r\033[K{line}', end='', file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            print('\r\033[K', end='', file=sys.stderr, flush=True)


def main(given: list[str] | None = None) -> None:
    """Listen once."""
    options = arguments().parse_args(given)
    try:
        import rclpy
    except ImportError:
        print('listen: ROS 2 is not there: source its setup.bash', file=sys.stderr)
        sys.exit(2)
    rclpy.init(args=[])
    try:
        code = listen(options)
    except KeyboardInterrupt:
        code = 130
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # rclpy's threads may still wait


def listen(options: argparse.Namespace) -> int:
    """Send the goal, show what comes, print the result; return the exit code."""
    from distil_whisper_msgs.action import Listen
    import rclpy
    from rclpy.action.client import ActionClient
    from rclpy.executors import SingleThreadedExecutor

    node = rclpy.create_node('listen', namespace=options.namespace)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    threading.Thread(target=executor.spin, daemon=True).start()
    client = ActionClient(node, Listen, 'speech/listen')
    if not client.wait_for_server(FOUND_WITHIN):
        where = node.resolve_topic_name('speech/listen')
        print(
            f'listen: there is no recognizer at {where}: start it (ros2 launch distil_whisper_ros '
            'speech.launch.py), or name its --namespace',
            file=sys.stderr,
        )
        return 2
    goal = Listen.Goal(
        start_timeout=options.start_timeout,
        end_silence=options.end_silence,
        max_duration=options.max_duration,
        language=options.language,
        task=options.task,
        prompt=options.prompt,
        hotwords=options.hotword,
        commands=options.command,
        partial_results=not options.quiet,
    )
    answer = attended(node, client, goal, Screen(options.quiet))
    return told(answer, options)


def attended(node: Any, client: Any, goal: Any, screen: Screen) -> Any:
    """Send the goal, draw its feedback, and obey keys until its result is there; return that."""
    from distil_whisper_msgs.msg import RecognizerState
    from std_srvs.srv import Trigger

    names = {
        getattr(RecognizerState, name): name.lower()
        for name in ('READY', 'WAITING', 'HEARING', 'TRANSCRIBING', 'MUTED', 'LOST')
    }
    stop = node.create_client(Trigger, 'speech/stop')

    def on_feedback(message: Any) -> None:
        now = message.feedback
        screen.show(names.get(now.state, ''), now.level, now.partial_text)

    sent = client.send_goal_async(goal, feedback_callback=on_feedback)
    result: Any = None
    wanted = canceled = False
    with single_keys() as key:
        while result is None or not result.done():
            if result is None and sent.done():
                result = sent.result().get_result_async()
            try:
                pressed = key()
                time.sleep(REFRESH)
            except KeyboardInterrupt:
                pressed = 'q'
            if pressed in STOP:
                stop.call_async(Trigger.Request())
            wanted = wanted or pressed in CANCEL
            if wanted and result is not None and not canceled:
                canceled = True
                sent.result().cancel_goal_async()
    screen.clear()
    return result.result()


def told(answer: Any, options: argparse.Namespace) -> int:
    """Print what came of the goal; return the exit code."""
    from action_msgs.msg import GoalStatus

    def aside(text: str) -> None:
        if not options.quiet:
            print(text, file=sys.stderr)

    transcript = answer.result.transcript
    if answer.status == GoalStatus.STATUS_CANCELED:
        print('listen: canceled', file=sys.stderr)
        return 130
    if not transcript.accepted:
        print(f'listen: {transcript.reason}', file=sys.stderr)
        return 1
    if options.command:
        print(transcript.command, flush=True)
        what = transcript.command or 'no command'
        aside(f'{what}: {transcript.command_score:.0%} like "{transcript.text}"')
        return 0 if transcript.command else 1
    print(transcript.text, flush=True)
    aside(
        f'{transcript.latency:.2f} s after the end of speech, confidence '
        f'{transcript.confidence:.0%}'
    )
    return 0


if __name__ == '__main__':
    main()
