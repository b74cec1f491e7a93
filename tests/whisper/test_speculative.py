"""Speculative decoding: the same text, whatever the assistant guesses."""

from assistant import truncated
import pytest
from robot import MODEL, ROOT, spoken
from test_decoding import alike, task
import torch
from utterances import utterances

from distil_whisper_ros.core.errors import ModelError
from distil_whisper_ros.core.scheduler import JobContext
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.whisper.audio_context import WHOLE
from distil_whisper_ros.whisper.decoding.speculative import agreed
from distil_whisper_ros.whisper.transcriber import Transcriber


def assisted(assistant, model=MODEL) -> Transcriber:
    return Transcriber(
        ModelSettings(
            id=str(model), assistant=str(assistant), dtype='float32', warm_up=False
        )  # fmt: skip
    )


@pytest.fixture(scope='module')
def poor(tmp_path_factory):
    """Return a Whisper whose assistant is itself with half its decoder, which guesses badly."""
    return assisted(truncated(MODEL, tmp_path_factory.mktemp('assistant'), 2))


def both(transcriber, samples, wanted, size=WHOLE):
    whisper = transcriber._whisper
    with torch.inference_mode():
        states = whisper.encode(whisper.features([samples], size))
        (ours,) = whisper.assisted.decode(states, wanted, JobContext())
        (alone,) = whisper.greedy.decode(states, wanted, JobContext())
    return ours, alone


def test_the_tokens_are_those_without_an_assistant_on_the_whole_set(poor):
    wanted = task(poor)
    for samples, _ in utterances():
        seconds = min(30, len(samples) // 16_000 + 8)
        alike(*both(poor, samples, wanted, seconds * 16_000))


@pytest.mark.parametrize(
    'more', [{'prompt': 'Go forward. Zorblax and Quintavia.'}, {'max_new_tokens': 5}]
)
def test_also_with_a_prompt_and_with_little_room(poor, more):
    samples = spoken('Please bring the cup to Zorblax.', 'en-us', 140)
    alike(*both(poor, samples, task(poor, **more)))


def test_also_in_another_language():
    base = ROOT / 'models' / 'base'
    transcriber = assisted(base, base)
    samples = spoken('Mein Name ist Peter. Ich wohne in Berlin.', 'de', 130)
    alike(*both(transcriber, samples, task(transcriber, language='de')))


def test_good_guesses_save_steps():
    itself = assisted(MODEL)
    steps = []
    model = itself._whisper.greedy
    step = model.step
    model.step = lambda *args, **more: steps.append(1) or step(*args, **more)
    samples = spoken('Turn left at the end of the corridor, then go straight on.', 'en-us', 140)
    wanted = task(itself)
    with torch.inference_mode():
        states = itself._whisper.encode(itself._whisper.features([samples], WHOLE))
        (decoded,) = itself._whisper.decode(states, wanted, JobContext())
    assert len(decoded.tokens) > 10
    assert len(steps) <= 2 + len(decoded.tokens) // 5


def test_another_encoder_is_refused_in_one_line(tmp_path):
    other = truncated(MODEL, tmp_path, 2, wrong_encoder=True)
    for name in (other, ROOT / 'models' / 'base'):
        with pytest.raises(ModelError) as refused:
            assisted(name)
        assert str(refused.value).startswith(f'model.assistant is {str(name)!r}, but its encoder')
    with pytest.raises(ModelError, match=r"^model.assistant is the folder '/nowhere', which"):
        assisted('/nowhere')


def test_what_counts_of_the_guesses():
    assert agreed([1, 2, 3], [1, 2, 3, 4], 9) == [1, 2, 3, 4]
    assert agreed([1, 2, 3], [1, 5, 3, 4], 9) == [1, 5]
    assert agreed([1, 2, 3], [7, 2, 3, 4], 9) == [7]
    assert agreed([1, 9], [1, 9, 4], 9) == [1, 9]
