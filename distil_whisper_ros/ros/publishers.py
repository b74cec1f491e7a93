"""The publishers of the node."""

from pathlib import Path
import time

from diagnostic_msgs.msg import DiagnosticArray
from distil_whisper_msgs.msg import RecognizerState
from distil_whisper_msgs.msg import Transcript as TranscriptMessage
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

from ..audio.source import SourceHealth
from ..core.errors import SpeechError
from ..core.settings import Settings
from ..core.types import Outcome, State, Transcript
from .conversions import by_clock, state_message, transcript_message
from .diagnostics import diagnostics, Load
from .human_voice import human_voice
from .log import printable
from .managed_node import ManagedNode

DETAIL_LIMIT = 2000  # characters: several wrong parameters may be named
LOG_PERIOD = 2.0  # s between log lines about the progress of loading


class Publishers:
    """Publishes states, texts and diagnostics, and logs them."""

    def __init__(self, node: ManagedNode) -> None:
        """Create the publishers on `node`; those of texts are silent while it is not active."""
        self._node = node
        self._logged = ('', 0.0)
        self._load = Load()
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._states = node.create_publisher(RecognizerState, 'speech/state', latched)
        self._texts = node.create_lifecycle_publisher(String, 'speech/text', 10)
        self._partials = node.create_lifecycle_publisher(String, 'speech/partial', 10)
        self._transcripts = node.create_lifecycle_publisher(
            TranscriptMessage, 'speech/transcript', 10
        )
        self._diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._voice = human_voice(node, self._value('humans.voice'))

    def _value(self, name: str) -> str:
        return str(self._node.get_parameter(name).value)

    def publish_state(
        self,
        state: State,
        detail: str,
        hands_free: bool,
        progress: float = float('nan'),
        attentive: bool = False,
    ) -> None:
        """Publish a state."""
        now = self._node.get_clock().now().to_msg()
        text = printable(detail, DETAIL_LIMIT)
        self._states.publish(state_message(state, text, now, progress, hands_free, attentive))
        if self._voice is not None:
            self._voice.publish_state(state)

    def log_progress(self, step: str, share: float) -> None:
        """Log a step of loading; one step at most every 2 s."""
        now = time.monotonic()
        subject = step.split(':')[0]
        if subject != self._logged[0] or now - self._logged[1] > LOG_PERIOD:
            self._logged = (subject, now)
            line = f'{step} ({100 * share:.0f}%)' if share else step
            self._node.get_logger().info(printable(line))

    @property
    def wants_partial(self) -> bool:
        """Whether anybody subscribes to partial text."""
        voice = self._voice is not None and self._voice.wants_partial
        return voice or self._partials.get_subscription_count() > 0

    def publish_partial(self, text: str) -> None:
        """Publish the settled part of a text."""
        self._partials.publish(String(data=text))
        if self._voice is not None:
            self._voice.publish_partial(text, self._value('microphone.frame_id'))

    def publish_transcript(
        self, transcript: Transcript, settings: Settings, model: str, device: str
    ) -> None:
        """Publish the end of a request, and its text if it is accepted."""
        if transcript.accepted:
            self._texts.publish(String(data=transcript.text))
        time_of = by_clock(self._node.get_clock())
        frame_id = settings.microphone.frame_id
        message = transcript_message(
            transcript, time_of, frame_id, model, device, time.monotonic()
        )
        self._transcripts.publish(message)
        if transcript.accepted and self._voice is not None:
            self._voice.publish_final(message)
        self._load.count(transcript, message.latency)
        self._log(transcript, message.latency)
        self._save(transcript, settings)

    def _log(self, transcript: Transcript, latency: float) -> None:
        log = self._node.get_logger()
        text, reason = printable(transcript.text), printable(transcript.reason)
        if transcript.notice:
            log.warn(printable(transcript.notice))
        if transcript.accepted:
            log.info(f'"{text}" {latency:.2f} s after the end of speech')
        elif transcript.outcome is Outcome.REJECTED:
            log.info(f'rejected "{text}": {reason}')
        elif transcript.outcome is Outcome.FAILED:
            log.warn(reason)
        else:
            log.info(reason)

    def _save(self, transcript: Transcript, settings: Settings) -> None:
        """Save the utterance's audio if save_audio_directory is set."""
        utterance = transcript.utterance
        if not settings.save_audio_directory or utterance is None or not utterance.duration:
            return
        from ..audio.recording_writer import write_recording

        begun = time.time() - (time.monotonic() - utterance.time)
        name = time.strftime('%Y%m%d-%H%M%S', time.localtime(begun))
        path = Path(settings.save_audio_directory).expanduser() / f'{name}-{transcript.id}.wav'
        try:
            write_recording(path, utterance.samples)
        except SpeechError as error:
            self._node.get_logger().error(printable(error))

    def publish_diagnostics(
        self, state: State, detail: str, model: str, health: SourceHealth | None, dropped: int
    ) -> None:
        """Publish the state of the recognizer and of its source."""
        self._load.dropped = dropped
        name = self._node.get_fully_qualified_name().lstrip('/')
        array = diagnostics(name, state, detail, model, health, self._load)
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(array)
