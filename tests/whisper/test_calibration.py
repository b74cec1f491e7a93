"""Audio context margins: the default of each size, and how they are measured."""

import numpy as np
import pytest

from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Hypothesis, Segment, Utterance
from distil_whisper_ros.whisper import calibration
from distil_whisper_ros.whisper.audio_context import context_margin
from distil_whisper_ros.whisper.calibration import measure


@pytest.mark.parametrize(
    ('width', 'margin'), [(384, 7), (512, 7), (768, 10), (1024, 10), (1280, 10), (100, 30)]
)
def test_the_default_margin_of_each_size(width, margin):
    assert context_margin(-1.0, width) == margin
    assert context_margin(3.0, width) == 3


def test_the_margins_take_turns(monkeypatch):
    monkeypatch.setattr(calibration, 'TURN', 1)
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


def test_the_first_use_of_a_graph_is_not_counted():
    calls = []

    def transcribe(utterance: Utterance, settings: ModelSettings) -> Hypothesis:
        calls.append((len(utterance.samples) // 16_000, settings.audio_context_margin))
        return Hypothesis(())

    utterances = [Utterance.whole(np.zeros(n * 16_000, np.float32)) for n in (1, 2, 5, 8, 9)]
    rows = measure(transcribe, utterances, ModelSettings(), [30.0, 7.0], graphs=True)
    each = [1, 2, 5, 8, 9]
    assert calls == [(n, margin) for margin in (30.0, 7.0) for n in ([2, 5, 9] + each)]
    assert all(len(row.times) == len(row.texts) == 5 for row in rows)
