"""Whether a decode failed, and must be done again with the whole audio context."""

from collections.abc import Sequence
import math
import zlib

from ...core.audio_format import SAMPLE_RATE

TOKENS_PER_SECOND = 16  # twice what the fastest speakers of English say


TOKENS_AT_LEAST = 10


# The limits of openai/whisper's fallback to other temperatures (transcribe.py).
MIN_LOG_PROBABILITY = -1.0


MAX_COMPRESSION_RATIO = 2.4


LONGEST_LOOP, LOOPS = 12, 4  # tokens, times


def room(samples: int) -> int:
    """Return the most tokens that can be said in so many samples of audio."""
    return TOKENS_AT_LEAST + math.ceil(TOKENS_PER_SECOND * samples / SAMPLE_RATE)


def is_hopeless(tokens: Sequence[int], log_probabilities: Sequence[float]) -> bool:
    """Return whether a text that is not at its end repeats itself, or is all but a guess."""
    return sum(log_probabilities) < len(tokens) * MIN_LOG_PROBABILITY * 1.5 or any(
        tuple(tokens[-length * LOOPS :]) == tuple(tokens[-length:]) * LOOPS
        for length in range(1, LONGEST_LOOP + 1)
    )


def is_failure(text: str, log_probabilities: Sequence[float], ended: bool) -> bool:
    """Return whether a finished text should be decoded again with the whole window."""
    if not ended or compression_ratio(text) > MAX_COMPRESSION_RATIO:
        return True
    return sum(log_probabilities) < len(log_probabilities) * MIN_LOG_PROBABILITY


def compression_ratio(text: str) -> float:
    """Return the text's length over its compressed length: openai/whisper's `utils.py`."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0
