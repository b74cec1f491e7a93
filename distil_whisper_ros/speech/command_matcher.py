"""From an utterance to the command that was said, if one was.

The decoder has compared the audio with each wording of each command (`whisper/decoding/phrases`).
A logistic regression makes a probability of that: of the most likely wording's log probability,
of how far it is before the next command, and of how well it fits the free text, the voice, and
the time that it takes to say it. Where no such comparison exists, the free text counts alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
import math

from rapidfuzz.distance import Indel

from ..core.command_grammar import Wording, wordings
from ..core.settings import CommandSettings
from ..core.spelling import spell
from ..core.types import Command, Hypothesis, PhraseScores, Utterance
from .command_rules import core, forbids
from .words import words

# Fitted on 59 and 74 single words of people, clean and in noise of 10 dB, with lists of 10 and 50
# commands; against the same lists without the word that was said, other words, rows of digits,
# sentences of a book, and sneezes, babies, dogs and clocks (tiny.en; `benchmarks/commands.py`).
SIMILARITY = 0.506  # of the free text's letters with the wording, from 0 to 1
LEAD = 0.424  # of its log probability before the next command's, in nats
LOG_PROBABILITY = 0.696
VOICE = 0.074  # of the mean log odds of voice activity
EXTRA_WORDS = -0.279  # of words that the free text has more
TOO_LONG = -2.77  # of the logarithm of the time of speech over that of the wording
TOO_SHORT = -0.125
OFFSET = 1.533
MOST_LEAD, LEAST_LOG_PROBABILITY, MOST_EXTRA = 6.0, -12.0, 4
SHORTEST = 0.25  # of the time that a wording takes; nobody says it in less
FIRST, PER_LETTER = 0.15, 0.07  # s that a wording takes
SIMILAR_FROM, SIMILAR_TO = 0.5, 1.0  # similarity of a text, for a probability of 0 and of 1
VOICED = 0.5  # probability of speech
MARGIN = 1e-3  # keeps the log odds of voice activity finite
ALTERNATIVES = 4  # that are told


@dataclass(frozen=True)
class CommandMatch:
    """What was found."""

    command: Command = Command()
    """The command that was said; with an empty text if none was."""
    alternatives: tuple[Command, ...] = ()
    """The likeliest commands, whether one of them was said or not, most likely first."""


@lru_cache(maxsize=20_000)
def plain(text: str) -> str:
    """Return a text without case and punctuation, its numbers in words."""
    return ' '.join(spell(word) for word in words(text.casefold()))


def match(
    hypothesis: Hypothesis, utterance: Utterance, settings: CommandSettings, trusted: bool = True
) -> CommandMatch:
    """Return the command that an utterance is, and the likeliest ones.

    `trusted` tells whether the free text was said; if not, it shows no command.
    """
    known = wordings((*settings.phrases,), (*settings.slots,))
    if not known:
        return CommandMatch()
    said = plain(hypothesis.text)
    by_sound = _by_sound(hypothesis.phrases, said, utterance, known)
    similar = hypothesis.phrases is None
    by_text = _by_text(said, known, similar, settings.within_sentences) if trusted else []
    alternatives = _best_of_each([*by_sound, *by_text])[:ALTERNATIVES]
    if not alternatives:
        return CommandMatch()
    best = alternatives[0]
    acts = best.score >= settings.min_score and not forbids(said, plain(best.wording))
    return CommandMatch(best if acts else Command(), alternatives)


def _by_sound(
    scores: PhraseScores | None, said: str, utterance: Utterance, known: Iterable[Wording]
) -> list[Command]:
    """Return the commands with their probabilities by the decoder's comparison."""
    if scores is None or not scores.log_probabilities:
        return []
    found = [
        (scores.log_probabilities[each.text], each)
        for each in known
        if each.text in scores.log_probabilities
    ]
    odds = _voice_odds(utterance.speech)
    best = []
    for likelihood, wording in found:
        others = [other for other, each in found if (each.command, each.values) != _key(wording)]
        lead = likelihood - max(others, default=-math.inf)
        score = _probability(likelihood, lead, wording.text, said, utterance.voiced, odds)
        best.append(Command(wording.command, score, wording.values, wording.text))
    return best


def _key(wording: Wording) -> tuple[str, tuple[str, ...]]:
    return wording.command, wording.values


def _probability(
    likelihood: float, lead: float, wording: str, said: str, voiced: float, odds: float
) -> float:
    """Return the probability that a wording was said; see the module."""
    expected = plain(wording)
    letters = sum(map(str.isalnum, expected)) + expected.count(' ')
    length = math.log(max(voiced, 0.01) / (FIRST + PER_LETTER * letters))
    if length < math.log(SHORTEST):
        return 0.0
    extra = len(said.split()) - len(expected.split())
    value = (
        SIMILARITY * Indel.normalized_similarity(said, expected)
        + LEAD * max(0.0, min(MOST_LEAD, lead))
        + LOG_PROBABILITY * max(LEAST_LOG_PROBABILITY, likelihood)
        + VOICE * odds
        + EXTRA_WORDS * max(0, min(MOST_EXTRA, extra))
        + TOO_LONG * max(0.0, length)
        + TOO_SHORT * max(0.0, -length)
        + OFFSET
    )
    return 1 / (1 + math.exp(-value))


def _voice_odds(speech: Sequence[float]) -> float:
    """Return the mean log odds of voice activity in the frames with a voice."""
    voiced = [p for p in speech if p >= VOICED]
    if not voiced:
        return 0.0
    return sum(math.log((p + MARGIN) / (1 - p + MARGIN)) for p in voiced) / len(voiced)


def _by_text(said: str, known: Iterable[Wording], similar: bool, within: bool) -> list[Command]:
    """Return the commands with their probabilities by the free text.

    One that is the text without polite words was said. If `within`, so was one that is a part of
    it. If `similar`, the similarity to other texts is a probability, too.

    The similarity is twice the length of the longest common subsequence of characters, over the
    characters of both (rapidfuzz's normalized Indel similarity).
    """
    found = []
    inner = core(said)
    for wording in known:
        expected = plain(wording.text)
        if not expected:
            continue
        exact = expected in (inner, said) or (within and f' {expected} ' in f' {said} ')
        score = 1.0 if exact else _similarity(inner, expected) if similar else 0.0
        if score:
            found.append(Command(wording.command, score, wording.values, wording.text))
    return found


def _similarity(said: str, expected: str) -> float:
    """Return the probability of a command by the similarity of the text alone."""
    pairs = [*zip(said.split(), expected.split())]
    # Not the same words: "not turn right" is no "turn right", and a blue ball is no red one.
    if len(said.split()) != len(expected.split()) or any(
        Indel.normalized_similarity(*pair) < SIMILAR_FROM for pair in pairs
    ):
        return 0.0
    similarity = Indel.normalized_similarity(said, expected)
    return max(0.0, min(1.0, (similarity - SIMILAR_FROM) / (SIMILAR_TO - SIMILAR_FROM)))


def _best_of_each(found: Iterable[Command]) -> tuple[Command, ...]:
    """Return the best wording of each command with its values, most likely first."""
    best: dict[tuple[str, tuple[str, ...]], Command] = {}
    for each in sorted(found, key=lambda command: -command.score):
        best.setdefault((each.text, each.values), each)
    return tuple(best.values())


def written(command: Command) -> str:
    """Return a command's wording as a text that the decoder could have written."""
    return f'{command.wording[:1].upper()}{command.wording[1:]}.'


def overruled(found: CommandMatch, hypothesis: Hypothesis) -> Hypothesis:
    """Return the hypothesis with the command's wording as its text, if they differ."""
    if not found.command.text or plain(hypothesis.text) == plain(found.command.wording):
        return hypothesis
    if core(plain(hypothesis.text)) == plain(found.command.wording):
        return hypothesis
    first = replace(hypothesis.segments[0], text=written(found.command), words=())
    return replace(hypothesis, segments=(first,))
