#!/usr/bin/env python3
"""Each state of the recognizer is a tone, and a colour (std_msgs/ColorRGBA on `led`).

python3 examples/sounds_and_lights.py        # without a loudspeaker, `earcon` has the state's name
"""

import signal

from distil_whisper_msgs.msg import RecognizerState
import numpy as np
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
import sounddevice
from std_msgs.msg import ColorRGBA, String

GREY = (0.1, 0.1, 0.1)
COLORS = {'ready': (0.0, 0.0, 0.2), 'waiting': (0.0, 0.0, 1.0), 'hearing': (0.0, 1.0, 0.0)}
COLORS |= {'transcribing': (1.0, 1.0, 0.0), 'muted': (1.0, 0.0, 0.0), 'error': (1.0, 0.0, 0.0)}
TONES = {
    'waiting': (660, 880),
    'transcribing': (880, 660),
    'muted': (440, 220),
    'error': (220, 220),
}
RATE, LENGTH = 48_000, 0.09  # Hz, s of one of the two notes


def earcon(notes: tuple[int, ...]) -> np.ndarray:
    """Return notes (Hz) that swell and fade, so that they do not click."""
    time = np.arange(round(LENGTH * RATE)) / RATE
    swell = 0.2 * np.sin(np.pi * time / LENGTH)
    return np.concatenate([swell * np.sin(2 * np.pi * note * time) for note in notes])


def main() -> None:
    """Show each change of the state until Ctrl-C."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    node = rclpy.create_node('speech_sounds_and_lights')
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    led = node.create_publisher(ColorRGBA, 'led', latched)
    names = node.create_publisher(String, 'earcon', 10)

    def show(message: RecognizerState) -> None:
        red, green, blue = COLORS.get(message.label, GREY)
        led.publish(ColorRGBA(r=red, g=green, b=blue, a=1.0))
        if message.label not in TONES:
            return
        try:
            sounddevice.play(earcon(TONES[message.label]).astype(np.float32), RATE)
        except sounddevice.PortAudioError:
            names.publish(String(data=message.label))

    node.create_subscription(RecognizerState, 'speech/state', show, latched)
    try:
        while True:
            rclpy.spin_once(node, timeout_sec=0.5)
    except KeyboardInterrupt:
        pass


if __name__ == '__main__':
    main()
