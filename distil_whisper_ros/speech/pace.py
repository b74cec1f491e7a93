"""How much work ahead the machine can do: less where one transcription takes long.

A hot Jetson lowers its clocks, and a full audio context takes several times as long as a short
one. Text at each short pause and every half second would keep the processor busy all the time
then, and make it hotter, for texts that come too late.
"""

from collections.abc import Callable
from dataclasses import replace
import time

from ..core.scheduler import JobContext
from ..core.types import Hypothesis
from .name_first import Transcribe
from .utterance_buffer import MARGIN

NEWEST = 0.5  # weight of the newest transcription in the mean
PARTIAL_SHARE = 0.5  # of the time that partial texts may take, where they are slow


class Pace:
    """Measures the transcriptions, and says how early and how often to work ahead.

    The scheduler's thread measures, the listener's thread asks.
    """

    def __init__(self) -> None:
        """Nothing is measured: work ahead as on a fast machine."""
        self.duration = 0.0
        """The mean time of the latest transcriptions in seconds."""

    def count(self, duration: float) -> None:
        """Count a transcription of that duration in seconds; an aborted one does not count."""
        if self.duration:
            duration = NEWEST * duration + (1 - NEWEST) * self.duration
        self.duration = duration

    def pause(self, end_silence: float) -> float:
        """Return the pause in seconds at which to transcribe the utterance so far.

        Where the text cannot be there before `end_silence` ends the utterance, the pause is
        longer: in most of the short ones the speaker goes on, and the work is lost.
        """
        if self.duration <= end_silence:
            return MARGIN
        return max(MARGIN, end_silence / 2)

    def partial_period(self, period: float) -> float:
        """Return the time from one partial text to the next in seconds, at least `period`."""
        if self.duration <= period:
            return period
        return self.duration / PARTIAL_SHARE


def timed(transcribe: Transcribe, count: Callable[[float], None]) -> Transcribe:
    """Return `transcribe` with the time that it takes noted in the hypothesis, and counted."""

    def measured(utterance, settings, context: JobContext) -> Hypothesis:
        started = time.monotonic()
        hypothesis = transcribe(utterance, settings, context)
        duration = time.monotonic() - started
        count(duration)
        return replace(hypothesis, processing_time=duration)

    return measured
