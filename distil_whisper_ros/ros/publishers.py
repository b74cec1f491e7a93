"""What the node publishes."""

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
from .conversions import state_message, transcript_message
from .diagnostics import diagnostics, Load
from .managed_node import ManagedNode


class Publishers:
    """The publishers, and what is said on them."""

    def __init__(self, node: ManagedNode) -> None:
        """Create them on `node`; text comes only while it is active."""
        self._node = node
        self._logged = ('', 0.0)
        self._load = Load()
        self.state, self.detail = State.UNCONFIGURED, ''
        self.hands_free = False
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._states = node.create_publisher(RecognizerState, 'speech/state', latched)
        self._texts = node.create_lifecycle_publisher(String, 'speech/text', 10)
        self._partials = node.create_lifecycle_publisher(String, 'speech/partial', 10)
        self._transcripts = node.create_lifecycle_publisher(
            TranscriptMessage, 'speech/transcript', 10
        )
        self._diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', 10)

    def show_state(self, state: State, detail: str, progress: float = float('nan')) -> None:
        """Publish a state."""
        self.state, self.detail = state, detail
        now = self._node.get_clock().now().to_msg()
        self._states.publish(state_message(state, detail, now, progress, self.hands_free))

    def show_progress(self, what: str, share: float) -> None:
        """Publish and log how far loading is."""
        self.show_state(State.LOADING, what, share)
        now = time.monotonic()
        subject = what.split(':')[0]
        if subject != self._logged[0] or now - self._logged[1] > 2:
            self._logged = (subject, now)
            self._node.get_logger().info(f'{what} ({100 * share:.0f}%)' if share else what)

    @property
    def read_along(self) -> bool:
        """Whether anybody subscribes to speech/partial."""
        return self._partials.get_subscription_count() > 0

    def show_partial(self, text: str) -> None:
        """Publish what is settled of a text."""
        self._partials.publish(String(data=text))

    def show_transcript(self, transcript: Transcript, settings: Settings, device: str) -> None:
        """Publish what came of an utterance; the text only if somebody said it."""
        published = time.time()
        if transcript.accepted:
            self._texts.publish(String(data=transcript.text))
        message = transcript_message(
            transcript, published, settings.microphone.frame_id, settings.model.id, device
        )
        self._transcripts.publish(message)
        self._load.count(transcript, message.latency)
        log = self._node.get_logger()
        if transcript.accepted:
            log.info(f'"{transcript.text}" {message.latency:.2f} s after the end of speech')
        elif transcript.outcome is Outcome.REJECTED:
            log.info(f'refused "{transcript.text}": {transcript.reason}')
        elif transcript.outcome is Outcome.FAILED:
            log.warn(transcript.reason)
        else:
            log.info(transcript.reason)
        self._save(transcript, settings)

    def _save(self, transcript: Transcript, settings: Settings) -> None:
        """Write the utterance's audio, only if a folder is named."""
        utterance = transcript.utterance
        if not settings.save_audio_directory or utterance is None or not utterance.duration:
            return
        from ..audio.recordings import write_recording

        name = time.strftime('%Y%m%d-%H%M%S', time.localtime(utterance.time))
        path = Path(settings.save_audio_directory).expanduser() / f'{name}-{transcript.id}.wav'
        try:
            write_recording(path, utterance.samples)
        except SpeechError as error:
            self._node.get_logger().error(str(error))

    def show_diagnostics(self, model: str, health: SourceHealth | None, dropped: int) -> None:
        """Publish how the microphone and the recognizer do."""
        self._load.dropped = dropped
        name = self._node.get_fully_qualified_name().lstrip('/')
        array = diagnostics(name, self.state, self.detail, model, health, self._load)
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(array)
