"""Is the speaker done? From evidence at a pause to the pause that ends the utterance.

People pause within a sentence for longer than they want to wait for an answer, so no fixed pause
is right for both. Two kinds of evidence are there 0.3 s after the last word: Smart Turn's
probability, from the voice; and the text so far, from the work ahead. Where they agree that the
sentence is complete, the utterance ends at once; where they agree that it is not, it may go on
until `utterance.max_pause`; otherwise `utterance.end_silence` decides, as without them.

Pure: no clock, no model, no audio. `benchmarks/turns.py` measures it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from ..core.settings import UtteranceSettings
from ..core.types import Ending, Hypothesis
from .command_matcher import plain

SHORT_PAUSE = 0.096  # s: the margin behind the last word that the transcription gets
# Chosen on people's sentences with pauses set in between their words: see benchmarks/turns.py.
CONFIDENT = 0.5  # probability of the end of a text from which its full stop is believed
DOUBTED = 0.36  # below it, the full stop is doubted
CERTAIN = 0.98  # probability of Smart Turn from which a text without an end does not matter
SURE = 0.95  # from which a single word is all
LIKELY = 0.9  # from which the model's doubt about its full stop does not matter
PROBABLE = 0.75  # from which a full stop is enough that is neither believed nor doubted
UNSURE = 0.4  # below it, a text with a doubtful full stop goes on, and one without any
SHORT = 1.0  # s of speech, below which a voice alone tells little
SHORTER = 0.6  # s of speech, below which a text of several words tells little, too
SENTENCE_ENDS = tuple('.!?。！？।؟')
QUESTION_MARKS = ('?', '？', '؟')
BROKEN_OFF = ('...', '…', '-')
CLOSING = '"\'“”’»」』)] \u00a0\u202f'  # they may come behind the end of a sentence
NUMBERS = frozenset(
    'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen '
    'fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty '
    'ninety hundred thousand'.split()
)
# Words after which a number wants a unit: "go forward ten".
MEASURING = frozenset(
    'forward forwards back backward backwards ahead left right up down turn rotate move drive go '
    'wait for about by clockwise counterclockwise anticlockwise'.split()
)
NO_NUMBERS = (['left', 'one'], ['right', 'one'])  # "take the left one" is complete
# English words that hardly a sentence ends with, of which some end a question ("where are you
# from?"), and others that few end with.
QUESTION_ENDS = frozenset(
    'than of to at by for from with without into onto towards between'.split()
)
NEVER_LAST = QUESTION_ENDS | frozenset(
    'a an the my your his its our their and or but nor because although if while unless until '
    'whether mister mr mrs dr'.split()
)
PRONOUNS = frozenset(('i', 'we', 'they', 'he', 'she'))
OTHERS = (
    'her each some so when that which who whose whom what how where why as through across '
    'behind above below under near against during about is are was were am be '
    'been being has have had do does did will would can could shall should may might must very '
    "too quite most i'm we're um uh er"
)
RARELY_LAST = NEVER_LAST | PRONOUNS | frozenset(OTHERS.split())


class TextEvidence(Enum):
    """What the text so far tells."""

    UNKNOWN = 'it has no words, ends in a number, or is the beginning of another command too'
    WORD = 'it is a single word with a full stop'
    COMMAND = 'it is one of the commands'
    COMPLETE = 'it ends as a sentence does'
    RARE = 'its full stop is believed, but few sentences end with its last word'
    POSSIBLE = 'it ends with a full stop that the model neither believes nor doubts'
    DOUBTFUL = 'it ends with a full stop that the model doubts'
    UNFINISHED = 'it does not end as a sentence does'
    BROKEN_OFF = 'it ends as the model writes words that break off'
    OPEN = 'its last words want more'


@dataclass(frozen=True)
class Evidence:
    """What is known at a pause."""

    voiced: float
    """Speech so far, in seconds."""
    probability: float | None = None
    """Smart Turn's, that the speaker is done; None while it is not known."""
    text: TextEvidence | None = None
    """Of the text so far; None while it is not known."""


def text_evidence(hypothesis: Hypothesis, commands: Iterable[str] = ()) -> TextEvidence:
    """Return what a text tells about whether it is complete."""
    text = hypothesis.text.strip()
    said = plain(text).split()
    if not said:
        return TextEvidence.UNKNOWN
    known, whole = [plain(command) for command in commands], ' '.join(said)
    if whole in known:
        longer = any(command.startswith(f'{whole} ') for command in known)
        return TextEvidence.UNKNOWN if longer else TextEvidence.COMMAND
    text = text.rstrip(CLOSING)
    english = hypothesis.language in ('', 'en')
    stops = text.endswith(SENTENCE_ENDS) and not text.endswith(BROKEN_OFF)
    if len(said) == 1:
        if english and (said[0] in NEVER_LAST or (said[0] in PRONOUNS and not stops)):
            return TextEvidence.OPEN
        return TextEvidence.WORD if stops else TextEvidence.UNKNOWN
    confidence = hypothesis.segments[-1].end_confidence
    sure = stops and (confidence is None or confidence >= CONFIDENT)
    if english and _wants_more(said, sure, text.endswith(QUESTION_MARKS)):
        return TextEvidence.OPEN
    if sure:
        rare = english and said[-1] in RARELY_LAST - QUESTION_ENDS
        return TextEvidence.RARE if rare else TextEvidence.COMPLETE
    if said[-1] in NUMBERS:  # the model writes no full stop behind a row of digits
        return TextEvidence.UNKNOWN
    if text.endswith(BROKEN_OFF):
        return TextEvidence.BROKEN_OFF
    if not stops:
        return TextEvidence.UNFINISHED
    doubted = confidence is not None and confidence < DOUBTED
    return TextEvidence.DOUBTFUL if doubted else TextEvidence.POSSIBLE


def _wants_more(said: list[str], sure: bool, asks: bool) -> bool:
    """Return whether the last words of an English text want more.

    `sure` tells whether its full stop is believed; `asks` whether that is a question mark.
    """
    before = next((word for word in reversed(said) if word not in NUMBERS), '')
    if said[-1] in NUMBERS and before in MEASURING and said[-2:] not in NO_NUMBERS:  # a unit
        return True
    if not sure:
        return said[-1] in RARELY_LAST
    return said[-1] in (NEVER_LAST - QUESTION_ENDS if asks else NEVER_LAST)


def required_pause(evidence: Evidence, settings: UtteranceSettings) -> tuple[float, Ending]:
    """Return how long a pause ends the utterance, in seconds, and the ending that it is then."""
    silence = settings.end_silence, Ending.SILENCE
    at_once = min(SHORT_PAUSE, settings.end_silence)
    wait = max(settings.max_pause, settings.end_silence), Ending.SILENCE
    short = evidence.voiced < SHORT
    probability, text = evidence.probability, evidence.text
    if settings.turn_detection == 'silence' or probability is None:
        return silence
    if settings.turn_detection == 'smart_turn' or not settings.speculative:  # there is no text
        done = probability >= settings.turn_threshold
        return (at_once, Ending.SMART_TURN) if done else silence if short else wait
    if text is TextEvidence.COMMAND:
        return at_once, Ending.COMMAND
    if text is TextEvidence.OPEN:
        return silence if probability >= CERTAIN else wait
    threshold = SURE if short else settings.turn_threshold
    if text is TextEvidence.COMPLETE and probability >= threshold:
        return at_once, Ending.SMART_TURN if probability >= SURE else Ending.TEXT
    enough = {
        TextEvidence.WORD: SURE,
        TextEvidence.RARE: SURE,
        TextEvidence.POSSIBLE: SURE if short else PROBABLE,
        TextEvidence.DOUBTFUL: SURE if short else LIKELY,
        TextEvidence.UNFINISHED: CERTAIN,
    }
    if text in enough and probability >= max(enough[text], threshold):
        return at_once, Ending.SMART_TURN
    expected = {
        TextEvidence.DOUBTFUL: UNSURE,
        TextEvidence.UNFINISHED: UNSURE,
        TextEvidence.BROKEN_OFF: CERTAIN,
    }
    goes_on = text in expected and probability < expected[text]
    return wait if goes_on and evidence.voiced >= SHORTER else silence
