"""Measure audio context margins: the text and the time of recordings with each of them."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
import time

from ..core.audio_format import SAMPLE_RATE
from ..core.settings import ModelSettings
from ..core.types import Hypothesis, Utterance
from .encoder_graph import DURATIONS

TURN = 10  # utterances

Transcribe = Callable[[Utterance, ModelSettings], Hypothesis]


@dataclass
class Measured:
    """What one margin does to all recordings."""

    margin: float
    """In seconds."""
    texts: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    """In seconds, with that of a second decode where the first one failed."""
    redone: int = 0
    """How many were decoded again with the full audio context."""

    @property
    def time(self) -> float:
        """The mean time of a recording in seconds."""
        return sum(self.times) / len(self.times)


def measure(
    transcribe: Transcribe,
    utterances: Sequence[Utterance],
    settings: ModelSettings,
    margins: Sequence[float],
    on_step: Callable[[int, int], None] = lambda done, total: None,
    graphs: bool = False,
) -> list[Measured]:
    """Transcribe each utterance with each margin.

    The margins take turns, of TURN utterances each, so that a machine that gets hot slows all of
    them down. With `graphs`, on a GPU, another margin has other CUDA graphs: an utterance for each
    of them is transcribed before the turn, and not counted. `on_step` is called with the number of
    transcriptions that are done, and that of all.
    """
    rows = [Measured(margin) for margin in margins]
    total, done = len(utterances) * len(rows), 0
    for first in range(0, len(utterances), TURN):
        turn = utterances[first : first + TURN]
        for row in rows:
            with_margin = replace(settings, audio_context_margin=row.margin)
            for utterance in _one_for_each_graph(turn) if graphs else ():
                transcribe(utterance, with_margin)
            for utterance in turn:
                on_step(done, total)
                started = time.perf_counter()
                hypothesis = transcribe(utterance, with_margin)
                row.times.append(time.perf_counter() - started)
                row.texts.append(hypothesis.text)
                row.redone += hypothesis.redone
                done += 1
    return rows


def _one_for_each_graph(utterances: Sequence[Utterance]) -> Iterable[Utterance]:
    limits = [seconds * SAMPLE_RATE for seconds in DURATIONS]
    return {bisect_left(limits, len(each.samples)): each for each in utterances}.values()
