"""Audio messages, of this package and of others, as blocks.

Two packages are called audio_common_msgs, ros-drivers' and mgonzs13's, with different messages of
the same names; they are told apart by their fields.
"""

from collections.abc import Callable
import threading
import time
from typing import Any

from distil_whisper_msgs.msg import Audio
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

from ..audio.pcm import from_bytes, from_int16, from_numbers
from ..audio.stream_source import Block, StreamSource
from ..core.errors import SettingError
from ..core.settings import Settings
from .conversions import seconds

# Not reliable: a message that is sent again comes after up to seconds, and holds up all behind it.
# What is lost is in the next message once more. The history is what a busy machine may be late.
QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=500, reliability=ReliabilityPolicy.BEST_EFFORT
)
PERIOD = 0.5  # s between looks at what is published
PORTAUDIO = {  # mgonzs13's AudioInfo.format: PortAudio's numbers
    1: ('float32_data', 1.0),
    2: ('int32_data', 2.0**31),
    8: ('int16_data', 2.0**15),
    16: ('int8_data', 2.0**7),
    32: ('uint8_data', 2.0**7),
}


class AudioSubscriber(StreamSource):
    """An AudioSource that hears a topic, of whatever type its publisher has."""

    def __init__(self, node: Node, settings: Settings, on_change: Callable[[str], None]) -> None:
        """Hear `settings.audio.topic` from `open` to `close`."""
        super().__init__(
            node.resolve_topic_name(settings.audio.topic), settings.microphone.pre_roll, on_change
        )
        self._owner = node
        self._settings = settings
        self._node: Any = None
        self._executor: Any = None
        self._thread: Any = None
        self._subscription: Any = None
        self._refused = ''

    def open(self) -> None:
        """Subscribe as soon as somebody publishes.

        In a node and thread of its own: 125 messages a second are too many for an executor that
        builds its wait set of all services and timers anew for each.
        """
        super().open()
        self._node = Node(
            f'{self._owner.get_name()}_audio',
            context=self._owner.context,
            namespace=self._owner.get_namespace(),
            use_global_arguments=False,
            start_parameter_services=False,
            enable_rosout=False,
        )
        self._executor = SingleThreadedExecutor(context=self._owner.context)
        self._executor.add_node(self._node)
        self._node.create_timer(PERIOD, self._find)
        self._thread = threading.Thread(target=self._spin, name='audio topic', daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        executor = self._executor
        try:
            while executor is self._executor and self._owner.context.ok():
                executor.spin_once(timeout_sec=PERIOD)
        except ExternalShutdownException:
            pass

    def close(self) -> None:
        """Unsubscribe."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.wake()
            if self._thread is not threading.current_thread():
                self._thread.join(2 * PERIOD)
            executor.shutdown(timeout_sec=PERIOD)
            self._node.destroy_node()
        self._subscription = None
        super().close()

    def _find(self) -> None:
        """Subscribe with the publisher's type and reliability, and look whether it is there."""
        self.check_publisher()
        if self._subscription is not None:
            return
        publishers = self._node.get_publishers_info_by_topic(self._name)
        if not publishers:
            return
        kind, qos = publishers[0].topic_type, QOS
        reliability = publishers[0].qos_profile.reliability
        if reliability is ReliabilityPolicy.RELIABLE:  # others', which have nothing twice
            qos = QoSProfile(depth=QOS.depth, reliability=reliability)
        try:
            message = message_class(kind)
        except SettingError as error:
            if self._refused != kind:
                self._refused = kind
                self._owner.get_logger().error(str(error))
            return
        self._subscription = self._node.create_subscription(message, self._name, self._take, qos)

    def _take(self, message: Any) -> None:
        try:
            self.push(block(message, self._settings))
        except ValueError as error:
            self._owner.get_logger().error(
                f'a message on {self._name} cannot be read: {error}', throttle_duration_sec=5.0
            )


def message_class(kind: str) -> Any:
    """Return the class of a type as "distil_whisper_msgs/msg/Audio"."""
    package, _, name = kind.split('/')
    if package == 'distil_whisper_msgs' and name == 'Audio':
        return Audio
    if package == 'audio_common_msgs':
        from importlib import import_module

        try:
            return getattr(import_module(f'{package}.msg'), name)
        except (ImportError, AttributeError) as error:
            raise SettingError(
                f'audio.topic has messages of {kind}, but that package is not installed here'
            ) from error
    raise SettingError(
        f'audio.topic has messages of {kind}, but must be distil_whisper_msgs/msg/Audio or a '
        'message of audio_common_msgs'
    )


def block(message: Any, settings: Settings) -> Block:
    """Return a message's audio; raise a ValueError if it cannot be."""
    fields = message.get_fields_and_field_types()
    if 'first_sample' in fields:
        samples = from_int16(message.data, message.channels)
        stamp = seconds(message.header.stamp)
        earlier = from_int16(message.earlier, message.channels)
        return Block(samples, message.sample_rate, stamp, message.first_sample, earlier)
    stamp = seconds(message.header.stamp) if 'header' in fields else time.time()
    audio = message.audio if 'audio' in fields else message
    inner = audio.get_fields_and_field_types()
    rate, channels = settings.audio.topic_sample_rate, settings.audio.topic_channels
    if 'audio_data' in inner:  # mgonzs13: Audio or AudioStamped
        info = audio.info
        name, scale = PORTAUDIO.get(info.format, ('', 1.0))
        if not name:
            raise ValueError(f'its format is {info.format}, which is none of PortAudio')
        values = getattr(audio.audio_data, name)
        offset = scale if name.startswith('uint8') else 0.0
        samples = from_numbers(values, info.channels, scale, offset)
        return Block(samples, info.rate, stamp)
    # ros-drivers: AudioData or AudioDataStamped, bytes of 16-bit samples as AudioInfo has them
    return Block(from_bytes(audio.data, channels), rate, stamp)
