"""Cut long audio at pauses, into segments that fit Whisper's 30 s.

Each segment is decoded on its own, so segments do not overlap and no earlier text can be repeated:
the cut-and-merge method of Bain et al., "WhisperX: Time-Accurate Speech Transcription of
Long-Form Audio", Interspeech 2023, section 2.2.
"""

from collections.abc import Sequence

from ..core.audio_format import FRAME_DURATION, FRAME_LENGTH, SAMPLE_RATE

SPOKEN = 0.25  # probability of speech of a frame from which a segment may hold speech
MARGIN = 16  # frames, 0.5 s, kept before and after the speech of a segment
SMOOTHING = 8  # frames, 0.26 s: a pause is that long; one uncertain frame is no pause


def segment_limits(
    samples: int, speech: Sequence[float], max_length: float
) -> list[tuple[int, int]]:
    """Return the segments as (first sample, sample after the last).

    Parameters
    ----------
    samples: length of the audio, in samples.
    speech: probability of speech of each frame; where it is missing, cuts are made anywhere.
    max_length: maximum length of a segment, in seconds.

    """
    segments = []
    start = 0
    limit = int(max_length * SAMPLE_RATE)
    while samples - start > limit:
        cut = quietest(speech, start + limit // 2, start + limit)
        segments.append((start, cut))
        start = cut
    segments.append((start, samples))
    return segments


def spoken_parts(
    segments: Sequence[tuple[int, int]], speech: Sequence[float]
) -> list[tuple[int, int]]:
    """Return the parts of long audio in which somebody may speak; silence is not decoded.

    `segments` and the result are (first sample, sample after the last); `speech` is the
    probability of speech of each frame. Audio of one segment is returned as it is, and so is audio
    without any such frame: whoever wants it decoded knows better.
    """
    if len(segments) < 2 or not speech:
        return list(segments)
    parts = []
    for first, last in segments:
        begin, end = first // FRAME_LENGTH, -(-last // FRAME_LENGTH)
        spoken = [frame for frame in range(begin, end) if _at(speech, frame) >= SPOKEN]
        if spoken:
            parts.append(
                (
                    max(first, (spoken[0] - MARGIN) * FRAME_LENGTH),
                    min(last, (spoken[-1] + 1 + MARGIN) * FRAME_LENGTH),
                )
            )
    return parts or list(segments)


def _at(speech: Sequence[float], frame: int) -> float:
    """Return a frame's probability of speech; 1 where it is unknown."""
    return speech[frame] if frame < len(speech) else 1.0


def quietest(speech: Sequence[float], first: int, last: int) -> int:
    """Return the sample between `first` and `last` around which speech is least likely."""
    frames = range(first // FRAME_LENGTH + SMOOTHING, last // FRAME_LENGTH - SMOOTHING)
    best, cut = float('inf'), last
    for frame in frames:
        around = speech[max(0, frame - SMOOTHING) : frame + SMOOTHING]
        if around:
            # Of two equally quiet places the later one makes fewer segments.
            likely = sum(around) / len(around) - frame * FRAME_DURATION * 1e-3
            if likely < best:
                best, cut = likely, frame * FRAME_LENGTH
    return cut
