"""The fallback: whether a decode failed and must be repeated with the full audio context."""

from collections.abc import Sequence
import math
import zlib

from ...core.audio_format import SAMPLE_RATE

MAX_TOKENS_PER_SECOND = 16  # twice the rate of the fastest speakers of English
MIN_MAX_TOKENS = 10

# The thresholds of openai/whisper's temperature fallback (`transcribe.py`).
MIN_LOG_PROBABILITY = -1.0
MAX_COMPRESSION_RATIO = 2.4

MAX_LOOP_LENGTH, LOOP_COUNT = 12, 4  # tokens, repetitions


def max_tokens(samples: int) -> int:
    """Return the maximum number of tokens that speech of `samples` samples can hold."""
    return MIN_MAX_TOKENS + math.ceil(MAX_TOKENS_PER_SECOND * samples / SAMPLE_RATE)


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
    """Return the text's length over its compressed length, as openai/whisper's `utils.py`."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0
