#!/usr/bin/env python3
"""Each state of the recognizer is a colour on `led`, and a tone, or its name on `earcon`."""

import signal

from distil_whisper_msgs.msg import RecognizerState
import numpy as np
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
import sounddevice
from std_msgs.msg import ColorRGBA, String

BLUE, GREEN, RED = ColorRGBA(b=1.0, a=1.0), ColorRGBA(g=1.0, a=1.0), ColorRGBA(r=1.0, a=1.0)
COLORS = {'waiting': BLUE, 'hearing': GREEN, 'muted': RED, 'error': RED}
COLORS |= {'ready': ColorRGBA(b=0.2, a=1.0), 'transcribing': ColorRGBA(r=1.0, g=1.0, a=1.0)}
NOTES = {'waiting': (660, 880), 'transcribing': (880, 660), 'muted': (440, 220), 'error': (220,)}


def show(message: RecognizerState) -> None:
    """Show a state; without a loudspeaker, publish its name. 0.1 s has whole waves: no click."""
    led.publish(COLORS.get(message.label, ColorRGBA(r=0.1, g=0.1, b=0.1, a=1.0)))
    if notes := NOTES.get(message.label):
        sound = [0.2 * np.sin(2 * np.pi * note * np.arange(4800) / 48_000) for note in notes]
        try:
            sounddevice.play(np.concatenate(sound).astype(np.float32), 48_000)
        except sounddevice.PortAudioError:
            names.publish(String(data=message.label))


ended: list[int] = []  # by Ctrl-C: an exception could be raised within rclpy
signal.signal(signal.SIGINT, lambda number, _: ended.append(number))
rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
node = rclpy.create_node('speech_sounds_and_lights')
latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
led = node.create_publisher(ColorRGBA, 'led', latched)
names = node.create_publisher(String, 'earcon', 10)
node.create_subscription(RecognizerState, 'speech/state', show, latched)
while not ended:
    rclpy.spin_once(node, timeout_sec=0.5)
