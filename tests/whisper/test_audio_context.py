"""The audio context, and the fallback when it was too short."""

from hypothesis import given
from hypothesis import strategies as st
import pytest
from robot import goforward, MODEL, ROOT
from sounds import speech
import torch

from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.audio_context import audio_context, context_margin, FULL_CONTEXT
from distil_whisper_ros.whisper.decoding.fallback import (
    max_tokens,
    needs_fallback,
    should_give_up,
)
from distil_whisper_ros.whisper.transcriber import Transcriber


@given(st.integers(0, FULL_CONTEXT), st.floats(0, 30))
def test_the_audio_context_holds_audio_and_margin_in_whole_seconds(samples, margin):
    size = audio_context(samples, margin)
    assert size % 16_000 == 0
    assert samples <= size <= FULL_CONTEXT
    assert (
        size == FULL_CONTEXT
        or samples + margin * 16_000 <= size + 1 <= samples + margin * 16_000 + 16_001
    )


def test_the_default_margin_was_measured_for_each_model_size():
    assert context_margin(-1, 384) < 10  # tiny
    assert context_margin(-1, 512) < 10  # base
    assert context_margin(-1, 1024) == 10  # medium was not measured: a careful one
    assert context_margin(-1, 80) == 30  # no size of Whisper: the full audio context
    assert context_margin(4, 1024) == 4


def test_loops_and_guesses_are_given_up():
    assert should_give_up([5, 6, 7, 8] * 4, [-0.1] * 16)
    assert should_give_up([9] * 16, [-0.1] * 16)
    assert should_give_up(list(range(16)), [-2.0] * 16)
    assert not should_give_up(list(range(16)), [-0.3] * 16)
    assert not should_give_up([1, 2, 1, 2, 1, 2], [-0.3] * 6)


def test_which_texts_need_the_fallback():
    fine = [-0.2] * 5
    assert not needs_fallback('go forward ten meters', fine, True)
    assert needs_fallback('go forward ten meters', fine, False)
    assert needs_fallback('thank you. ' * 30, fine, True)
    assert needs_fallback('go forward ten meters', [-1.2] * 5, True)
    assert not needs_fallback('', [], True)


def test_max_tokens_is_more_than_people_can_say():
    assert max_tokens(16_000) > 20


@pytest.mark.parametrize('name', ['tiny.en', 'base'])
def test_the_encoder_computes_the_states_of_transformers(name):
    settings = ModelSettings(id=str(ROOT / 'models' / name), dtype='float32', warm_up=False)
    whisper = Transcriber(settings)._whisper
    features = whisper.features([goforward()], FULL_CONTEXT)
    with torch.inference_mode():
        ours = whisper.encoder(features)
        theirs = whisper.model.get_encoder()(features).last_hidden_state
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=1e-3)


def test_a_shorter_audio_context_gives_the_same_text(transcriber):
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


def test_the_fallback_repairs_a_text_whose_audio_context_was_too_short(transcriber):
    """Without a margin this Whisper repeats itself; the full audio context repairs that."""
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


def test_the_fallback_repairs_single_texts_of_a_batch(transcriber):
    said = [Utterance.whole(samples) for samples, _ in speech().values()]
    none = ModelSettings(id=str(MODEL), audio_context_margin=0.0)
    together = transcriber.transcribe_batch(said, none)
    again = [hypothesis.redone for hypothesis in together]
    assert any(again)
    assert not all(again)
    for each, hypothesis in zip(said, together):
        if hypothesis.redone:
            assert hypothesis.text == transcriber(each).text
