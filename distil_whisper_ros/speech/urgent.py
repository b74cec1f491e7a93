"""Urgent commands, as "stop": they act before the turn is over, also while the robot speaks.

    frame ──► UrgentWatch: is it time for a draft? ──► scheduler (the model)
                   └──── a draft is nothing but urgent commands ──► the utterance ends

A draft is a decode of the utterance so far that is wanted soon: less silence is encoded behind it,
and nothing is decoded twice. The first one comes when there is as much speech as a short word has,
the next ones follow while the person speaks, and one comes at each short pause; but only at the
beginning of an utterance: whoever speaks on gives no urgent command.

All of it runs in the listener's thread; see `listening.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..core.audio_format import Frame, frame_count, FRAME_DURATION
from ..core.scheduler import Job, Priority
from ..core.settings import DecodingSettings, Settings
from ..core.types import Ending, Hypothesis, Utterance
from .attention import name_end
from .command_matcher import plain, urgent_words
from .endpointer import Endpointer
from .hallucination_filter import filtered
from .own_voice import OwnVoice
from .own_words import keys
from .utterance_buffer import UtteranceBuffer

PAUSE = 3  # frames of a pause, 0.1 s, at which a draft is made: the end of a word, or a closed "p"
FIRST = 0.4  # s of speech at which the first draft is made
PERIOD = 0.35  # s from one draft to the next while the person speaks
WITHIN = 2.5  # s from the beginning of an utterance in which drafts are made
MORE = 2  # words more than the longest urgent command has, behind which no draft is made
TOKENS = 16  # of a draft: a longer text is none, or the model repeats itself
FASTEST = 4.0  # words of a repetition in a second of speech: the model makes more of one word
PIECE = 3.0  # s of what is heard during robot speech that belong together
PIECE_SILENCE = 0.3  # s of silence that end such a piece before

Submit = Callable[[Priority, Utterance, DecodingSettings], Job]


@dataclass(frozen=True)
class UrgentCommand:
    """An utterance that is nothing but an urgent command, and the model's text for it."""

    utterance: Utterance
    hypothesis: Hypothesis


def urgent_command(
    utterance: Utterance,
    hypothesis: Hypothesis,
    settings: Settings,
    own_voice: OwnVoice | None = None,
    names: Sequence[str] = (),
) -> UrgentCommand | None:
    """Return the urgent command if a text is nothing else, and likely enough; or None.

    What the robot itself says meanwhile, `own_voice`, does not count, and one of the `names` may
    be said before. Where a draft repeats a word more often than it was said, it is written once.
    """
    if own_voice is not None:
        known = {word for each in settings.commands.urgent_wordings for word in keys(each.text)}
        hypothesis = own_voice.without(utterance, hypothesis, known)
    name = hypothesis.text[: name_end(hypothesis.text, names)]
    found = urgent_words(hypothesis.text[len(name) :], settings.commands)
    if found is None or len(hypothesis.segments) != 1:
        return None
    first, times = found
    count = times * len(first.split())
    if times > 1 and count > FASTEST * utterance.voiced + 1:
        (segment,) = hypothesis.segments
        text = f'{name}, {first}.' if name else f'{first[:1].upper()}{first[1:]}.'
        once = replace(segment, text=text, compression_ratio=1.0, truncated=False, words=())
        hypothesis = replace(hypothesis, segments=(once,))
    transcript = filtered(hypothesis, utterance, settings, names)
    # By its words, since the commands may have it in another way, as "Stop" or "{stop,halt}".
    known = {plain(each.text) for each in settings.commands.urgent_wordings}
    urgent = plain(transcript.command.wording) in known
    return UrgentCommand(utterance, hypothesis) if transcript.accepted and urgent else None


class UrgentWatch:
    """Makes drafts of one utterance, and tells when one is an urgent command."""

    def __init__(
        self,
        settings: Settings,
        submit: Submit,
        idle: Callable[[], bool],
        own_voice: OwnVoice | None = None,
        names: Sequence[str] = (),
    ) -> None:
        """`submit` gives the scheduler a draft; `idle` tells whether it has nothing to do.

        `own_voice` knows what the robot says; `names` are the wake phrases.
        """
        self._settings = settings
        self._submit, self._idle = submit, idle
        self._own_voice, self._names = own_voice or OwnVoice(), names
        self._draft: tuple[Utterance, Job] | None = None
        self._covered = 0  # frames of the utterance that the latest draft has
        self._over = not settings.commands.all_urgent or not settings.utterance.endpointing
        commands = (each.text for each in settings.commands.urgent_wordings)
        self._longest = sum(
            max((len(plain(text).split()) for text in texts), default=0)
            for texts in (commands, names)
        )

    def follow(self, endpointer: Endpointer, so_far: Callable[[], Utterance]) -> None:
        """Look after each frame of speech whether to make a draft of the utterance so far."""
        start, end = endpointer.speech_start, endpointer.speech_end
        if self._over or start is None or end is None:
            return
        heard = (endpointer.index - start) * FRAME_DURATION
        if heard > WITHIN + 2 * PAUSE * FRAME_DURATION:
            return
        if endpointer.pause >= PAUSE and self._covered < end:
            if self._draft is not None:
                return  # what it tells comes sooner than what another one would
            self._make(Priority.SPECULATIVE, endpointer, so_far())
        elif endpointer.pause == 0 and FIRST <= heard <= WITHIN:
            since = (endpointer.index - self._covered) * FRAME_DURATION
            if (not self._covered or since >= PERIOD) and self._idle() and not self._draft:
                self._make(Priority.PARTIAL, endpointer, so_far())

    def _make(self, priority: Priority, endpointer: Endpointer, utterance: Utterance) -> None:
        model = self._settings.decoding
        assert isinstance(model, DecodingSettings)
        draft = replace(
            model,
            draft=True,
            word_timestamps=False,
            beam_width=1,
            max_new_tokens=min(model.max_new_tokens, TOKENS),
        )
        self._covered = endpointer.index
        self._draft = utterance, self._submit(priority, utterance, draft)

    def found(self) -> UrgentCommand | None:
        """Return the urgent command, once a draft that is done is one."""
        if self._draft is None or not self._draft[1].future.done():
            return None
        (utterance, job), self._draft = self._draft, None
        if job.future.exception() is not None:
            return None  # the utterance itself is transcribed, and its request tells what is wrong
        hypothesis = job.future.result()
        command = urgent_command(
            utterance, hypothesis, self._settings, self._own_voice, self._names
        )
        said = plain(self._own_voice.without(utterance, hypothesis).text).split()
        self._over = len(said) > self._longest + MORE and len({*said}) > MORE
        return command

    def discard(self) -> None:
        """Abort the draft that is made: the utterance is over, or another one is better."""
        if self._draft is not None:
            self._draft[1].abort()
            self._draft = None


class UrgentEar:
    """Hears urgent commands while the robot speaks, and drops everything else.

    What is heard then may have no silence, since the microphone hears the robot, too. So it comes
    in pieces: each one ends at a short silence, or when it is PIECE s long.
    """

    def __init__(
        self,
        settings: Settings,
        submit: Submit,
        idle: Callable[[], bool],
        own_voice: OwnVoice | None = None,
        names: Sequence[str] = (),
    ) -> None:
        """Take what an UrgentWatch takes."""
        self._settings = settings
        self._new = lambda: UrgentWatch(settings, submit, idle, own_voice, names)
        self._piece = replace(
            settings.utterance, max_duration=PIECE, end_silence=PIECE_SILENCE, min_speech=0.0
        )
        self._pre_roll = frame_count(settings.microphone.pre_roll)
        self._watch = self._last = self._new()
        self._begin([])

    def _begin(self, earlier: list[tuple[Frame, float]]) -> None:
        """Begin a piece; the draft of the last one may still be under way."""
        self._endpointer = Endpointer(self._piece, self._settings.microphone.pre_roll, True)
        self._buffer = UtteranceBuffer(self._pre_roll, earlier)
        self._last.discard()
        self._last, self._watch = self._watch, self._new()

    def take(self, frame: Frame, probability: float) -> None:
        """Take a frame with its probability of speech."""
        ending = self._endpointer.step(probability)
        self._buffer.push(frame, probability, self._endpointer.speaking)
        if ending is not None:
            # The end of one piece is the pre-roll of the next: it is no beginning of a sentence.
            self._begin(self._buffer.rest(None))
        elif self._endpointer.speaking:
            self._watch.follow(self._endpointer, self._so_far)

    def _so_far(self) -> Utterance:
        return self._buffer.utterance(self._endpointer, Ending.COMMAND, '')

    def found(self) -> UrgentCommand | None:
        """Return the urgent command, once a draft that is done is one."""
        return self._last.found() or self._watch.found()

    def discard(self) -> None:
        """Abort the drafts that are made."""
        self._last.discard()
        self._watch.discard()
