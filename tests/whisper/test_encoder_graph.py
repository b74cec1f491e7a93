"""The encoder's CUDA graphs, run on a CPU: a few shapes, in memory that does not move."""

import pytest
from robot import goforward, MODEL
import torch
from utterances import every

from distil_whisper_ros.core.settings import DecodingSettings, ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper import encoder_graph
from distil_whisper_ros.whisper.encoder_graph import EncoderGraphs
from distil_whisper_ros.whisper.self_test import self_test, spoken_clip

SECOND = 16_000


@pytest.fixture
def graphs(transcriber, monkeypatch):
    """Let the model use graphs for a margin of 7 s."""
    whisper = transcriber._whisper
    made = EncoderGraphs(whisper.encoder, 7.0, 160)
    monkeypatch.setattr(whisper, 'encoder_graphs', made)
    return made


@pytest.fixture
def check(transcriber, graphs, monkeypatch):
    """Run the self-test; return what it warns of."""

    def run() -> list[str]:
        notices: list[str] = []
        monkeypatch.setattr(transcriber._whisper, '_on_notice', notices.append)
        with torch.inference_mode():
            whisper = transcriber._whisper
            self_test(whisper, 'a model', 'float16', 10 * SECOND, notices.append)
        return notices

    return run


def test_the_audio_context_is_that_of_the_next_graph(graphs):
    assert [size / SECOND for size in graphs.sizes] == [10, 13, 30]
    found = [graphs.audio_context(seconds * SECOND) / SECOND for seconds in range(6, 31)]
    assert found[:2] == [6, 10]  # 4 s more would take longer than the graph saves
    assert found[4:9] == [10, 13, 13, 13, 14]
    assert found[-5:] == [26, 30, 30, 30, 30]


def test_the_full_audio_context_has_one_graph(transcriber):
    assert EncoderGraphs(transcriber._whisper.encoder, 30.0, 160).sizes == [30 * SECOND]


def test_another_margin_has_other_graphs(transcriber, graphs, monkeypatch):
    """As model.audio_context_margin changes, or calibrate tries one; a draft has no own ones."""
    encoded, features = [], transcriber._whisper.features

    def seen(clips, size):
        encoded.append(size / SECOND)
        return features(clips, size)

    monkeypatch.setattr(transcriber._whisper, 'features', seen)
    said = Utterance.whole(spoken_clip())
    assert 2 < len(said.samples) / SECOND < 3
    for margin in (30.0, 10.0, 7.0, 5.0, 3.0, 10.0):
        transcriber(said, ModelSettings(id=str(MODEL), audio_context_margin=margin))
    assert encoded == [30, 13, 10, 8, 6, 13]
    assert {*graphs._captured} <= {size // 160 for size in graphs.sizes}  # the others are free
    transcriber(said, DecodingSettings(id=str(MODEL), draft=True))
    assert graphs.sizes == [10 * SECOND, 13 * SECOND, 30 * SECOND]


def test_the_states_are_those_of_the_encoder(transcriber, graphs):
    whisper = transcriber._whisper
    kept = []
    with torch.inference_mode():
        for size in [*graphs.sizes, *graphs.sizes]:
            for samples in (goforward(), spoken_clip()):
                features = whisper.features([samples], size)
                kept.append((whisper.encoder(features), whisper.encode(features)))
    # All at the end: no clip overwrites the states of an earlier one.
    for plain, states in kept:
        torch.testing.assert_close(states, plain)
    assert len(graphs._captured) == len(graphs.sizes)


def test_other_shapes_have_no_graph(transcriber, graphs, monkeypatch):
    monkeypatch.setattr(EncoderGraphs, '__call__', None)
    whisper = transcriber._whisper
    with torch.inference_mode():
        whisper.encode(whisper.features([goforward()], 11 * SECOND))
        whisper.encode(whisper.features([goforward()] * 2, 10 * SECOND))


def test_the_texts_are_those_without_graphs(transcriber, graphs, monkeypatch):
    said = [Utterance.whole(samples) for samples, _ in every(16)]
    settings = ModelSettings(id=str(MODEL), audio_context_margin=7.0)
    ours = [transcriber(each, settings).text for each in said]
    assert graphs._captured
    monkeypatch.setattr(transcriber._whisper, 'encoder_graphs', None)
    plain = [transcriber(each, settings).text for each in said]
    same = sum(one == other for one, other in zip(ours, plain))
    assert same >= len(said) - 1, [pair for pair in zip(ours, plain) if pair[0] != pair[1]]


def test_the_self_test_captures_and_keeps_them(transcriber, graphs, check):
    assert check() == []
    assert transcriber._whisper.encoder_graphs is graphs
    assert len(graphs._captured) == len(graphs.sizes)


@pytest.mark.parametrize('factor', [float('nan'), 2.0])
def test_graphs_with_other_values_are_switched_off(transcriber, check, monkeypatch, factor):
    right = EncoderGraphs.__call__
    monkeypatch.setattr(EncoderGraphs, '__call__', lambda *given: factor * right(*given))
    (notice,) = check()
    assert notice.startswith('the self-test encodes other values with a CUDA graph than without')
    assert transcriber._whisper.encoder_graphs is None
    assert transcriber(Utterance.whole(goforward())).text == 'Go forward 10 meters.'


def test_graphs_that_cannot_be_captured_are_switched_off(transcriber, check, monkeypatch):
    def fail(*_arguments):
        raise RuntimeError('CUDA error: operation not permitted when stream is capturing\nmore')

    monkeypatch.setattr(encoder_graph.StaticEncoder, '__init__', fail)
    (notice,) = check()
    assert notice.startswith('encoding with a CUDA graph failed (CUDA error: operation not')
    assert '\n' not in notice
    assert transcriber._whisper.encoder_graphs is None
