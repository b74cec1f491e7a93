"""The fallback: whether a decode failed and must be repeated with the full audio context."""

from collections.abc import Sequence
import math
import zlib

from ...core.audio_format import SAMPLE_RATE

MAX_TOKENS_PER_SECOND = 16  # twice the rate of the fastest speakers of English
# Some scripts take several tokens for a character: Telugu has 22 tokens a second, Burmese 40,
# spoken by espeak-ng.
MAX_TOKENS_PER_SECOND_IN_OTHER_LANGUAGES = 64
MIN_MAX_TOKENS = 10

# The thresholds of openai/whisper's temperature fallback (`transcribe.py`).
MIN_LOG_PROBABILITY = -1.0
MAX_COMPRESSION_RATIO = 2.4

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


def needs_fallback(text: str, log_probabilities: Sequence[float], ended: bool) -> bool:
    """Return whether a finished text should be decoded again with the full audio context.

    `ended` tells whether the end token came.
    """
    if not ended or compression_ratio(text) > MAX_COMPRESSION_RATIO:
        return True
    return sum(log_probabilities) < len(log_probabilities) * MIN_LOG_PROBABILITY


def compression_ratio(text: str) -> float:
    """Return the text's length over its compressed length, as openai/whisper's `utils.py`.

    A character counts as one byte. In UTF-8 a character of Thai or an Indian script takes three,
    of which two are always the same: such a text would look like one that repeats itself.
    """
    data = bytes(ord(character) & 0xFF for character in text)
    return len(data) / len(zlib.compress(data)) if data else 0.0
