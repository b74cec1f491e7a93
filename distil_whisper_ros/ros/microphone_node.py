"""The executable `microphone`: publishes this machine's microphone for another machine."""

import threading
import time

from builtin_interfaces.msg import Time as TimeMessage
from distil_whisper_msgs.msg import Audio
import numpy as np
from rclpy.node import Node
from rclpy.time import Time

from ..audio.pcm import to_int16
from ..audio.source import AudioSource
from ..core.audio_format import FRAME_DURATION, FRAME_LENGTH, SAMPLE_RATE
from ..core.errors import DeviceError, SpeechError
from ..core.types import State
from .audio_subscriber import QOS
from .heartbeat import keep_heartbeat
from .log import printable
from .parameters import Parameters

BLOCK_LENGTH = 128  # samples: with a frame of earlier ones, a message fits in one packet
RETRY_PERIOD = 5.0  # s between attempts to open the microphone


class MicrophoneNode(Node):
    """Reads the microphone, or a recording, and publishes each frame."""

    def __init__(self) -> None:
        """Declare the parameters, of which audio.* and microphone.* are used, and begin."""
        super().__init__('microphone')
        self._own_parameters = Parameters(self, lambda kind: '', 'nothing is published')
        self._closing = threading.Event()
        self._source: AudioSource | None = None
        self._said = self._noticed = ''
        self._audio = self.create_publisher(
            Audio, str(self.get_parameter('audio.topic').value), QOS
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        keep_heartbeat(self, self._health)

    def _health(self) -> tuple[State, str]:
        return (State.LOST, printable(self._said)) if self._said else (State.READY, '')

    def _make(self) -> AudioSource:
        settings = self._own_parameters.settings
        if settings.audio.source == 'file':
            from ..audio.file_source import FileSource

            return FileSource(
                settings.audio.file, True, settings.microphone.channel, self._on_notice
            )
        from ..audio.microphone import Microphone

        return Microphone(settings.microphone, self._on_change)

    def _run(self) -> None:
        """Publish until the node is closed, whatever goes wrong."""
        while not self._closing.is_set():
            try:
                self._attempt()
            except EOFError:
                self.get_logger().info('the recording is over, and begins again')
                continue
            except SpeechError as error:
                self._on_change(str(error))
            except Exception as error:
                if not self._closing.is_set():
                    self._on_change(f'publishing failed: {type(error).__name__}: {error}')
            self._closing.wait(RETRY_PERIOD)

    def _attempt(self) -> None:
        """Open the source and publish it until that fails."""
        before = self._said
        source = self._source = self._make()
        try:
            source.open()
            health = source.health()
            name = printable(health.name)
            self.get_logger().info(f'"{name}" is published on {self._audio.topic_name}')
            if before and self._said == before:  # what kept it from being opened is gone
                self._on_change('')
            self._publish(source)
        finally:
            source.close()

    def _publish(self, source: AudioSource) -> None:
        frame_id = self._own_parameters.settings.microphone.frame_id
        if (
            self._own_parameters.settings.audio.source == 'file'
        ):  # a person would wait to be heard, too
            while not self._audio.get_subscription_count() and not self._closing.is_set():
                self._closing.wait(0.1)
        source.begin()
        first, before = 0, np.empty(0, np.int16)
        while not self._closing.is_set():
            try:
                frame = source.read()
            except DeviceError as error:  # the source opens its device again by itself
                self._on_change(str(error))
                first, before = 0, before[:0]
                self._closing.wait(FRAME_DURATION)
                continue
            if frame is None:
                continue
            samples = to_int16(frame.samples)
            both = np.concatenate((before, samples))
            for begin in range(0, FRAME_LENGTH, BLOCK_LENGTH):
                middle = len(before) + begin
                message = Audio(sample_rate=SAMPLE_RATE, channels=1, first_sample=first + begin)
                message.header.stamp = self._stamp(frame.time + begin / SAMPLE_RATE)
                message.header.frame_id = frame_id
                message.data.frombytes(both[middle : middle + BLOCK_LENGTH].tobytes())
                earlier = both[max(0, middle - FRAME_LENGTH) : middle]
                message.earlier.frombytes(earlier.tobytes())
                self._audio.publish(message)
            first, before = first + FRAME_LENGTH, samples

    def _stamp(self, moment: float) -> TimeMessage:
        """Return a moment of time.monotonic() by the node's clock."""
        age = round((time.monotonic() - moment) * 1e9)
        now = self.get_clock().now().nanoseconds
        return Time(nanoseconds=max(0, now - age)).to_msg()

    def _on_notice(self, notice: str) -> None:
        """Say what is odd about a recording, which works all the same."""
        if notice != self._noticed:
            self.get_logger().warn(printable(notice))
        self._noticed = notice

    def _on_change(self, problem: str) -> None:
        if problem and problem != self._said:
            self.get_logger().warn(printable(problem))
        elif not problem:
            self.get_logger().info('the microphone works again')
        self._said = problem

    def close(self) -> None:
        """Release the microphone."""
        self._closing.set()
        if self._source is not None:
            self._source.close()
        self._thread.join(2.0)
