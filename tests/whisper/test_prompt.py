"""Prompts and hotwords beyond the decoder's limit: what fits is kept, and said once."""

import numpy as np
from robot import goforward, MODEL

from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.prompt import fit_prompt, Prompts


def words(text: str) -> int:
    return len(text.split())


def test_what_fits_stays_as_it_is():
    assert fit_prompt('', [], words, 5) == ('', '')
    assert fit_prompt('Zora, Kinect.', ['Ben'], words, 5) == ('Zora, Kinect. Names: Ben.', '')


def test_the_last_hotwords_are_kept_and_before_them_the_end_of_the_prompt():
    names = [f'name{number}' for number in range(10)]
    text, notice = fit_prompt('one two three', names, words, 6)
    assert text == 'Names: name5, name6, name7, name8, name9.'
    assert notice == (
        'the decoder takes a prompt of 6 tokens: left out are 5 of 10 model.hotwords, the first '
        'ones and the first 13 of 13 letters of model.prompt'
    )
    text, notice = fit_prompt('one two three', names[:3], words, 6)
    assert text == 'two three Names: name0, name1, name2.'
    assert 'hotwords' not in notice and 'the first 4 of 13 letters of model.prompt' in notice


def test_a_prompt_without_spaces_is_cut_between_letters():
    text, notice = fit_prompt('前进十米' * 5, [], len, 7)
    assert text == '进十米前进十米'
    assert 'letters of model.prompt' in notice


def test_a_long_prompt_is_told_once(transcriber, monkeypatch):
    notices: list[str] = []
    monkeypatch.setattr(transcriber._segments.decoder.prompts, '_on_notice', notices.append)
    utterance = Utterance.whole(goforward())
    hotwords = [f'Zorblax{number}' for number in range(100)]
    settings = ModelSettings(id=str(MODEL), hotwords=hotwords, prompt='Kinect. ' * 300)
    for _ in range(2):
        assert transcriber(utterance, settings).text
    (notice,) = notices
    assert 'the decoder takes a prompt of 223 tokens' in notice
    whisper = transcriber._whisper
    tokens = transcriber._segments.decoder.prompts.tokens(settings)
    assert len(tokens) <= 224
    kept = whisper.tokenizer.decode(tokens[1:])
    assert kept.endswith('Zorblax99.')
    assert 'Names: Zorblax' in kept
    transcriber(utterance, ModelSettings(id=str(MODEL), hotwords=['Zora']))
    assert len(notices) == 1


def test_long_prompts_in_turns_are_told_once_each(transcriber):
    """As hands-free: with the names, and without them after the name was said."""
    notices: list[str] = []
    prompts = Prompts(transcriber._whisper.tokenizer, 40, notices.append)
    long = ModelSettings(prompt='Kinect. ' * 30)
    named = ModelSettings(prompt=long.prompt + 'Robot,')
    tokens = [prompts.tokens(each) for each in (long, named, long, ModelSettings(), named)]
    assert tokens[0] == tokens[2] and tokens[1] == tokens[4] and tokens[3] == []
    assert len(notices) == 2


def test_silent_parts_of_long_audio_are_not_decoded(transcriber):
    from distil_whisper_ros.audio.framing import frames_of
    from distil_whisper_ros.speech.voice_activity import VoiceActivity

    silence = 100.0  # s
    quiet = np.random.default_rng(0).normal(0, 1e-3, round(silence * 16_000)).astype(np.float32)
    samples = np.concatenate((quiet, goforward(), quiet))
    activity = VoiceActivity()
    speech = tuple(activity(frame) for frame in frames_of(samples))
    utterance = Utterance.whole(samples, speech)
    settings = ModelSettings(id=str(MODEL), audio_context_margin=30.0)
    hypothesis = transcriber(utterance, settings)
    (segment,) = hypothesis.segments
    assert segment.text.lower() == 'go forward 10 meters.'
    assert silence - 1 < segment.start < silence + 1
    assert silence < segment.words[0].start < segment.words[-1].end < silence + 4
    everything = transcriber(utterance, settings, skip_silence=False)
    assert len(everything.segments) > 5
