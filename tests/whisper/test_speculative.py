"""Speculative decoding: the same text, whatever the assistant drafts.

`make exact` compares all utterances, `make test` each seventh.
"""

from assistant import with_fewer_layers
import pytest
from robot import MODEL, ROOT, spoken
from test_decoding import alike, task
import torch
from utterances import every

from distil_whisper_ros.core.errors import ModelError
from distil_whisper_ros.core.scheduler import JobContext
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.whisper.audio_context import FULL_CONTEXT
from distil_whisper_ros.whisper.decoding.speculative import accepted_tokens
from distil_whisper_ros.whisper.transcriber import Transcriber


def with_assistant(assistant, model=MODEL) -> Transcriber:
    return Transcriber(
        ModelSettings(
            id=str(model), assistant=str(assistant), dtype='float32', warm_up=False
        )  # fmt: skip
    )


@pytest.fixture(scope='module')
def poor(tmp_path_factory):
    """Return a Whisper whose assistant is itself with half its decoder, which drafts badly."""
    return with_assistant(with_fewer_layers(MODEL, tmp_path_factory.mktemp('assistant'), 2))


def both(transcriber, samples, wanted, size=FULL_CONTEXT):
    whisper = transcriber._whisper
    with torch.inference_mode():
        states = whisper.encode(whisper.features([samples], size))
        (ours,) = whisper.decoders.speculative.decode(states, wanted, JobContext())
        (alone,) = whisper.decoders.greedy.decode(states, wanted, JobContext())
    return ours, alone


@pytest.mark.timeout(1500)  # minutes, where other programs keep the processor busy
def test_the_tokens_are_those_without_an_assistant(poor):
    # 448 tokens would let a text loop until it is noticed, which drafts do in other steps.
    wanted = task(poor, max_new_tokens=128)
    for samples, _ in every(13):
        seconds = min(30, len(samples) // 16_000 + 8)
        alike(*both(poor, samples, wanted, seconds * 16_000))


@pytest.mark.parametrize(
    'more', [{'prompt': 'Go forward. Zorblax and Quintavia.'}, {'max_new_tokens': 5}]
)
def test_also_with_a_prompt_and_with_few_tokens(poor, more):
    samples = spoken('Please bring the cup to Zorblax.', 'en-us', 140)
    alike(*both(poor, samples, task(poor, **more)))


def test_also_in_another_language():
    base = ROOT / 'models' / 'base'
    transcriber = with_assistant(base, base)
    samples = spoken('Mein Name ist Peter. Ich wohne in Berlin.', 'de', 130)
    alike(*both(transcriber, samples, task(transcriber, language='de')))


def test_good_drafts_save_steps():
    itself = with_assistant(MODEL)
    steps = []
    network = itself._whisper.decoders.greedy.network
    step = network.forward
    network.forward = lambda *args, **more: steps.append(1) or step(*args, **more)
    samples = spoken('Turn left at the end of the corridor, then go straight on.', 'en-us', 140)
    wanted = task(itself)
    with torch.inference_mode():
        states = itself._whisper.encode(itself._whisper.features([samples], FULL_CONTEXT))
        (decoded,) = itself._whisper.decoders.decode(states, wanted, JobContext())
    assert len(decoded.tokens) > 10
    assert len(steps) <= 2 + len(decoded.tokens) // 5


def test_another_encoder_is_refused_in_one_line(tmp_path):
    other = with_fewer_layers(MODEL, tmp_path, 2, wrong_encoder=True)
    for name in (other, ROOT / 'models' / 'base'):
        with pytest.raises(ModelError) as refused:
            with_assistant(name)
        assert str(refused.value).startswith(f'model.assistant is {str(name)!r}, but its encoder')
    with pytest.raises(ModelError, match=r"^model.assistant is the folder '/nowhere', which"):
        with_assistant('/nowhere')


def test_which_tokens_of_a_draft_are_accepted():
    assert accepted_tokens([1, 2, 3], [1, 2, 3, 4], 9) == [1, 2, 3, 4]
    assert accepted_tokens([1, 2, 3], [1, 5, 3, 4], 9) == [1, 5]
    assert accepted_tokens([1, 2, 3], [7, 2, 3, 4], 9) == [7]
    assert accepted_tokens([1, 9], [1, 9, 4], 9) == [1, 9]
