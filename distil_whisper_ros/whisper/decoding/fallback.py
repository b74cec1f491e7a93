"""Whether a decode failed and is repeated with the full audio context, or is in doubt."""

from collections.abc import Sequence
import math
import re
import unicodedata
import zlib

from ...core.audio_format import SAMPLE_RATE
from ...core.scripts import is_dense

MAX_TOKENS_PER_SECOND = 16  # twice the rate of the fastest speakers of English
# Some scripts take several tokens for a character: Telugu has 22 tokens a second, Burmese 40,
# spoken by espeak-ng.
MAX_TOKENS_PER_SECOND_IN_OTHER_LANGUAGES = 64
MIN_MAX_TOKENS = 10

# The thresholds of openai/whisper's temperature fallback (`transcribe.py`).
MIN_LOG_PROBABILITY = -1.0
MAX_COMPRESSION_RATIO = 2.4

# Chosen on the 156 utterances of benchmarks/latency.py and on recordings of single words; see
# docs/measurements.md.
BEAM_WIDTH_IN_DOUBT = 6
DOUBTFUL_PROBABILITY = 0.5  # of a token
SAME_LENGTH = (0.7, 1.4)  # letters of the text of a beam search, of those of greedy decoding

# Of the sentences that were measured, the slowest has 11 letters in a second of speech. Digits,
# said one by one, have 6.5 to 10: some are decoded twice, which costs time, but no words.
MIN_LETTERS_PER_SECOND = 7.0
LONG_ENOUGH = 2.0  # s of speech from which letters are counted: a single word may be drawn out
LETTERS_OF_A_DIGIT, LETTERS_OF_A_SYLLABLE = 4, 2  # written by one character
# What single words take: of 59 recordings two have more than 1.7 times as much. "Five five", which
# a short audio context made one "5", has 1.8 times as much.
WORD_TIME, LETTER_TIME, DRAWN_OUT = 0.15, 0.07, 1.75  # s, s, and how many times

MAX_LOOP_LENGTH, LOOP_COUNT = 12, 4  # tokens, repetitions
# A text that is not decoded again may hold repetitions that somebody said, so only a long loop
# ends it.
ENDLESS_LOOP_LENGTH, ENDLESS_TOKENS = 32, 128  # tokens of one repetition, tokens of all


def max_tokens(samples: int, language: str = 'en') -> int:
    """Return the maximum number of tokens that speech of `samples` samples can hold."""
    rate = MAX_TOKENS_PER_SECOND if language == 'en' else MAX_TOKENS_PER_SECOND_IN_OTHER_LANGUAGES
    return MIN_MAX_TOKENS + math.ceil(rate * samples / SAMPLE_RATE)


def is_endless(tokens: Sequence[int]) -> bool:
    """Return whether an unfinished text is in a loop that it will not leave."""
    tail = tokens[-ENDLESS_TOKENS:]
    return len(tail) == ENDLESS_TOKENS and any(
        tail[length:] == tail[:-length] for length in range(1, ENDLESS_LOOP_LENGTH + 1)
    )


def should_stop(
    tokens: Sequence[int], log_probabilities: Sequence[float], end: int, give_up_early: bool
) -> bool:
    """Return whether to decode a text no further: it has ended, loops, or may be given up.

    `end` is the end token. With `give_up_early` the text is decoded again if it fails.
    """
    if end in tokens or is_endless(tokens):
        return True
    return give_up_early and should_give_up(tokens, log_probabilities)


def should_give_up(tokens: Sequence[int], log_probabilities: Sequence[float]) -> bool:
    """Return whether an unfinished text repeats itself, or is little more than a guess."""
    return sum(log_probabilities) < len(tokens) * MIN_LOG_PROBABILITY * 1.5 or any(
        tuple(tokens[-length * LOOP_COUNT :]) == tuple(tokens[-length:]) * LOOP_COUNT
        for length in range(1, MAX_LOOP_LENGTH + 1)
    )


def needs_fallback(
    text: str, log_probabilities: Sequence[float], ended: bool, voiced: float = 0.0
) -> bool:
    """Return whether a finished text should be decoded again with the full audio context.

    `ended` tells whether the end token came; `voiced` is how much of the audio is speech, in
    seconds, or 0 if that is unknown.
    """
    if not ended or compression_ratio(text) > MAX_COMPRESSION_RATIO or is_repeated(text):
        return True
    if has_too_few_words(text, voiced) or may_lack_a_word(text, voiced):
        return True
    return sum(log_probabilities) < len(log_probabilities) * MIN_LOG_PROBABILITY


def is_doubtful(tokens: Sequence[int], log_probabilities: Sequence[float], ended: bool) -> bool:
    """Return whether a text of greedy decoding should be decoded again with a beam search.

    That is so if any of its tokens was hardly likelier than others. Where the whole text is a
    guess, a beam search finds what is likely without any audio: "Thank you for watching."
    """
    guessed = sum(log_probabilities) < len(log_probabilities) * MIN_LOG_PROBABILITY
    least = min(log_probabilities[: len(tokens)], default=0.0)
    return ended and not guessed and is_doubtful_token(least)


def is_doubtful_token(log_probability: float) -> bool:
    """Return whether a token of greedy decoding was hardly likelier than others."""
    return log_probability < math.log(DOUBTFUL_PROBABILITY)


def is_better(searched: str, ended: bool, greedy: str) -> bool:
    """Return whether to take the text of a beam search instead of that of greedy decoding.

    It is likelier almost always; so is a loop, and a text that lacks words.
    """
    if not ended or is_repeated(searched) or compression_ratio(searched) > MAX_COMPRESSION_RATIO:
        return False
    least, most = (share * letters(greedy) for share in SAME_LENGTH)
    return least <= letters(searched) <= most


def is_repeated(text: str) -> bool:
    """Return whether a text is the same words twice or more, as "5 5".

    With a short audio context the model may go on behind the end, and hear all of it once more.
    """
    found = re.findall(r'\w+', text.casefold())
    if len(found) == 1 and (found[0].isdigit() or is_dense(found[0][0])):
        found = list(found[0])
    count = len(found)
    return any(
        count % unit == 0 and found == found[:unit] * (count // unit)
        for unit in range(1, count // 2 + 1)
    )


def has_too_few_words(text: str, voiced: float) -> bool:
    """Return whether a text is too short for `voiced` seconds of speech, as one word for 8 s."""
    return voiced > LONG_ENOUGH and letters(text) < MIN_LETTERS_PER_SECOND * voiced


def may_lack_a_word(text: str, voiced: float) -> bool:
    """Return whether a text of one word has `voiced` seconds of speech that would hold two."""
    if len(text.split()) != 1:
        return False
    return voiced > DRAWN_OUT * (WORD_TIME + LETTER_TIME * letters(text))


def letters(text: str) -> int:
    """Return the number of letters that a text would have, spelled as it is spoken."""
    return sum(map(_letters, text))


def _letters(character: str) -> int:
    if character.isdigit():
        return LETTERS_OF_A_DIGIT
    # In Indian scripts vowels are marks.
    if not (character.isalpha() or unicodedata.category(character).startswith('M')):
        return 0
    hangul = '\uac00' <= character <= '\ud7af'
    return LETTERS_OF_A_SYLLABLE if hangul or is_dense(character) else 1


def compression_ratio(text: str) -> float:
    """Return the text's length over its compressed length, as openai/whisper's `utils.py`.

    A character counts as one byte. In UTF-8 a character of Thai or an Indian script takes three,
    of which two are always the same: such a text would look like one that repeats itself.
    """
    data = bytes(ord(character) & 0xFF for character in text)
    return len(data) / len(zlib.compress(data)) if data else 0.0
