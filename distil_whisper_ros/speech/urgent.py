"""Urgent commands, as "stop": they act before the turn is over.

    frame ──► UrgentWatch: is it time for a draft? ──► scheduler (the model)
                   └──── a draft is nothing but urgent commands ──► the utterance ends

A draft is a decode of the utterance so far that is wanted soon: less silence is encoded behind it,
and nothing is decoded twice. The first one comes when there is as much speech as a short word has,
the next ones follow while the person speaks, and one comes at each short pause; but only at the
beginning of an utterance: whoever speaks on gives no urgent command.

All of it runs in the listener's thread; see `listening.py`. While the robot speaks,
`urgent_ear.py` listens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..core.audio_format import FRAME_DURATION
from ..core.scheduler import Job, Priority
from ..core.settings import DecodingSettings, Settings
from ..core.types import Hypothesis, Utterance
from .attention import name_end
from .command_matcher import match, plain, urgent_words
from .endpointer import Endpointer
from .hallucination_filter import filtered
from .own_voice import OwnVoice
from .own_words import keys

PAUSE = 3  # frames of a pause, 0.1 s, at which a draft is made: the end of a word, or a closed "p"
FIRST = 0.4  # s of speech at which the first draft is made
PERIOD = 0.35  # s from one draft to the next while the person speaks
WITHIN = 2.5  # s from the beginning of an utterance in which drafts are made
MORE = 2  # words more than the longest urgent command has, behind which no draft is made
SOUND_MORE = 1  # words more in a text that sounds like one
TOKENS = 16  # of a draft: a longer text is none, or the model repeats itself
FASTEST = 4.0  # words of a repetition in a second of speech: the model makes more of one word

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
    alone: bool = False,
) -> UrgentCommand | None:
    """Return the urgent command if a text is nothing else, and likely enough; or None.

    What the robot itself says meanwhile, `own_voice`, does not count, and one of the `names` may
    be said before. Where a draft repeats a word more often than it was said, it is written once.
    `alone` tells that the person is heard without the robot: then a short text also counts if it
    only sounds like a command, as "top" like "stop", and all of its words are the person's.
    """
    if alone:
        heard = _as_it_sounds(utterance, hypothesis, settings)
        if own_voice is not None and any(
            own_voice.says(utterance, each.text) for each in (hypothesis, heard)
        ):
            return None
        hypothesis = heard
    elif own_voice is not None:
        known = {word for each in settings.commands.urgent_wordings for word in keys(each.text)}
        hypothesis = own_voice.without(utterance, hypothesis, known)
    name = hypothesis.text[: name_end(hypothesis.text, names)]
    found = urgent_words(hypothesis.text[len(name) :], settings.commands)
    if found is None or len(hypothesis.segments) != 1:
        return None
    first, times = found
    count = times * len(first.split())
    if times > 1 and count > FASTEST * utterance.voiced + 1:
        hypothesis = _written(hypothesis, f'{name}, {first}' if name else first)
    transcript = filtered(hypothesis, utterance, settings, names)
    urgent = _is_urgent(transcript.command.wording, settings)
    return UrgentCommand(utterance, hypothesis) if transcript.accepted and urgent else None


def _as_it_sounds(utterance: Utterance, hypothesis: Hypothesis, settings: Settings) -> Hypothesis:
    """Return a hypothesis with the urgent command as its text, if it sounds like one."""
    text = hypothesis.text
    if urgent_words(text, settings.commands) or len(hypothesis.segments) != 1:
        return hypothesis
    spoken = plain(text).split()
    if len({*spoken}) == 1 and len(spoken) > FASTEST * utterance.voiced + 1:
        text = spoken[0]
        hypothesis = _written(hypothesis, text)
    wording = match(hypothesis, utterance, settings.commands, trusted=False).command.wording
    more = len(plain(text).split()) - len(plain(wording).split())
    if more > SOUND_MORE or not _is_urgent(wording, settings):
        return hypothesis
    return _written(hypothesis, wording)


def _is_urgent(wording: str, settings: Settings) -> bool:
    # By its words, since the commands may have it in another way, as "Stop" or "{stop,halt}".
    return plain(wording) in {plain(each.text) for each in settings.commands.urgent_wordings}


def _written(hypothesis: Hypothesis, text: str) -> Hypothesis:
    """Return a hypothesis of one segment with another text."""
    (segment,) = hypothesis.segments
    text = f'{text[:1].upper()}{text[1:]}.'
    other = replace(segment, text=text, compression_ratio=1.0, truncated=False, words=())
    return replace(hypothesis, segments=(other,))


class UrgentWatch:
    """Makes drafts of one utterance, and tells when one is an urgent command."""

    def __init__(
        self,
        settings: Settings,
        submit: Submit,
        idle: Callable[[], bool],
        own_voice: OwnVoice | None = None,
        names: Sequence[str] = (),
        alone: bool = False,
    ) -> None:
        """`submit` gives the scheduler a draft; `idle` tells whether it has nothing to do.

        `own_voice` knows what the robot says; `names` are the wake phrases. `alone` is that of
        `urgent_command`.
        """
        self._settings, self._alone = settings, alone
        self._submit, self._idle = submit, idle
        self._own_voice, self._names = own_voice or OwnVoice(), names
        self._draft: tuple[Utterance, Job] | None = None
        self._once_more = False  # whether to make another draft at this pause
        self._covered = 0  # frames of the utterance that the latest draft has
        self._over = not settings.commands.all_urgent or not settings.utterance.endpointing
        commands = (each.text for each in settings.commands.urgent_wordings)
        self._longest = sum(
            max((len(plain(text).split()) for text in texts), default=0)
            for texts in (commands, names)
        )

    def follow(
        self,
        endpointer: Endpointer,
        so_far: Callable[[], Utterance],
        wider: Callable[[], Utterance] | None = None,
    ) -> None:
        """Look after each frame of speech whether to make a draft of the utterance so far.

        `wider` has more before the speech, for another draft at a pause.
        """
        start, end = endpointer.speech_start, endpointer.speech_end
        if self._over or start is None or end is None:
            return
        heard = (endpointer.index - start) * FRAME_DURATION
        if heard > WITHIN + 2 * PAUSE * FRAME_DURATION:
            return
        if endpointer.pause >= PAUSE and (self._covered < end or self._once_more):
            if self._draft is not None:
                return  # what it tells comes sooner than what another one would
            another = wider if self._once_more and self._covered >= end else None
            self._once_more = wider is not None and another is None
            self._make(Priority.SPECULATIVE, endpointer, (another or so_far)())
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
            utterance, hypothesis, self._settings, self._own_voice, self._names, self._alone
        )
        said = plain(self._own_voice.without(utterance, hypothesis).text).split()
        self._over = len(said) > self._longest + MORE and len({*said}) > MORE
        return command

    def discard(self) -> None:
        """Abort the draft that is made: the utterance is over, or another one is better."""
        if self._draft is not None:
            self._draft[1].abort()
            self._draft = None
