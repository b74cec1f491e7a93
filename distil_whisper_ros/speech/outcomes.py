"""What a transcript says: the outcome of an utterance, its text, or why it has none.

    text ──► without the robot's own words ──► for the robot? ──► hallucination filter ──► outcome

The event thread calls `Outcomes`, which shares nothing but the agenda.
"""

from dataclasses import replace
import time

from ..audio.levels import quiet_hint
from ..audio.source import AudioSource
from ..core.errors import unexpected
from ..core.settings import Settings
from ..core.types import Ending, Hypothesis, Outcome, Transcript, Utterance
from .agenda import Agenda
from .attention import behind_name, name_end
from .hallucination_filter import filtered
from .name_first import FirstWords
from .own_voice import OwnVoice
from .request import Request
from .self_speech import SelfSpeechGate
from .state import MUTED
from .urgent import urgent_command
from .words import words


class Outcomes:
    """Makes the transcript of each utterance."""

    def __init__(
        self, source: AudioSource, agenda: Agenda, self_speech: SelfSpeechGate, own_voice: OwnVoice
    ) -> None:
        """Take who knows about the sound, the names, the robot's speech, and what it says."""
        self._source = source
        self._agenda = agenda
        self._self_speech = self_speech
        self._own_voice = own_voice

    def unheard(self, request: Request, utterance: Utterance) -> Transcript:
        """Return the transcript of an utterance that is not transcribed."""
        if request.halt is Ending.CANCELED:
            return canceled(request.halt_reason, utterance)
        if request.halt is Ending.MUTED:
            return muted_now(utterance)
        if utterance.ending is Ending.MICROPHONE_LOST:
            return Transcript(Outcome.MICROPHONE_LOST, reason=utterance.note, utterance=utterance)
        if utterance.ending is Ending.SELF_SPEECH:
            reason = utterance.note or f'no speech was heard: {self._self_speech.reason}'
            return Transcript(Outcome.SELF_SPEECH, reason=reason, utterance=utterance)
        if request.rejected is not None:  # nobody spoke after the cough
            return request.rejected
        wait = request.settings.utterance.wait_for_speech
        heard = {
            Ending.STOPPED: 'no speech was heard before it was stopped',
            Ending.SOURCE_ENDED: 'no speech was heard in the recording',
            Ending.NO_SPEECH: f'no speech was heard within {wait:g} s (utterance.wait_for_speech)',
        }.get(utterance.ending, 'no speech was heard')
        hint = self._source.health().problem or quiet_hint(utterance.loudest)
        reason = f'{heard}; {hint}' if hint else heard
        return Transcript(Outcome.NO_SPEECH, reason=reason, utterance=utterance)

    def is_addressed_late(
        self, hypothesis: Hypothesis, utterance: Utterance, request: Request
    ) -> bool:
        """Return whether a wake word came only after the rest was left out."""
        left_out = isinstance(hypothesis, FirstWords)
        return left_out and self._agenda.attention.hears(utterance, request.wake_phrases)

    def of_text(
        self, hypothesis: Hypothesis, utterance: Utterance, request: Request
    ) -> Transcript:
        """Return the transcript of a text, without what the robot itself said in it."""
        settings = request.settings
        if not self._own_voice.is_beside(utterance, settings.self_speech):
            return self._of_person(hypothesis, utterance, request)
        names = request.wake_phrases
        urgent = urgent_command(utterance, hypothesis, settings, self._own_voice, names)
        rest = urgent.hypothesis if urgent else self._own_voice.without(utterance, hypothesis)
        if rest.segments:
            transcript = self._of_person(rest, utterance, request)
            return replace(transcript, raw_text=hypothesis.text)
        # The time to start to speak counts from the end of the robot's speech.
        request.frames_waited -= min(request.frames_waited, len(utterance.speech))
        return Transcript(
            Outcome.SELF_SPEECH,
            reason='it is what the robot itself said (self_speech.text_topic)',
            raw_text=hypothesis.text,
            utterance=utterance,
        )

    def _of_person(
        self, hypothesis: Hypothesis, utterance: Utterance, request: Request
    ) -> Transcript:
        """Return the transcript of a text; one for the robot opens the window for the next."""
        phrases = request.wake_phrases
        if not phrases:
            return filtered(hypothesis, utterance, request.settings)
        end = name_end(hypothesis.text, phrases)
        if not end and urgent_command(utterance, hypothesis, request.settings) is not None:
            return filtered(hypothesis, utterance, request.settings)  # "stop" needs no name
        if not (end or self._agenda.attention.hears(utterance, phrases)):
            return not_addressed(utterance, hypothesis)
        alone = end > 0 and not words(behind_name(hypothesis.text, end))
        names = [] if alone else phrases
        transcript = filtered(hypothesis, utterance, request.settings, names)
        if transcript.outcome is Outcome.REJECTED:
            return transcript
        self._attend(utterance, request.settings)
        return name_alone(utterance, hypothesis, request.settings) if alone else transcript

    def _attend(self, utterance: Utterance, settings: Settings) -> None:
        """Open the window in which the next sentence needs no name."""
        now = time.monotonic() if self._source.live else utterance.speech_end
        self._agenda.open_window(utterance.speech_start, now + settings.hands_free.attention)


def name_alone(utterance: Utterance, hypothesis: Hypothesis, settings: Settings) -> Transcript:
    """Return the transcript of a name with nothing behind it."""
    window = settings.hands_free.attention
    reason = (
        'only the name was heard: the next sentence '
        f'within {window:g} s needs none (hands_free.attention)'
    )
    return Transcript(
        Outcome.NO_SPEECH,
        reason=reason,
        raw_text=hypothesis.text,
        utterance=utterance,
        hypothesis=hypothesis,
    )


def not_addressed(utterance: Utterance, hypothesis: Hypothesis) -> Transcript:
    """Return the transcript of what was said to somebody else."""
    return Transcript(
        Outcome.NOT_ADDRESSED,
        text=hypothesis.text,
        raw_text=hypothesis.text,
        reason='it does not begin with a name of the robot (hands_free.wake_phrases)',
        utterance=utterance,
        hypothesis=hypothesis,
    )


def canceled(reason: str = '', utterance: Utterance | None = None) -> Transcript:
    """Return the transcript of a canceled request."""
    return Transcript(Outcome.CANCELED, reason=reason or 'canceled', utterance=utterance)


def muted_now(utterance: Utterance | None = None) -> Transcript:
    """Return the transcript of a request that mute ended, or that came while muted."""
    return Transcript(Outcome.MUTED, reason=MUTED, utterance=utterance)


def dropped(count: int, utterance: Utterance | None) -> Transcript:
    """Return the transcript of an utterance for which the model has no time."""
    reason = (
        'dropped: utterances come faster than they are transcribed '
        f'({count} dropped so far; hands_free.queue_length)'
    )
    return Transcript(Outcome.FAILED, reason=reason, utterance=utterance)


def failed(error: Exception) -> Transcript:
    """Return the transcript of a request that ended with an unexpected exception."""
    return Transcript(Outcome.FAILED, reason=unexpected(error))
