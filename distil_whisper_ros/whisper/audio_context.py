"""How much is encoded of the 30 s that Whisper was trained on, and whether that was too little.

The speech of a command is a few seconds, and the time of the encoder grows with what it is given.
But a Whisper that sees no silence behind the speech does not find the end of the text: it repeats
itself. So some silence is encoded, the margin; a text that looks like a failure is given up early,
and decoded again with the whole window.
"""

import math

from ..core.audio_format import SAMPLE_RATE

WHOLE = 30 * SAMPLE_RATE  # samples
# By width of the model: 384 is tiny, 512 is base. Measured by benchmarks/audio_context.py: with these the
# word error rate does not rise, and few texts fail. Other sizes were not measured.
MARGINS = {384: 7.0, 512: 5.0}  # s


def margin_of(wanted: float, width: int) -> float:
    """Return the margin in seconds: the wanted one, or if negative that of the model's size."""
    return wanted if wanted >= 0 else MARGINS.get(width, WHOLE / SAMPLE_RATE)


def window(samples: int, margin: float) -> int:
    """Return the samples to encode for so many samples of audio: whole seconds, at most 30."""
    return min(WHOLE, math.ceil(samples / SAMPLE_RATE + margin) * SAMPLE_RATE)
