#!/usr/bin/env python3
"""Speech drives a robot: "go forward ten meters", "turn left", "stop" become Twist messages.

    python3 examples/drive.py --ros-args -r cmd_vel:=/your_robot/cmd_vel

It switches the recognizer to hands-free and subscribes to two topics. `speech/text` brings the
commands. `speech/partial` brings the stop word while the person still speaks, because a stop must
not wait for the end of a sentence. This does not make a robot safe: a stop word can be misheard.
"""

from dataclasses import dataclass
import math
import re
import signal
from threading import Event
import time

from geometry_msgs.msg import Twist
import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String
from std_srvs.srv import SetBool

SPEED = 0.5  # m/s
TURN_RATE = 0.8  # rad/s
PERIOD = 0.05  # s between Twists while moving
LONGEST = 60.0  # s, maximum duration of one motion
NUMBERS = {
    word: number
    for number, word in enumerate(
        'zero one two three four five six seven eight nine ten eleven twelve'.split()
    )
} | {'a': 1, 'fifteen': 15, 'twenty': 20, 'thirty': 30, 'forty': 40, 'ninety': 90}
STOP_WORDS = {'stop', 'halt', 'freeze'}


@dataclass(frozen=True)
class Motion:
    """A velocity and its duration."""

    linear: float = 0.0
    """In m/s, forward is positive (REP-103)."""
    angular: float = 0.0
    """In rad/s, left is positive."""
    duration: float = 0.0
    """In seconds."""


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return re.findall(r'[a-z0-9.]*[a-z0-9]', text.lower())


def wants_stop(text: str) -> bool:
    """Return whether a text, which may be unfinished, has a stop word."""
    return bool(STOP_WORDS & set(words(text)))


def amount(spoken: list[str], default: float) -> float:
    """Return the first number in the words, or the default."""
    for word in spoken:
        if word in NUMBERS:
            return float(NUMBERS[word])
        if re.fullmatch(r'\d+(\.\d+)?', word):
            return float(word)
    return default


def understand(text: str) -> Motion | None:
    """Return the motion that a text commands, or None if it commands none."""
    spoken = words(text)
    if wants_stop(text):
        return Motion()
    if {'forward', 'ahead', 'back', 'backward', 'backwards'} & set(spoken):
        metres = amount(spoken, 1.0)
        metres *= 0.01 if {'centimeters', 'centimeter'} & set(spoken) else 1.0
        ahead = bool({'forward', 'ahead'} & set(spoken))
        return Motion(linear=SPEED if ahead else -SPEED, duration=min(LONGEST, metres / SPEED))
    if {'left', 'right'} & set(spoken) and {'turn', 'turned', 'rotate', 'go'} & set(spoken):
        angle = math.radians(amount(spoken, 90.0))
        side = 1 if 'left' in spoken else -1
        return Motion(angular=side * TURN_RATE, duration=min(LONGEST, angle / TURN_RATE))
    return None


class Driver(Node):
    """Hears commands and moves."""

    def __init__(self) -> None:
        super().__init__('speech_driver')
        self._motion, self._until = Motion(), 0.0
        self._moving = False
        self._velocity = self.create_publisher(Twist, 'cmd_vel', 10)
        self.create_subscription(String, 'speech/text', self._on_text, 10)
        self.create_subscription(String, 'speech/partial', self._on_partial, 10)
        self.create_timer(PERIOD, self._move)
        self._hands_free = self.create_client(SetBool, 'speech/hands_free')
        self._asking = self.create_timer(1.0, self._listen)

    def _listen(self) -> None:
        """Ask the recognizer to transcribe every utterance, until it answers."""
        if not self._hands_free.service_is_ready():
            return
        answer = self._hands_free.call_async(SetBool.Request(data=True))
        answer.add_done_callback(self._on_answer)

    def _on_answer(self, answer) -> None:
        if answer.result().success:
            self._asking.cancel()
            self.get_logger().info('say "go forward two meters", "turn left", or "stop"')

    def _on_partial(self, message: String) -> None:
        if wants_stop(message.data):
            self._begin(Motion(), message.data)

    def _on_text(self, message: String) -> None:
        motion = understand(message.data)
        if motion is None:
            self.get_logger().info(f'"{message.data}" is no command')
        else:
            self._begin(motion, message.data)

    def _begin(self, motion: Motion, text: str) -> None:
        self.get_logger().info(f'"{text}": {motion}')
        self._motion, self._until = motion, time.monotonic() + motion.duration
        self._moving = True
        self._move()

    def _move(self) -> None:
        """Publish the velocity while moving, and once a zero at the end."""
        if not self._moving:
            return
        twist = Twist()
        if time.monotonic() < self._until:
            twist.linear.x, twist.angular.z = self._motion.linear, self._motion.angular
        else:
            self._moving = False
        self._velocity.publish(twist)


def main() -> None:
    """Run the node until Ctrl-C."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    stopped = Event()  # an exception for Ctrl-C could be raised within rclpy
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    node = Driver()
    while not stopped.is_set():
        rclpy.spin_once(node, timeout_sec=0.5)


if __name__ == '__main__':
    main()
