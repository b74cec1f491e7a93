"""What fails inside rclpy's own callbacks ends nothing, and fills no log."""

import errno
import threading
import time

from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition
from robot import goforward, robot, wait_for
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Bool

from distil_whisper_ros.ros import process


class Lines:
    """A node of which only the log is used, and an executor that fails."""

    def __init__(self, *errors: Exception) -> None:
        self.lines: list[str] = []
        self.ended = threading.Event()
        self._errors = list(errors)

    def get_logger(self) -> 'Lines':
        return self

    def warning(self, text: str, **_more: object) -> None:
        self.lines.append(text)

    error = warning

    def spin_once(self, timeout_sec: float) -> None:
        if not self._errors:
            self.ended.set()
            return
        raise self._errors.pop(0)


def test_what_a_person_can_put_right_has_no_traceback(monkeypatch):
    """No thread, and a handle that is gone: both come from inside rclpy at rare moments."""
    monkeypatch.setattr(process, 'ok', lambda: True)
    gone = type('InvalidHandle', (RuntimeError,), {})('it was destroyed')
    memory = OSError(errno.ENOMEM, 'Cannot allocate memory')
    both = Lines(RuntimeError("can't start new thread"), gone, memory, ValueError('a fault'))
    process.spin(both, both, both.ended)  # type: ignore[arg-type]
    first, full, second = both.lines
    assert full.startswith('no memory is left: ')
    assert first.startswith('the system gives no more threads or memory: ')
    assert second.startswith('Traceback') and second.endswith('ValueError: a fault\n')


def test_a_wrong_time_on_the_clock_is_one_line_of_the_log(room):
    with robot(environment=room.environment, use_sim_time=True) as (client, process):
        publisher = client.node.create_publisher(Clock, '/clock', 10)
        wait_for(publisher.get_subscription_count, 20, 'the subscription to /clock')
        client.wait_state('ready')
        for seconds in (-5,) * 30 + (7,):
            publisher.publish(Clock(clock=Time(sec=seconds)))
            time.sleep(0.05)  # its queue holds one
        wait_for(lambda: 'on /clock cannot be used' in process.log(), 20, 'the line')
        future = client.start_trigger('record')
        room.say(goforward(), wait=False)
        wait_for(future.done, 30, 'the reply')
        assert future.result().message.capitalize() == 'Go forward 10 meters.'
        assert process.log().count('on /clock cannot be used') == 1
        assert 'Traceback' not in process.log()


def test_messages_that_come_while_their_subscription_goes_are_no_failure(room):
    names = ['a', 'b']
    with robot(environment=room.environment, self_speech__topics=names) as (client, process):
        client.wait_state('ready')
        ended = threading.Event()
        publishers = [client.node.create_publisher(Bool, name, 10) for name in names]

        def publish() -> None:
            while not ended.wait(0.003):
                for publisher in publishers:
                    publisher.publish(Bool(data=False))

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            for _ in range(60):
                assert client.change_state(Transition.TRANSITION_DEACTIVATE)
                assert client.change_state(Transition.TRANSITION_ACTIVATE)
        finally:
            ended.set()
            thread.join()
        assert 'Traceback' not in process.log()
