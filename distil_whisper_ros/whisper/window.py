"""How much is encoded of the 30 s that Whisper was trained on, and whether that was too little.

The speech of a command is a few seconds, and the time of the encoder grows with what it is given.
But a Whisper that sees no silence behind the speech does not find the end of the text: it repeats
itself. So some silence is encoded, the margin; a text that looks like a failure is given up early,
and decoded again with the whole window.
"""

from collections.abc import Sequence
import math
import zlib

from ..audio import SAMPLE_RATE

WHOLE = 30 * SAMPLE_RATE  # samples
# By width of the model: 384 is tiny, 512 is base. Measured by benchmarks/window.py: with these the
# word error rate does not rise, and few texts fail. Other sizes were not measured.
MARGINS = {384: 7.0, 512: 5.0}  # s

TOKENS_PER_SECOND = 16  # twice what the fastest speakers of English say
TOKENS_AT_LEAST = 10
# The limits of openai/whisper's fallback to other temperatures (transcribe.py).
MIN_LOG_PROBABILITY = -1.0
MAX_COMPRESSION_RATIO = 2.4
LONGEST_LOOP, LOOPS = 12, 4  # tokens, times


def margin_of(wanted: float, width: int) -> float:
    """Return the margin in seconds: the wanted one, or if negative that of the model's size."""
    return wanted if wanted >= 0 else MARGINS.get(width, WHOLE / SAMPLE_RATE)


def window(samples: int, margin: float) -> int:
    """Return the samples to encode for so many samples of audio: whole seconds, at most 30."""
    return min(WHOLE, math.ceil(samples / SAMPLE_RATE + margin) * SAMPLE_RATE)


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
