"""Which parts of long audio are decoded."""

from distil_whisper_ros.core.audio_format import FRAME_LENGTH
from distil_whisper_ros.whisper.segmentation import MARGIN, segment_limits, spoken_parts

SECOND = 31  # frames
LENGTH = 100 * SECOND


def parts(*spoken: int) -> list[tuple[int, int]]:
    """Return the parts that are decoded, in frames, where these frames are speech."""
    speech = [0.9 if frame in spoken else 0.01 for frame in range(LENGTH)]
    limits = segment_limits(LENGTH * FRAME_LENGTH, speech, 28.0)
    found = spoken_parts(limits, speech)
    return [(first // FRAME_LENGTH, last // FRAME_LENGTH) for first, last in found]


def test_only_the_speech_and_a_margin_is_decoded():
    (part,) = parts(2000, 2050)
    assert part == (2000 - MARGIN, 2051 + MARGIN)


def test_margins_stay_within_the_audio():
    assert parts(0)[0][0] == 0
    assert parts(LENGTH - 1)[-1][1] == LENGTH


def test_every_frame_of_speech_is_decoded():
    spoken = [*range(0, LENGTH, 97)]
    found = parts(*spoken)
    assert all(any(first <= frame < last for first, last in found) for frame in spoken)


def test_audio_without_any_speech_or_of_one_segment_stays_whole():
    assert parts()[0][0] == 0 and parts()[-1][1] == LENGTH
    assert spoken_parts([(0, 1000)], [0.0, 0.9]) == [(0, 1000)]
    assert spoken_parts([(0, 1000), (1000, 2000)], ()) == [(0, 1000), (1000, 2000)]
