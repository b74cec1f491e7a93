"""The step of the CUDA graph, run on a CPU: one shape for all tokens, and no value is read."""

from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from robot import MODEL, spoken
from test_decoding import alike, task
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from utterances import every, utterances

from distil_whisper_ros.core.scheduler import JobContext
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.decoding.cuda_graph import capture_graph, CudaGraphDecoder
from distil_whisper_ros.whisper.decoding.greedy import GreedyDecoder


@pytest.fixture(scope='module')
def decoding(transcriber):
    return CudaGraphDecoder(transcriber._whisper.decoders.greedy)


def both(transcriber, decoding, samples, wanted, seconds):
    whisper = transcriber._whisper
    with torch.inference_mode():
        states = whisper.encode(whisper.features([samples], seconds * 16_000))
        (ours,) = decoding.decode(states, wanted, JobContext())
        (eager,) = whisper.decoders.greedy.decode(states, wanted, JobContext())
    return ours, eager


def test_the_tokens_are_those_of_greedy_decoding(transcriber, decoding):
    wanted = task(transcriber)
    for samples, _ in every(16):
        seconds = min(30, len(samples) // 16_000 + 8)
        alike(*both(transcriber, decoding, samples, wanted, seconds))


@pytest.mark.parametrize(
    'more',
    [
        {'prompt': 'Go forward. Zorblax and Quintavia.'},
        {'max_new_tokens': 5},
        {'max_new_tokens': 1},
        {'prompt': 'word ' * 400},
    ],
)
def test_also_with_a_prompt_and_with_few_tokens(transcriber, decoding, more):
    samples = spoken('Please bring the cup to Zorblax.', 'en-us', 140)
    alike(*both(transcriber, decoding, samples, task(transcriber, **more), 30))


def test_a_batch_has_no_graph(transcriber, monkeypatch):
    """One graph for each batch size would keep its caches for ever."""
    monkeypatch.setattr(CudaGraphDecoder, 'decode', None)
    graph = CudaGraphDecoder(transcriber._whisper.decoders.greedy)
    monkeypatch.setattr(transcriber._whisper.decoders, 'cuda_graph', graph)
    clips = [Utterance.whole(samples) for samples, _ in utterances()[:2]]
    assert all(each.text for each in transcriber.transcribe_batch(clips, ModelSettings()))


def test_what_a_broken_text_left_behind_spoils_no_later_one(transcriber, decoding):
    whisper, wanted = transcriber._whisper, task(transcriber)
    samples = utterances()[0][0]
    with torch.inference_mode():
        states = whisper.encode(whisper.features([samples], 480_000))
        decoding.decode(states * float('nan'), wanted, JobContext())
    alike(*both(transcriber, decoding, samples, wanted, 10))


def test_masks_are_ready_for_fused_attention(transcriber, decoding):
    """A mask of another type or length would be copied for each layer of each token."""
    alike(*both(transcriber, decoding, utterances()[0][0], task(transcriber), 10))
    seen = []
    attention = transcriber._whisper.decoders.greedy.network.attention

    def watch(query, key, value, mask=None, is_causal=False):
        assert mask is not None
        seen.append((mask.dtype, mask.shape[-1] % 16, key.shape[2] - mask.shape[-1]))
        return attention(query, key, value, mask, is_causal)

    transcriber._whisper.decoders.greedy.network.attention = watch
    try:
        with torch.inference_mode():
            decoding.step.run()
    finally:
        transcriber._whisper.decoders.greedy.network.attention = attention
    assert set(seen) == {(torch.float32, 0, 0)}


def test_the_graph_is_captured_on_the_device_of_the_model(monkeypatch):
    """With the model on cuda:1, streams of cuda:0 would wait for nothing."""
    used: list[Any] = []

    class Aside:
        def wait_stream(self, _other):
            pass

    class Graph:
        def replay(self):
            used.append('replay')

    @contextmanager
    def entered(*arguments, **named):
        used.append((arguments, named))
        yield

    aside = Aside()
    fakes = {
        'device': entered,
        'current_stream': lambda device: used.append(device) or Aside(),
        'Stream': lambda device: used.append(device) or aside,
        'stream': lambda _stream: nullcontext(),
        'CUDAGraph': Graph,
        'graph': entered,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    second = torch.device('cuda:1')
    capture_graph(lambda: used.append('run'), second)()
    assert used[:3] == [((second,), {}), second, second]
    assert used.count('run') == 4
    _, named = used[-3]
    assert named == {'stream': aside, 'capture_error_mode': 'thread_local'}
    assert used[-1] == 'replay'


def test_the_decoder_is_used_and_the_fallback_works(transcriber, monkeypatch):
    """With a margin of 0 texts loop: they are given up here too, and decoded again."""
    said = [Utterance.whole(samples) for samples, _ in utterances()[:30:3]]
    none = ModelSettings(id=str(MODEL), audio_context_margin=0.0)
    eager = [transcriber(each, none) for each in said]
    decoders = transcriber._whisper.decoders
    monkeypatch.setattr(decoders, 'cuda_graph', CudaGraphDecoder(decoders.greedy))
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
        step = decoding.step.run
        with NoReads():
            step()


class NoReads(TorchDispatchMode):
    """Raise where the host would wait for a value."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert '_local_scalar_dense' not in str(func), 'a value is read'
        assert 'nonzero' not in str(func), 'a shape depends on values'
        return func(*args, **(kwargs or {}))
