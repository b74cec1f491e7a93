"""The contents of /diagnostics: the recognizer and its audio source."""

from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from ..audio.source import SourceHealth
from ..core.types import Outcome, State, Transcript


@dataclass
class Load:
    """Counts the requests of the recognizer and their results."""

    requests: int = 0
    transcribed: int = 0
    rejected: int = 0
    failed: int = 0
    dropped: int = 0
    """Utterances dropped while hands-free, because the model was too slow."""
    redone: int = 0
    """Utterances decoded again with the full audio context, because a short one failed."""
    searched: int = 0
    """Utterances in doubt, decoded again by a beam search (model.beam_width 0)."""
    latency: float = 0.0
    """Of the last text, from the end of speech to its publication, in seconds."""
    real_time_factor: float = 0.0
    """Of the last transcription: processing time over audio duration."""

    def count(self, transcript: Transcript, latency: float) -> None:
        """Count the end of a request."""
        self.requests += 1
        self.transcribed += transcript.outcome is Outcome.TRANSCRIBED
        self.rejected += transcript.outcome is Outcome.REJECTED
        self.failed += transcript.outcome in (Outcome.FAILED, Outcome.MICROPHONE_LOST)
        if transcript.accepted:
            self.latency = latency
        utterance, hypothesis = transcript.utterance, transcript.hypothesis
        self.redone += hypothesis is not None and hypothesis.redone
        self.searched += hypothesis is not None and hypothesis.searched
        if utterance is not None and hypothesis is not None and utterance.duration:
            self.real_time_factor = hypothesis.processing_time / utterance.duration


def diagnostics(
    node: str,
    state: State,
    detail: str,
    model: str,
    health: SourceHealth | None,
    load: Load,
) -> DiagnosticArray:
    """Return the array, without its stamp.

    `model` is the model that is loaded, or ''; `health` is None while there is no source.
    """
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
            'audio contexts redone': load.redone,
            'searched by a beam': load.searched,
            'last latency (s)': f'{load.latency:.3f}',
            'last real-time factor': f'{load.real_time_factor:.3f}',
        },
    )
    return DiagnosticArray(status=[recognizer, _source(node, state, health)])


def _source(node: str, state: State, health: SourceHealth | None) -> DiagnosticStatus:
    name = f'{node}: microphone'
    if state is State.MUTED:
        return _status(name, '', DiagnosticStatus.OK, 'closed: the microphone is muted', {})
    if health is None:
        return _status(name, '', DiagnosticStatus.STALE, 'closed: the node is not active', {})
    level = DiagnosticStatus.OK
    if health.problem:
        level = DiagnosticStatus.WARN if health.open else DiagnosticStatus.ERROR
    pairs = {
        'sample rate (Hz)': health.sample_rate,
        'channels': health.channels,
        'level (dBFS)': f'{health.level:.0f}',
        'overflows': health.overflows,
        'lost (s)': f'{health.lost:.2f}',
        'restarts': health.restarts,
    }
    if health.clock_offset is not None:
        pairs['clock offset of the sender (s)'] = f'{health.clock_offset:.3f}'
    return _status(name, health.name, level, health.problem or 'open', pairs)


def _status(name, hardware, level, message, values) -> DiagnosticStatus:
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return DiagnosticStatus(
        name=name, hardware_id=hardware, level=level, message=message, values=pairs
    )
