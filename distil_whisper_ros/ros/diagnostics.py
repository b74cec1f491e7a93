"""What /diagnostics says of the microphone and the recognizer."""

from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from ..audio.source import SourceHealth
from ..core.types import Outcome, State, Transcript


@dataclass
class Load:
    """What the recognizer did so far."""

    requests: int = 0
    transcribed: int = 0
    rejected: int = 0
    failed: int = 0
    dropped: int = 0
    """Utterances that were dropped hands-free, since the model was too slow."""
    redone: int = 0
    """Utterances of which less than 30 s was encoded, and that were decoded again."""
    latency: float = 0.0
    """Of the last text, from the end of speech to its publication, in seconds."""
    real_time_factor: float = 0.0
    """Of the last transcription: processing time over audio duration."""

    def count(self, transcript: Transcript, latency: float) -> None:
        """Take what came of a request."""
        self.requests += 1
        self.transcribed += transcript.outcome is Outcome.TRANSCRIBED
        self.rejected += transcript.outcome is Outcome.REJECTED
        self.failed += transcript.outcome in (Outcome.FAILED, Outcome.MICROPHONE_LOST)
        if transcript.accepted:
            self.latency = latency
        utterance, hypothesis = transcript.utterance, transcript.hypothesis
        self.redone += hypothesis is not None and hypothesis.redone
        if utterance is not None and hypothesis is not None and utterance.duration:
            self.real_time_factor = hypothesis.processing_time / utterance.duration


def diagnostics(
    node: str, state: State, detail: str, model: str, health: SourceHealth | None, load: Load
) -> DiagnosticArray:
    """Return the array, without its stamp."""
    failed = state is State.ERROR
    recognizer = _status(
        f'{node}: recognizer',
        model,
        DiagnosticStatus.ERROR if failed else DiagnosticStatus.OK,
        detail or state.name.lower(),
        {
            'state': state.name.lower(),
            'requests': load.requests,
            'transcribed': load.transcribed,
            'rejected': load.rejected,
            'failed': load.failed,
            'dropped': load.dropped,
            'windows redone': load.redone,
            'last latency (s)': f'{load.latency:.3f}',
            'last real-time factor': f'{load.real_time_factor:.3f}',
        },
    )
    return DiagnosticArray(status=[recognizer, _microphone(node, health)])


def _microphone(node: str, health: SourceHealth | None) -> DiagnosticStatus:
    name = f'{node}: microphone'
    if health is None:
        return _status(name, '', DiagnosticStatus.STALE, 'closed: the node is not active', {})
    grade = DiagnosticStatus.OK
    if health.problem:
        grade = DiagnosticStatus.WARN if health.open else DiagnosticStatus.ERROR
    return _status(
        name,
        health.name,
        grade,
        health.problem or 'open',
        {
            'sample rate (Hz)': health.sample_rate,
            'channels': health.channels,
            'level (dBFS)': f'{health.level:.0f}',
            'overflows': health.overflows,
            'lost (s)': f'{health.lost:.2f}',
            'restarts': health.restarts,
        },
    )


def _status(name, hardware, grade, message, values) -> DiagnosticStatus:
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return DiagnosticStatus(
        name=name, hardware_id=hardware, level=grade, message=message, values=pairs
    )
