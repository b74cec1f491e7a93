"""From a hypothesis to a transcript: was it said, and as which command."""

from .commands import match
from .guard import believed, refuse
from .settings import Settings
from .transcript import Hypothesis, Outcome, Transcript, Utterance


def judge(hypothesis: Hypothesis, utterance: Utterance, settings: Settings) -> Transcript:
    """Return what came of an utterance, accepted or refused with the reason."""
    reason = refuse(hypothesis, utterance, settings.guard)
    if reason:
        return Transcript(
            Outcome.REJECTED,
            text=hypothesis.text,
            reason=f'this was not taken for speech: {reason}',
            utterance=utterance,
            hypothesis=hypothesis,
        )
    hypothesis = believed(hypothesis, settings.guard)
    command, score = match(hypothesis.text, settings.commands.phrases)
    return Transcript(
        Outcome.TRANSCRIBED,
        text=hypothesis.text,
        utterance=utterance,
        hypothesis=hypothesis,
        command=command if score >= settings.commands.min_score else '',
        command_score=score,
    )
