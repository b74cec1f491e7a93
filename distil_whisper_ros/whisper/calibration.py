"""Measure audio context margins: the text and the time of recordings with each of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
import time

from ..core.settings import ModelSettings
from ..core.types import Hypothesis, Utterance

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
) -> list[Measured]:
    """Transcribe each utterance with each margin.

    The margins take turns, so that a machine that gets hot slows all of them down. `on_step` is
    called with the number of transcriptions that are done, and that of all.
    """
    rows = [Measured(margin) for margin in margins]
    total = len(utterances) * len(rows)
    for number, utterance in enumerate(utterances):
        for index, row in enumerate(rows):
            on_step(number * len(rows) + index, total)
            started = time.perf_counter()
            hypothesis = transcribe(utterance, replace(settings, audio_context_margin=row.margin))
            row.times.append(time.perf_counter() - started)
            row.texts.append(hypothesis.text)
            row.redone += hypothesis.redone
    return rows
