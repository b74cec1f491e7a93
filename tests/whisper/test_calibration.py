"""Audio context margins: the default of each size, and how they are measured."""

import numpy as np
import pytest

from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Hypothesis, Segment, Utterance
from distil_whisper_ros.whisper.audio_context import context_margin
from distil_whisper_ros.whisper.calibration import measure


@pytest.mark.parametrize(
    ('width', 'margin'), [(384, 7), (512, 7), (768, 10), (1024, 10), (1280, 10), (100, 30)]
)
def test_the_default_margin_of_each_size(width, margin):
    assert context_margin(-1.0, width) == margin
    assert context_margin(3.0, width) == 3


def test_the_margins_take_turns():
    calls = []

    def transcribe(utterance: Utterance, settings: ModelSettings) -> Hypothesis:
        calls.append((len(utterance.samples), settings.audio_context_margin))
        redone = settings.audio_context_margin < 5
        return Hypothesis((Segment(f'{len(calls)}', 0, 1, 0, 0, 1, redone=redone),))

    utterances = [Utterance.whole(np.zeros(n, np.float32)) for n in (1, 2)]
    steps = []
    rows = measure(
        transcribe, utterances, ModelSettings(), [30.0, 3.0], lambda *step: steps.append(step)
    )
    assert calls == [(1, 30.0), (1, 3.0), (2, 30.0), (2, 3.0)]
    assert [(row.margin, row.texts, row.redone) for row in rows] == [
        (30.0, ['1', '3'], 0),
        (3.0, ['2', '4'], 2),
    ]
    assert steps == [(0, 4), (1, 4), (2, 4), (3, 4)]
