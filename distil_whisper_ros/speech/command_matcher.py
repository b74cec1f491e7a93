"""From an utterance to the command that was said, if one was.

The decoder has compared the audio with each wording of each command (`whisper/decoding/phrases`).
A logistic regression makes a probability of that: of the most likely wording's log probability,
of how far it is before the next command, of the words that the free text has more, and of the
time that it takes to say it. Where no such comparison exists, the free text counts alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
import math
import re
import unicodedata

from rapidfuzz.distance import Indel

from ..core.command_grammar import MAX_WORDINGS, Wording
from ..core.settings import CommandSettings
from ..core.spelling import NUMBER_WORDS, spell
from ..core.types import Command, Hypothesis, Utterance
from .command_rules import CLAUSE_END, core, forbids, is_corrected, once, SENTENCE_END
from .words import words

# Fitted on 59 and 74 single words of people, clean and in noise of 10 dB, with lists of 10 and 50
# commands; against the same lists without the word that was said (these count 0.4: a list mostly
# has the word), other words, rows of digits, sentences of a book, and sneezes, babies, dogs and
# clocks (tiny.en; `benchmarks/commands.py`). In eight-fold cross-validation by recording, what the
# letters of the free text, its confidence and voice activity tell beside these changed nothing.
LEAD = 0.38  # of its log probability before the next command's, in nats
LOG_PROBABILITY = 0.75
EXTRA_WORDS = -0.47  # of words that the free text has more
TOO_LONG = -2.35  # of the logarithm of the time of speech over that of the wording
OFFSET = 2.57
MOST_LEAD, LEAST_LOG_PROBABILITY, MOST_EXTRA = 6.0, -12.0, 4
# A command that is not MARGIN nats before the next one is UNSURE at most, and a text is doubted
# for another command of RIVAL or more.
MARGIN, UNSURE, RIVAL = 1.0, 0.45, -5.0
# What is as likely as this was said, although voice activity and the free text doubt it: none of
# the sounds and of the other words came near. A short word can be missed for MISSED seconds.
CLEAR_LOG_PROBABILITY, CLEAR_LEAD, MISSED = -2.0, 3.0, 0.5
SHORTEST = 0.25  # of the time that a wording takes; nobody says it in less
FIRST, PER_LETTER = 0.15, 0.07  # s that a wording takes
SIMILAR_FROM, SIMILAR_TO = 0.5, 1.0  # similarity of a text, for a probability of 0 and of 1
LEAST_LEAD = 0.1  # of the probability by letters before the next command's
ALTERNATIVES = 4  # that are told
ENGLISH = ('', 'en')
CONTRACTIONS = (
    (re.compile(r"\b(?:can't|cant|cannot)\b"), 'can not'),
    (re.compile(r"\b(?:won't|wont)\b"), 'will not'),
    (re.compile(r"(?<=[a-z])n't\b"), ' not'),
    (
        re.compile(r'\b(do|does|did|is|are|was|were|would|should|could|must|has|have)nt\b'),
        r'\1 not',
    ),
    (re.compile(r'\bhundred and (?=[a-z]+)'), 'hundred '),
)
THOUSANDS = re.compile(r'(?<=\d),(?=\d{3}\b)')
NEGATIVE = re.compile(r'(?<!\w)[-−](?=\d)')


@dataclass(frozen=True)
class CommandMatch:
    """What was found."""

    command: Command = Command()
    """The command that was said; with an empty text if none was."""
    alternatives: tuple[Command, ...] = ()
    """The likeliest commands, whether one of them was said or not, most likely first."""
    clear: bool = False
    """Whether the sound alone leaves no doubt about the command."""


@lru_cache(maxsize=4 * MAX_WORDINGS)
def plain(text: str) -> str:
    """Return a text without case and punctuation, its numbers and contractions in whole words."""
    text = unicodedata.normalize('NFC', text.casefold()).replace('’', "'").replace('_', ' ')
    text = NEGATIVE.sub('minus ', THOUSANDS.sub('', text)).replace('°', ' degrees')
    said = ' '.join(spell(word.strip("'")) for word in words(text) if word.strip("'"))
    for pattern, replacement in CONTRACTIONS:
        said = pattern.sub(replacement, said)
    return said


def match(
    hypothesis: Hypothesis, utterance: Utterance, settings: CommandSettings, trusted: bool = True
) -> CommandMatch:
    """Return the command that an utterance is, and the likeliest ones.

    `trusted` tells whether the free text was said; if not, it shows no command.
    """
    known = settings.wordings
    if not known:
        return CommandMatch()
    clauses = [plain(clause) for clause in CLAUSE_END.split(hypothesis.text)]
    said, times = urgent_words(hypothesis.text, settings) or _once(hypothesis.text, clauses)
    by_sound = _by_sound(hypothesis.phrases, said, utterance, known, times)
    by_text = []
    if trusted:
        by_text = _by_text(said, known)
        if not by_text and settings.within_sentences and hypothesis.language in ENGLISH:
            by_text = _within(said, known)
        elif not by_text and hypothesis.phrases is None:
            by_text = _by_letters(said, known)
        urgent = {plain(each.text) for each in settings.urgent_wordings}
        by_text = [
            each
            for each in by_text
            if plain(each.wording) in urgent or not _is_doubted(each, hypothesis.phrases)
        ]
    sentences = [plain(sentence) for sentence in SENTENCE_END.split(hypothesis.text)]
    likely = [
        each
        for each in _best_of_each([*by_sound, *by_text])
        if not forbids(hypothesis.text, said, plain(each.wording), clauses, sentences)
        and not _is_corrected(said, plain(each.wording), known)
    ]
    alternatives = tuple(likely[:ALTERNATIVES])
    acts = alternatives and alternatives[0].score >= settings.min_score
    if not acts:
        return CommandMatch(alternatives=alternatives)
    return CommandMatch(
        alternatives[0], alternatives, _is_clear(alternatives[0].wording, hypothesis.phrases)
    )


def _once(text: str, clauses: list[str]) -> tuple[str, int]:
    """Return "stop" and 3 for "stop stop stop": what was said, and how often.

    Polite words may be between them. "Five five" is another number, not twice the same one.
    """
    said = plain(text)
    spoken = said.split()
    if NUMBER_WORDS.intersection(spoken) and NUMBER_WORDS.issuperset(core(said).split()):
        return said, 1
    if (repeated := once([clause for clause in clauses if clause])) is not None:
        return repeated
    for length in range(1, len(spoken) // 2 + 1):
        times, rest = divmod(len(spoken), length)
        if not rest and spoken == spoken[:length] * times:
            return ' '.join(spoken[:length]), times
    return said, 1


def urgent_words(text: str, settings: CommandSettings) -> tuple[str, int] | None:
    """Return "stop" and 3 for "Stop! Stop! Halt!": the first urgent command, and how many.

    Returns None for a text with any other word.
    """
    known = {tuple(plain(each.text).split()) for each in settings.urgent_wordings}
    longest_first = sorted(known, key=lambda words: -len(words))
    spoken = plain(text).split()
    found: list[tuple[str, ...]] = []
    while spoken:
        fits = (each for each in longest_first if each == tuple(spoken[: len(each)]))
        command = next(fits, None)
        if command is None:
            return None
        found.append(command)
        spoken = spoken[len(command) :]
    return (' '.join(found[0]), len(found)) if found else None


def _by_sound(
    scores: dict[str, float] | None,
    said: str,
    utterance: Utterance,
    known: Iterable[Wording],
    times: int,
) -> list[Command]:
    """Return the commands with their probabilities by the decoder's comparison."""
    if not scores:
        return []
    found = sorted(
        ((scores[each.text], plain(each.text), each) for each in known if each.text in scores),
        key=lambda scored: -scored[0],
    )
    commands = []
    for likelihood, expected, wording in found:
        lead = likelihood - _rival(expected, scores)
        score = _probability(likelihood, lead, expected, said, utterance.voiced / times)
        commands.append(Command(wording.command, score, wording.values, wording.text))
    return commands


def _rival(spoken: str, scores: dict[str, float]) -> float:
    """Return the log probability of the likeliest command with other words.

    The same words may be written as two commands: they are no rivals.
    """
    others = (score for wording, score in scores.items() if plain(wording) != spoken)
    return max(others, default=-math.inf)


def _is_clear(wording: str, scores: dict[str, float] | None) -> bool:
    likelihood = (scores or {}).get(wording, -math.inf)
    return likelihood >= CLEAR_LOG_PROBABILITY and (
        likelihood - _rival(plain(wording), scores or {}) >= CLEAR_LEAD
    )


def _is_doubted(command: Command, scores: dict[str, float] | None) -> bool:
    """Return whether the sound has another command that is as likely as that of the text."""
    rival = _rival(plain(command.wording), scores or {})
    return rival > max(RIVAL, (scores or {}).get(command.wording, -math.inf) - MARGIN)


def _probability(likelihood: float, lead: float, expected: str, said: str, voiced: float) -> float:
    """Return the probability that a wording was said; see the module."""
    letters = sum(map(str.isalnum, expected)) + expected.count(' ')
    takes = FIRST + PER_LETTER * letters
    clear = likelihood >= CLEAR_LOG_PROBABILITY and lead >= CLEAR_LEAD
    missed = clear and takes - voiced < MISSED
    if (voiced < SHORTEST * takes and not missed) or _other_number(said, expected):
        return 0.0
    extra = len(said.split()) - len(expected.split())
    value = (
        LEAD * max(0.0, min(MOST_LEAD, lead))
        + LOG_PROBABILITY * max(LEAST_LOG_PROBABILITY, likelihood)
        + EXTRA_WORDS * max(0, min(MOST_EXTRA, extra))
        + TOO_LONG * max(0.0, math.log(max(voiced, 0.01) / takes))
        + OFFSET
    )
    score = 1 / (1 + math.exp(-value))
    return score if lead >= MARGIN else min(UNSURE, score)


def _other_number(said: str, expected: str) -> bool:
    """Return whether both have numbers, and not the same; a single word may be heard wrong."""
    heard, known = (
        [word for word in text.split() if word in NUMBER_WORDS] for text in (said, expected)
    )
    several = ' ' in expected or len(heard) > 1
    return several and bool(heard and known) and heard != known


def _command(wording: Wording, score: float) -> Command:
    return Command(wording.command, score, wording.values, wording.text)


def _by_text(said: str, known: Iterable[Wording]) -> list[Command]:
    """Return the commands that are the text, without the polite words around them."""
    inner = core(said)
    return [
        _command(each, 1.0)
        for each in known
        if said and (plain(each.text) in (said, inner) or core(plain(each.text)) == inner)
    ]


def _is_corrected(said: str, wording: str, known: Iterable[Wording]) -> bool:
    _, found, behind = f' {said} '.partition(f' {wording} ')
    others = (plain(each.text) for each in known)
    return bool(found and behind) and is_corrected(behind.strip(), wording, others)


def _within(said: str, known: Iterable[Wording]) -> list[Command]:
    """Return the command that is a part of the text; none if there are two."""
    padded = f' {said} '
    found = [(plain(each.text), each) for each in known if f' {plain(each.text)} ' in padded]
    longest = [
        (spoken, each)
        for spoken, each in found
        if not any(spoken != other and f' {spoken} ' in f' {other} ' for other, _ in found)
    ]
    if len({spoken for spoken, _ in longest}) != 1:
        return []
    spoken, _ = longest[0]
    before, _, behind = padded.partition(f' {spoken} ')
    neighbours = {*before.split()[-1:], *behind.split()[:1]}
    if neighbours & NUMBER_WORDS and set(spoken.split()) & NUMBER_WORDS:
        return []  # "go forward 20" is not in "go forward 25"
    following = behind.split()[:1]
    counted = (
        plain(each.text)[len(spoken) :].split()[:1]
        for each in known
        if plain(each.text).startswith(f'{spoken} ')
    )
    if _numeric(following) and any(map(_numeric, counted)):
        return []  # "go forward" is not in "go forward -3 meters", if it may have a number
    return [_command(each, 1.0) for _, each in longest]


def _numeric(words: list[str]) -> bool:
    return bool(words) and (words[0] in NUMBER_WORDS or words[0][:1].isdigit())


def _by_letters(said: str, known: Iterable[Wording]) -> list[Command]:
    """Return the commands of several words by the similarity of the text's letters.

    It is twice the length of the longest common subsequence of characters, over the characters of
    both (rapidfuzz's normalized Indel similarity).
    """
    inner = core(said)
    scored = [(_similarity(inner, plain(each.text)), each) for each in known]
    found = sorted((pair for pair in scored if pair[0]), key=lambda pair: -pair[0])
    if not found:
        return []
    best, first = found[0]
    others = (score for score, each in found if plain(each.text) != plain(first.text))
    if best - next(others, 0.0) < LEAST_LEAD:
        return []
    return [_command(each, score) for score, each in found]


def _similarity(said: str, expected: str) -> float:
    """Return the probability of a command by the similarity of the text alone."""
    pairs = [*zip(said.split(), expected.split())]
    # Not the same words: "not turn right" is no "turn right", and a blue ball is no red one.
    if len(pairs) < 2 or len(said.split()) != len(expected.split()):
        return 0.0
    for heard, known in pairs:
        number = heard in NUMBER_WORDS or known in NUMBER_WORDS
        if heard != known and (number or Indel.normalized_similarity(heard, known) < SIMILAR_FROM):
            return 0.0
    similarity = Indel.normalized_similarity(said, expected)
    return max(0.0, min(1.0, (similarity - SIMILAR_FROM) / (SIMILAR_TO - SIMILAR_FROM)))


def _best_of_each(found: Iterable[Command]) -> tuple[Command, ...]:
    """Return each wording once, with its best score, most likely first."""
    best: dict[str, Command] = {}
    for each in sorted(found, key=lambda command: -command.score):
        best.setdefault(plain(each.wording), each)
    return tuple(best.values())


def overruled(found: CommandMatch, hypothesis: Hypothesis) -> Hypothesis:
    """Return the hypothesis with the command's wording as its text, if the sound decided."""
    wording = found.command.wording
    expected, said = plain(wording), plain(hypothesis.text)
    if not found.command.text or f' {expected} ' in f' {said} ' or core(expected) == core(said):
        return hypothesis
    text = f'{wording[:1].upper()}{wording[1:]}.'
    return replace(hypothesis, segments=(replace(hypothesis.segments[0], text=text, words=()),))
