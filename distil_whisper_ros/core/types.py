"""Plain values: utterances, hypotheses of the model, and transcripts."""

from dataclasses import dataclass, field, replace
from enum import IntEnum
import time

import numpy as np

from .audio_format import FRAME_DURATION, SAMPLE_RATE, Samples
from .scripts import join_texts


class State(IntEnum):
    """The state of the recognizer. The numbers are distil_whisper_msgs/RecognizerState's."""

    UNKNOWN = 0
    UNCONFIGURED = 1
    LOADING = 2
    INACTIVE = 3
    READY = 4
    WAITING = 5
    HEARING = 6
    TRANSCRIBING = 7
    MUTED = 8
    SELF_SPEECH = 9
    LOST = 10
    ERROR = 11


class Outcome(IntEnum):
    """How a request ended. The numbers are distil_whisper_msgs/Transcript's."""

    UNKNOWN = 0
    TRANSCRIBED = 1
    NO_SPEECH = 2
    REJECTED = 3
    CANCELED = 4
    MUTED = 5
    MICROPHONE_LOST = 6
    FAILED = 7
    SELF_SPEECH = 8
    NOT_ADDRESSED = 9


class Ending(IntEnum):
    """Why an utterance ended. The numbers are distil_whisper_msgs/Transcript's."""

    UNKNOWN = 0
    SILENCE = 1
    MAX_DURATION = 2
    NO_SPEECH = 3
    STOPPED = 4
    CANCELED = 5
    SOURCE_ENDED = 6
    MICROPHONE_LOST = 7
    MUTED = 8
    SELF_SPEECH = 9
    SMART_TURN = 10
    TEXT = 11
    COMMAND = 12


@dataclass(frozen=True)
class Utterance:
    """The audio from a little before the first word to a little after the last."""

    samples: Samples
    time: float
    """When the first sample was captured, in seconds of time.monotonic()."""
    ending: Ending
    speech: tuple[float, ...] = ()
    """Probability of speech of each frame of the samples."""
    speech_start: float = 0.0
    """When speech started, in seconds of time.monotonic()."""
    speech_end: float = 0.0
    """When the last sample of speech was captured, in seconds of time.monotonic()."""
    voiced: float = 0.0
    """How much of it was speech, in seconds."""
    loudest: float = 0.0
    """The level of the loudest tenth of a second, in dBFS."""
    note: str = ''
    """A fault while listening, as a sentence; or empty."""

    @property
    def duration(self) -> float:
        """Its length in seconds."""
        return len(self.samples) / SAMPLE_RATE

    @classmethod
    def none(cls, ending: 'Ending', note: str = '', loudest: float = -120.0) -> 'Utterance':
        """Return an empty utterance."""
        empty = np.empty(0, np.float32)
        return cls(empty, time.monotonic(), ending, note=note, loudest=loudest)

    @classmethod
    def whole(cls, samples: Samples, speech: tuple[float, ...] = (), begun: float = 0.0):
        """Return an utterance of all these samples, as if all of them were speech."""
        voiced = len([p for p in speech if p >= 0.5]) * FRAME_DURATION if speech else 0.0
        duration = len(samples) / SAMPLE_RATE
        return cls(
            samples,
            begun,
            Ending.SOURCE_ENDED,
            speech,
            begun,
            begun + duration,
            voiced or duration,
        )


@dataclass(frozen=True)
class Word:
    """One word, with its place in seconds from the utterance's first sample."""

    text: str
    start: float
    end: float
    confidence: float

    def later(self, seconds: float) -> 'Word':
        """Return the word with its place counted from so much earlier."""
        return replace(self, start=self.start + seconds, end=self.end + seconds)


@dataclass(frozen=True)
class Segment:
    """The text of at most 30 s of audio, decoded at once.

    Times are in seconds from the utterance's first sample.
    """

    text: str
    start: float
    end: float
    mean_log_probability: float
    no_speech_probability: float
    compression_ratio: float
    words: tuple[Word, ...] = ()
    mean_log_confidence: float | None = None
    """Mean of the words' log confidences, also without word timestamps; None without a word."""
    redone: bool = False
    """Whether a short audio context failed, so that it was decoded again with 30 s."""
    searched: bool = False
    """Whether greedy decoding left doubts, so that a beam search decoded it again."""
    truncated: bool = False
    """Whether decoding stopped at the maximum number of tokens, before the end of the text."""
    language: str = ''
    """Code of the spoken language, as "en"."""
    end_confidence: float | None = None
    """Probability that the text ends there: of its last punctuation and the end token; None if the
    decoder did not end it."""
    phrases: dict[str, float] | None = None
    """Log probabilities of the wordings of commands that are likely enough, given the audio; None
    where that was not asked, or is not known."""


@dataclass(frozen=True)
class Hypothesis:
    """The model's text for an utterance."""

    segments: tuple[Segment, ...]
    language: str = ''
    """Code of the language that most of it is spoken in, as "en"."""
    processing_time: float = 0.0
    """In seconds."""
    parts: dict[str, float] = field(default_factory=dict)
    """Seconds spent on each part of the work: features, encoder, decoder."""

    @property
    def text(self) -> str:
        """The segments' texts, joined by spaces where their script has spaces."""
        return join_texts(segment.text for segment in self.segments)

    @property
    def phrases(self) -> dict[str, float] | None:
        """Log probabilities of the wordings of commands; None if they are not known."""
        return self.segments[0].phrases if len(self.segments) == 1 else None

    @property
    def redone(self) -> bool:
        """Whether any of it was decoded twice."""
        return any(segment.redone for segment in self.segments)

    @property
    def searched(self) -> bool:
        """Whether any of it was in doubt, and decoded again by a beam search."""
        return any(segment.searched for segment in self.segments)

    @property
    def truncated(self) -> bool:
        """Whether any segment stopped at the maximum number of tokens."""
        return any(segment.truncated for segment in self.segments)


@dataclass(frozen=True)
class Command:
    """A command that was said, or may have been."""

    text: str = ''
    """As it is written in `commands.phrases`, with its slots."""
    score: float = 0.0
    """Probability that it was said."""
    values: tuple[str, ...] = ()
    """What its slots hold, in their order."""
    wording: str = ''
    """It with the values in its slots."""


@dataclass(frozen=True)
class Transcript:
    """The result of a request."""

    outcome: Outcome
    id: int = 0
    text: str = ''
    reason: str = ''
    """Why there is no text, as a sentence; empty for TRANSCRIBED."""
    raw_text: str = ''
    """The text as the model wrote it, before `text.replacements`."""
    notice: str = ''
    """What a person should know, as a sentence for the log; or empty."""
    utterance: Utterance | None = None
    hypothesis: Hypothesis | None = None
    command: Command = Command()
    """The command that was said; with an empty text if none was."""
    command_alternatives: tuple[Command, ...] = ()
    """The likeliest commands, most likely first, whether one was said or not."""

    @property
    def accepted(self) -> bool:
        """Whether the text was accepted as speech."""
        return self.outcome is Outcome.TRANSCRIBED
