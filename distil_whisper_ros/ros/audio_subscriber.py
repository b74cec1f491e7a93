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

from ..audio.limits import check_format, LONGEST_BLOCK
from ..audio.message_block import Block
from ..audio.pcm import from_bytes, from_int16, from_numbers
from ..audio.stream_source import StreamSource
from ..core.errors import AudioError, FormatError, SettingError
from ..core.settings import Settings
from .conversions import seconds
from .log import printable, STEADY
from .timers import steady_timer

# Not reliable: a message that is sent again comes after up to seconds, and holds up all behind it.
# The next message has lost samples once more. The history covers a busy machine that is late.
QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=500, reliability=ReliabilityPolicy.BEST_EFFORT
)
PERIOD = 0.5  # s between looks at the topic's publishers
LOG_PERIOD = 5.0  # s between log lines of the same fault
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
            node.resolve_topic_name(settings.audio.topic),
            settings.microphone.pre_roll,
            on_change,
            channel=settings.microphone.channel,
        )
        self._owner = node
        self._settings = settings
        self._node: Any = None
        self._executor: Any = None
        self._thread: Any = None
        self._subscription: Any = None
        self._subscribed: Any = None  # the type and reliability of the subscription
        self._refused = ''  # why the type of the publisher cannot be used
        self._opening_or_closing = threading.RLock()

    def open(self) -> None:
        """Subscribe as soon as there is a publisher.

        In a node and thread of its own: 125 messages a second are too many for an executor that
        builds its wait set of all services and timers for each.
        """
        with self._opening_or_closing:
            if self._executor is not None:
                return
            try:
                self._start()
            except BaseException:
                self.close()  # a part of it would count as open
                raise

    def _start(self) -> None:
        """Start the node, its executor and its thread."""
        super().open()
        self._node = Node(
            f'{self._owner.get_name()}_audio',
            context=self._owner.context,
            namespace=self._owner.get_namespace(),
            use_global_arguments=False,
            start_parameter_services=False,
            enable_rosout=False,
        )
        executor = self._executor = SingleThreadedExecutor(context=self._owner.context)
        executor.add_node(self._node)
        steady_timer(self._node, PERIOD, self._find)
        self._thread = threading.Thread(
            target=self._spin, args=(executor,), name='audio topic', daemon=True
        )
        self._thread.start()

    def _spin(self, executor: SingleThreadedExecutor) -> None:
        """Serve the callbacks until the source is closed, whatever one of them raises."""
        while executor is self._executor and self._owner.context.ok():
            try:
                executor.spin_once(timeout_sec=PERIOD)
            except ExternalShutdownException:
                return
            except Exception as error:
                if executor is not self._executor or not self._owner.context.ok():
                    return
                self._log(f'hearing {self._name} failed: {type(error).__name__}: {error}')
                time.sleep(0.01)  # a fault that stays must not take the whole processor

    def _log(self, text: str) -> None:
        self._owner.get_logger().error(
            printable(text), throttle_duration_sec=LOG_PERIOD, throttle_time_source_type=STEADY
        )

    def close(self) -> None:
        """Unsubscribe."""
        with self._opening_or_closing:
            executor, self._executor = self._executor, None
            if executor is not None:
                executor.wake()
                if self._thread is not threading.current_thread():
                    self._thread.join(2 * PERIOD)
                executor.shutdown(timeout_sec=PERIOD)
                self._node.destroy_node()
            self._subscription = self._subscribed = None
            self._refused = ''
            super().close()

    def _find(self) -> None:
        """Subscribe with the publisher's type and reliability, and check that it is there.

        A publisher of another type that takes the place of the first is followed.
        """
        self.check_publisher()
        publishers = self._node.get_publishers_info_by_topic(self._name)
        found = [(p.topic_type, p.qos_profile.reliability) for p in publishers]
        self.senders = found.count(self._subscribed)
        if not found:
            self._refuse('')
        if not found or self._subscribed in found:
            return
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribed = None
        (kind, reliability), qos = found[0], QOS
        if reliability is ReliabilityPolicy.RELIABLE:  # others', which have nothing twice
            qos = QoSProfile(depth=QOS.depth, reliability=reliability)
        try:
            message = message_class(kind)
        except SettingError as error:
            self._refuse(str(error))
            return
        self._refuse('')
        self._subscription = self._node.create_subscription(message, self._name, self._take, qos)
        self._subscribed = found[0]

    def _refuse(self, reason: str) -> None:
        """Remember and report why the type of the publisher cannot be used, or '' if it can."""
        if reason != self._refused:
            self._refused = reason
            self.set_problem(self._silence())

    def _silence(self) -> str:
        return self._refused or super()._silence()

    def _take(self, message: Any) -> None:
        try:
            self.push(block(message, self._settings))
        except AudioError as error:
            self._log(f'a message on {self._name} is ignored: {error}')
        except Exception as error:
            self._log(f'a message on {self._name} failed: {type(error).__name__}: {error}')


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
    """Return a message's audio; raise a FormatError if it is not within the limits."""
    fields = message.get_fields_and_field_types()
    if 'first_sample' in fields:
        check(message.sample_rate, message.channels, len(message.data))
        if message.earlier:
            check(message.sample_rate, message.channels, len(message.earlier))
        samples = from_int16(message.data, message.channels)
        stamp = seconds(message.header.stamp)
        earlier = from_int16(message.earlier, message.channels)
        return Block(samples, message.sample_rate, stamp, message.first_sample, earlier)
    stamp = seconds(message.header.stamp) if 'header' in fields else None
    audio = message.audio if 'audio' in fields else message
    inner = audio.get_fields_and_field_types()
    rate, channels = settings.audio.topic_sample_rate, settings.audio.topic_channels
    if 'audio_data' in inner:  # mgonzs13: Audio or AudioStamped
        info = audio.info
        name, scale = PORTAUDIO.get(info.format, ('', 1.0))
        if not name:
            formats = ', '.join(str(number) for number in PORTAUDIO)
            raise FormatError(f'info.format is {info.format}; it must be one of {formats}')
        values = getattr(audio.audio_data, name)
        check(info.rate, info.channels, len(values))
        offset = scale if name.startswith('uint8') else 0.0
        samples = from_numbers(values, info.channels, scale, offset)
        return Block(samples, info.rate, stamp)
    # ros-drivers: AudioData or AudioDataStamped, bytes of 16-bit samples as AudioInfo has them
    if len(audio.data) % 2:
        raise FormatError(
            f'data has {len(audio.data)} bytes; it must have two for each 16-bit sample'
        )  # fmt: skip
    check(rate, channels, len(audio.data) // 2)
    return Block(from_bytes(audio.data, channels), rate, stamp)


def check(sample_rate: int, channels: int, samples: int) -> None:
    """Raise a FormatError if a message is not within the limits of a stream."""
    check_format(sample_rate, channels, samples, max_duration=LONGEST_BLOCK)
