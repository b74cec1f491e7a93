"""Plain values as ROS messages."""

from collections.abc import Callable
import math
import time

from builtin_interfaces.msg import Time
from distil_whisper_msgs.msg import RecognizerState, Segment, Transcript, Word
from rclpy.clock import Clock
from rclpy.time import Time as ClockTime

from ..core import types as values

TimeOf = Callable[[float], Time]
"""Returns the stamp of a moment, in the seconds that the values count in."""
LATEST = (2**31 - 1) * 10**9 + 999_999_999  # ns: the last moment that a Time can hold


def by_clock(clock: Clock) -> TimeOf:
    """Return a function from moments of time.monotonic() to stamps of a clock.

    The clock may be a simulation's, which has nothing to do with this machine's; so a moment is as
    long before the clock's now as it is before the monotonic now.
    """
    now, monotonic = clock.now().nanoseconds, time.monotonic()
    return lambda moment: stamp(now - round((monotonic - moment) * 1e9))


def after(begin: Time) -> TimeOf:
    """Return a function from seconds after `begin` to stamps."""
    first = begin.sec * 10**9 + begin.nanosec
    return lambda offset: stamp(first + round(offset * 1e9))


def stamp(nanoseconds: int) -> Time:
    """Return nanoseconds since the epoch as a Time, within its limits."""
    return ClockTime(nanoseconds=min(LATEST, max(0, nanoseconds))).to_msg()


def seconds(time: Time) -> float:
    """Return a Time as seconds since the epoch."""
    return time.sec + time.nanosec * 1e-9


def state_message(
    state: values.State,
    detail: str,
    now: Time,
    progress: float = math.nan,
    hands_free: bool = False,
    attentive: bool = False,
) -> RecognizerState:
    """Return a RecognizerState."""
    return RecognizerState(
        stamp=now,
        state=int(state),
        label=state.name.lower(),
        detail=detail,
        progress=progress,
        hands_free=hands_free,
        attentive=attentive,
    )


def transcript_message(
    transcript: values.Transcript,
    time_of: TimeOf,
    frame_id: str,
    model: str,
    device: str,
    published: float | None = None,
) -> Transcript:
    """Return a Transcript.

    `published` is the moment of publication, for the latency; None for audio whose capture this
    machine did not see.
    """
    message = Transcript(
        id=transcript.id,
        text=transcript.text,
        raw_text=transcript.raw_text,
        outcome=int(transcript.outcome),
        accepted=transcript.accepted,
        reason=transcript.reason,
        command=transcript.command.text,
        command_score=(
            transcript.command_alternatives[0].score if transcript.command_alternatives else 0.0
        ),
        command_values=[*transcript.command.values],
        command_alternatives=[each.wording for each in transcript.command_alternatives],
        command_alternative_scores=[each.score for each in transcript.command_alternatives],
        model=model,
        device=device,
    )
    message.header.frame_id = frame_id
    utterance, hypothesis = transcript.utterance, transcript.hypothesis
    if utterance is not None:
        message.header.stamp = time_of(utterance.speech_start or utterance.time)
        message.end_of_speech = time_of(utterance.speech_end or utterance.time)
        message.ending = int(utterance.ending)
        message.audio_duration = utterance.duration
        if utterance.speech_end and published is not None:
            message.latency = published - utterance.speech_end
    if hypothesis is not None and utterance is not None:
        lead = max(0.0, utterance.speech_start - utterance.time)  # stamps count from the speech
        parts = hypothesis.segments
        message.language = hypothesis.language
        message.truncated = hypothesis.truncated
        message.processing_time = hypothesis.processing_time
        message.segments = [segment_message(part, lead) for part in parts]
        if parts:
            message.mean_log_probability = sum(p.mean_log_probability for p in parts) / len(parts)
            message.confidence = math.exp(min(0.0, message.mean_log_probability))
            message.no_speech_probability = max(p.no_speech_probability for p in parts)
            message.compression_ratio = max(p.compression_ratio for p in parts)
    return message


def segment_message(segment: values.Segment, lead: float) -> Segment:
    """Return a Segment whose times count from `lead` s into the utterance; none is below 0."""
    return Segment(
        text=segment.text,
        start=max(0.0, segment.start - lead),
        end=max(0.0, segment.end - lead),
        mean_log_probability=segment.mean_log_probability,
        no_speech_probability=segment.no_speech_probability,
        compression_ratio=segment.compression_ratio,
        language=segment.language,
        words=[
            Word(
                text=word.text,
                start=max(0.0, word.start - lead),
                end=max(0.0, word.end - lead),
                confidence=word.confidence,
            )
            for word in segment.words
        ],
    )
