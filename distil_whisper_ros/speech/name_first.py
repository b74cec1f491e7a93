"""Hands-free with a name: a sentence is decoded past its first two seconds only if it has one.

    utterance ──► its first two seconds ──► the name? ──► all of it
                                               └──► the robot is not meant: no more is decoded

People who talk to each other beside the robot cost little processor time then. The first seconds
are decoded once for an utterance, however often it is transcribed while it grows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

from ..core.audio_format import FRAME_DURATION, SAMPLE_RATE
from ..core.scheduler import JobContext
from ..core.settings import DecodingSettings, ModelSettings
from ..core.types import Hypothesis, Utterance
from .attention import Attention, letters, name_end
from .command_matcher import urgent_words
from .own_voice import OwnVoice
from .request import Request

FIRST = 2.0  # s of speech in which a name of twelve letters has been said
SHORT, PER_LETTER = 12, 0.12  # s more for each letter of a longer one
TOKENS = 24  # of what is decoded of them: only the beginning counts
WORTH = 0.8  # s of more speech, for less of which all is decoded at once

Transcribe = Callable[[Utterance, ModelSettings, JobContext], Hypothesis]


@dataclass(frozen=True)
class FirstWords(Hypothesis):
    """The text of the first seconds of an utterance that is not meant for the robot."""


class NameFirst:
    """Transcribes an utterance, or its first seconds if those show that the robot is not meant.

    The scheduler's thread calls it.
    """

    def __init__(
        self,
        transcribe: Transcribe,
        attention: Attention,
        own_voice: OwnVoice | None = None,
    ) -> None:
        """`transcribe` does the work; `attention` knows who needs no name.

        The words of the robot's `own_voice` may stand before the name.
        """
        self._transcribe = transcribe
        self._attention = attention
        self._own_voice = own_voice or OwnVoice()
        self._known: tuple[float, Hypothesis] | None = None  # the last begin, and its text

    def __call__(
        self, request: Request, utterance: Utterance, model: ModelSettings, context: JobContext
    ) -> Hypothesis:
        """Return the text; it is FirstWords if the rest was not decoded."""
        phrases = request.wake_phrases
        end = utterance.speech_start + first_seconds(phrases)
        doubtful = (
            phrases
            and not request.settings.hands_free.publish_unaddressed
            and not self._attention.hears(utterance, phrases)
            and not self._own_voice.is_beside(utterance, request.settings.self_speech)
            and utterance.time + utterance.duration > end + WORTH
        )
        if doubtful:
            if self._known is None or self._known[0] != utterance.time:
                first = self._transcribe(until(utterance, end), draft_of(model), context)
                self._known = utterance.time, first
            first = self._known[1]
            if first.text and not is_meant(first.text, request):
                values = {each.name: getattr(first, each.name) for each in fields(Hypothesis)}
                return FirstWords(**values)
        return self._transcribe(utterance, model, context)


def draft_of(model: ModelSettings) -> DecodingSettings:
    """Return the settings of a quick decode, without the commands."""
    values = {each.name: getattr(model, each.name) for each in fields(ModelSettings)}
    values |= {'word_timestamps': False, 'beam_width': 1}
    values['max_new_tokens'] = min(model.max_new_tokens, TOKENS)
    return DecodingSettings(**values, draft=True)


def first_seconds(phrases: Sequence[str]) -> float:
    """Return how many seconds of speech have the name in them, if it is said."""
    longest = max((len(letters(phrase)) for phrase in phrases), default=0)
    return FIRST + PER_LETTER * max(0, longest - SHORT)


def is_meant(text: str, request: Request) -> bool:
    """Return whether what begins with a text may be for the robot."""
    urgent = urgent_words(text, request.settings.commands) is not None
    return urgent or name_end(text, request.wake_phrases) > 0


def until(utterance: Utterance, end: float) -> Utterance:
    """Return an utterance up to a moment in it, in seconds of time.monotonic()."""
    kept = end - utterance.time
    return replace(
        utterance,
        samples=utterance.samples[: round(kept * SAMPLE_RATE)],
        speech=utterance.speech[: round(kept / FRAME_DURATION)],
        speech_end=min(utterance.speech_end, end),
        voiced=min(utterance.voiced, end - utterance.speech_start),
    )
