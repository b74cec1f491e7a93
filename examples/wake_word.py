#!/usr/bin/env python3
"""A trained wake word model opens the robot's ears: openWakeWord publishes speech/wake.

    pip install openwakeword
    python3 examples/wake_word.py hey_jarvis

The recognizer is hands-free with hands_free.wake_phrases, as [hey jarvis]. Each message on
`speech/wake` opens the window in which the next sentence needs no name, also the sentence that is
being spoken. This program hears the default microphone by itself, beside the recognizer. The
first time it downloads the model. Your own model is a file: wake_word.py hey_max.onnx.
"""

from pathlib import Path
import signal
import sys

import rclpy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from std_msgs.msg import Empty

RATE, FRAME = 16_000, 1280  # Hz; samples, 80 ms, as openWakeWord wants them
THRESHOLD = 0.5  # of the model's score
PAUSE = 25  # frames, 2 s, after which the name counts as another one
MISSING = 'this example needs openWakeWord and sounddevice: pip install openwakeword sounddevice'


def heard(scores, pause=PAUSE):
    """Yield once for each name in the scores of successive frames."""
    quiet = pause
    for score in scores:
        if score >= THRESHOLD and quiet >= pause:
            yield score
        quiet = 0 if score >= THRESHOLD else quiet + 1


def scores_of(name):
    """Yield the score of each frame of the microphone; needs the two libraries."""
    from openwakeword.model import Model  # type: ignore[reportMissingImports] # optional
    from openwakeword.utils import download_models  # type: ignore[reportMissingImports]
    import sounddevice  # type: ignore[reportMissingImports] # optional

    download_models([Path(name).stem])  # what is there already is not downloaded again
    model = Model(wakeword_models=[name], inference_framework='onnx')
    try:
        with sounddevice.InputStream(RATE, FRAME, channels=1, dtype='int16') as microphone:
            while True:
                samples, _ = microphone.read(FRAME)
                yield max(model.predict(samples[:, 0]).values())
    except sounddevice.PortAudioError as error:
        raise OSError(f'the microphone does not work: {error}') from error


def main():
    """Publish speech/wake at each name."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    wake = rclpy.create_node('wake_word').create_publisher(Empty, 'speech/wake', 10)
    _, *names = remove_ros_args(sys.argv)
    try:
        for _ in heard(scores_of(names[0] if names else 'hey_jarvis')):
            wake.publish(Empty())
    except ImportError:
        sys.exit(MISSING)
    except (OSError, ValueError) as error:  # no network, no such model, no microphone
        sys.exit(f'wake_word: {error}')
    except KeyboardInterrupt:
        pass


if __name__ == '__main__':
    main()
