"""The audio context: how much audio the encoder gets, of the 30 s that Whisper was trained on.

The speech of a command takes a few seconds, and the encoder's time grows with its input. But a
Whisper that sees no silence after the speech does not find the end of the text: it repeats
itself. So some silence is encoded too, the audio context margin. A text that looks like a failure
is given up early and decoded again with the full audio context: see `decoding/fallback.py`.
"""

import math

from ..core.audio_format import SAMPLE_RATE

FULL_CONTEXT = 30 * SAMPLE_RATE  # samples
# By d_model: 384 is tiny, 512 is base. Measured by benchmarks/audio_context.py on sentences and on
# short words: with these margins the word error rate does not rise, and few texts fail. Those of
# small (768), medium (1024) and large (1280) are not measured, but careful: with 10 s neither tiny
# nor base has more wrong words, and what fails is decoded again. `speech_calibrate` finds the
# margin of any model.
MARGINS = {384: 7.0, 512: 7.0, 768: 10.0, 1024: 10.0, 1280: 10.0}  # s


def context_margin(requested: float, d_model: int) -> float:
    """Return the audio context margin in seconds.

    `requested` is in seconds; if it is negative, the margin of a model of width `d_model` is used,
    or 30 s (the full audio context) where the width is not that of a Whisper.
    """
    if requested >= 0:
        return requested
    return MARGINS.get(d_model, FULL_CONTEXT / SAMPLE_RATE)


def audio_context(samples: int, margin: float) -> int:
    """Return how many samples to encode for audio of `samples` samples and a margin in seconds.

    The result is a whole number of seconds, at most 30 s.
    """
    return min(FULL_CONTEXT, math.ceil(samples / SAMPLE_RATE + margin) * SAMPLE_RATE)
