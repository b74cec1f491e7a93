"""How much is encoded, and what happens if that was too little."""

from hypothesis import given
from hypothesis import strategies as st
import pytest
from robot import goforward, MODEL, ROOT
from sounds import speech
import torch

from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.audio_context import margin_of, WHOLE, window
from distil_whisper_ros.whisper.decoding.fallback import is_failure, is_hopeless, room
from distil_whisper_ros.whisper.transcriber import Transcriber


@given(st.integers(0, WHOLE), st.floats(0, 30))
def test_the_window_holds_audio_and_margin_in_whole_seconds(samples, margin):
    size = window(samples, margin)
    assert size % 16_000 == 0
    assert samples <= size <= WHOLE
    assert (
        size == WHOLE
        or samples + margin * 16_000 <= size + 1 <= samples + margin * 16_000 + 16_001
    )


def test_the_margin_is_what_was_measured_for_the_size():
    assert margin_of(-1, 384) < 10  # tiny
    assert margin_of(-1, 512) < 10  # base
    assert margin_of(-1, 1024) == 30  # medium was not measured: the whole window
    assert margin_of(4, 1024) == 4


def test_loops_and_guesses_are_hopeless():
    assert is_hopeless([5, 6, 7, 8] * 4, [-0.1] * 16)
    assert is_hopeless([9] * 16, [-0.1] * 16)
    assert is_hopeless(list(range(16)), [-2.0] * 16)
    assert not is_hopeless(list(range(16)), [-0.3] * 16)
    assert not is_hopeless([1, 2, 1, 2, 1, 2], [-0.3] * 6)


def test_what_a_failure_is():
    fine = [-0.2] * 5
    assert not is_failure('go forward ten meters', fine, True)
    assert is_failure('go forward ten meters', fine, False)
    assert is_failure('thank you. ' * 30, fine, True)
    assert is_failure('go forward ten meters', [-1.2] * 5, True)
    assert not is_failure('', [], True)


def test_the_room_is_more_than_people_can_say():
    assert room(16_000) > 20


@pytest.mark.parametrize('name', ['tiny.en', 'base'])
def test_our_encoder_is_that_of_transformers(name):
    settings = ModelSettings(id=str(ROOT / 'models' / name), dtype='float32', warm_up=False)
    whisper = Transcriber(settings)._whisper
    features = whisper.features([goforward()], WHOLE)
    with torch.inference_mode():
        ours = whisper.encoder(features)
        theirs = whisper.model.get_encoder()(features).last_hidden_state
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=1e-3)


def test_less_is_encoded_and_the_text_is_the_same(transcriber):
    shapes = []
    encode = transcriber._whisper.encode
    transcriber._whisper.encode = lambda features: shapes.append(features.shape) or encode(
        features
    )
    try:
        settings = ModelSettings(id=str(MODEL), audio_context_margin=7.0)
        text = transcriber(Utterance.whole(goforward()), settings).text
    finally:
        transcriber._whisper.encode = encode
    assert text == 'Go forward 10 meters.'
    assert shapes == [(1, 80, 1000)]


def test_a_window_that_is_too_small_is_noticed_and_made_good(transcriber):
    """Without a margin this Whisper repeats itself; the whole window puts it right."""
    said = [samples for samples, _ in speech().values()]
    none = ModelSettings(id=str(MODEL), audio_context_margin=0.0)
    redone = []
    for samples in said:
        tight = Utterance.whole(samples)
        hypothesis = transcriber(tight, none)
        if hypothesis.redone:
            redone.append(hypothesis.text == transcriber(tight).text)
    assert redone
    assert all(redone)


def test_several_at_once_are_made_good_one_by_one(transcriber):
    said = [Utterance.whole(samples) for samples, _ in speech().values()]
    none = ModelSettings(id=str(MODEL), audio_context_margin=0.0)
    together = transcriber.together(said, none)
    again = [hypothesis.redone for hypothesis in together]
    assert any(again)
    assert not all(again)
    for each, hypothesis in zip(said, together):
        if hypothesis.redone:
            assert hypothesis.text == transcriber(each).text
