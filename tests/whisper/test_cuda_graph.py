"""The step of the CUDA graph, run on a CPU: one shape for all tokens, and no value is read."""

import pytest
from robot import MODEL, spoken
from test_decoding import alike, task
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from utterances import every, utterances

from distil_whisper_ros.core.scheduler import JobContext
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.decoding.cuda_graph import CudaGraphDecoder
from distil_whisper_ros.whisper.decoding.greedy import GreedyDecoder


@pytest.fixture(scope='module')
def decoding(transcriber):
    return CudaGraphDecoder(transcriber._whisper.greedy)


def both(transcriber, decoding, batch, wanted, seconds):
    whisper = transcriber._whisper
    with torch.inference_mode():
        states = whisper.encode(whisper.features(batch, seconds * 16_000))
        ours = decoding.decode(states, wanted, JobContext())
        eager = whisper.greedy.decode(states, wanted, JobContext())
    return zip(ours, eager)


def test_the_tokens_are_those_of_greedy_decoding(transcriber, decoding):
    wanted = task(transcriber)
    for samples, _ in every(16):
        seconds = min(30, len(samples) // 16_000 + 8)
        for ours, eager in both(transcriber, decoding, [samples], wanted, seconds):
            alike(ours, eager)


@pytest.mark.parametrize(
    'more',
    [
        {'prompt': 'Go forward. Zorblax and Quintavia.'},
        {'max_new_tokens': 5},
        {'max_new_tokens': 1},
        {'prompt': 'word ' * 400},
    ],
)
def test_also_with_a_prompt_with_few_tokens_and_in_a_batch(transcriber, decoding, more):
    batch = [
        spoken(text, 'en-us', 140)
        for text in ('Please bring the cup to Zorblax.', 'Turn left.', 'Go to the kitchen now.')
    ]
    for ours, eager in both(transcriber, decoding, batch, task(transcriber, **more), 30):
        alike(ours, eager)


def test_the_decoder_is_used_and_the_fallback_works(transcriber, monkeypatch):
    """With a margin of 0 texts loop: they are given up here too, and decoded again."""
    said = [Utterance.whole(samples) for samples, _ in utterances()[:30:3]]
    none = ModelSettings(id=str(MODEL), audio_context_margin=0.0)
    eager = [transcriber(each, none) for each in said]
    monkeypatch.setattr(
        transcriber._whisper, 'cuda_graph', CudaGraphDecoder(transcriber._whisper.greedy)
    )  # fmt: skip
    monkeypatch.setattr(GreedyDecoder, 'decode', None)
    ours = [transcriber(each, none) for each in said]
    assert [each.text for each in ours] == [each.text for each in eager]
    assert any(each.redone for each in ours)


def test_a_step_reads_no_value(transcriber, decoding):
    """A graph cannot hold a step that reads a value or makes a shape of one."""
    whisper = transcriber._whisper
    with torch.inference_mode():
        states = whisper.encode(whisper.features([utterances()[0][0]], 160_000))
        decoding.decode(states, task(transcriber), JobContext())
        step = decoding._steps[1].run
        with NoReads():
            step()


class NoReads(TorchDispatchMode):
    """Raise where the host would wait for a value."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert '_local_scalar_dense' not in str(func), 'a value is read'
        assert 'nonzero' not in str(func), 'a shape depends on values'
        return func(*args, **(kwargs or {}))
