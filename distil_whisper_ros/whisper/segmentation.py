"""Cutting long audio at pauses, into parts that Whisper's window of 30 s holds.

Each part is decoded by itself, so there is no overlap to merge and no earlier text to repeat: the
cut-and-merge of Bain et al., "WhisperX", Interspeech 2023, section 2.2.
"""

from collections.abc import Sequence

from ..core.audio_format import FRAME_DURATION, FRAME_LENGTH, SAMPLE_RATE

SMOOTHING = 8  # frames, 0.26 s: a pause is that long, not one unsure frame


def segment_limits(samples: int, speech: Sequence[float], longest: float) -> list[tuple[int, int]]:
    """Return the parts as (first sample, sample behind the last).

    Parameters
    ----------
    samples: length of the audio.
    speech: probability of speech of each frame; where it is missing, cuts are made anywhere.
    longest: length of the longest part, in seconds.

    """
    parts = []
    start = 0
    limit = int(longest * SAMPLE_RATE)
    while samples - start > limit:
        cut = _quietest(speech, start + limit // 2, start + limit)
        parts.append((start, cut))
        start = cut
    parts.append((start, samples))
    return parts


def _quietest(speech: Sequence[float], first: int, last: int) -> int:
    """Return the sample between `first` and `last` around which speech is least likely."""
    frames = range(first // FRAME_LENGTH + SMOOTHING, last // FRAME_LENGTH - SMOOTHING)
    best, cut = float('inf'), last
    for frame in frames:
        around = speech[max(0, frame - SMOOTHING) : frame + SMOOTHING]
        if around:
            # Later is better, where it is equally quiet: fewer parts.
            likely = sum(around) / len(around) - frame * FRAME_DURATION * 1e-3
            if likely < best:
                best, cut = likely, frame * FRAME_LENGTH
    return cut
