"""What a GPU does, forced on the CPU: one shape for all tokens, and no look at them between."""

import pytest
from robot import MODEL, spoken
from test_decoding import alike, task
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from utterances import utterances

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
    for samples, _ in utterances()[::4]:
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
def test_also_with_a_prompt_with_little_room_and_several_at_once(transcriber, decoding, more):
    batch = [
        spoken(text, 'en-us', 140)
        for text in ('Please bring the cup to Zorblax.', 'Turn left.', 'Go to the kitchen now.')
    ]
    for ours, eager in both(transcriber, decoding, batch, task(transcriber, **more), 30):
        alike(ours, eager)


def test_the_strategy_is_chosen_and_windows_are_redone(transcriber, monkeypatch):
    """With a margin of 0 texts loop: they are given up here too, and put right."""
    said = [Utterance.whole(samples) for samples, _ in utterances()[:30:3]]
    none = ModelSettings(id=str(MODEL), audio_context_margin=0.0)
    eager = [transcriber(each, none) for each in said]
    monkeypatch.setattr(
        transcriber._whisper, 'captured', CudaGraphDecoder(transcriber._whisper.greedy)
    )  # fmt: skip
    monkeypatch.setattr(GreedyDecoder, 'decode', None)
    ours = [transcriber(each, none) for each in said]
    assert [each.text for each in ours] == [each.text for each in eager]
    assert any(each.redone for each in ours)


def test_nothing_is_looked_at_in_a_step(transcriber, decoding):
    """A graph cannot hold a step that reads a value or makes a shape of one."""
    whisper = transcriber._whisper
    with torch.inference_mode():
        states = whisper.encode(whisper.features([utterances()[0][0]], 160_000))
        decoding.decode(states, task(transcriber), JobContext())
        step = decoding._rooms[1].step
        with Looks():
            step()


class Looks(TorchDispatchMode):
    """Raises where the host would wait for a value."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert '_local_scalar_dense' not in str(func), 'a value is read'
        assert 'nonzero' not in str(func), 'a shape depends on values'
        return func(*args, **(kwargs or {}))
