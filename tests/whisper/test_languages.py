"""Every language to its end: several allowed languages, long texts, loops."""

import numpy as np
import pytest
from robot import goforward, MODEL, ROOT, spoken

from distil_whisper_ros.core.errors import SettingError
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.decoding.fallback import (
    compression_ratio,
    is_endless,
    max_tokens,
    should_stop,
)
from distil_whisper_ros.whisper.special_tokens import SpecialTokens
from distil_whisper_ros.whisper.transcriber import Transcriber

BASE = str(ROOT / 'models' / 'base')
HINDI = (
    'नमस्ते, मेरा नाम राहुल है और मैं दिल्ली में रहता हूँ। कृपया दरवाज़ा खोलिए और तीन मीटर आगे जाइए। '
    'उसके बाद बाईं ओर मुड़िए और रसोई में रुक जाइए। आज मौसम बहुत अच्छा है और हम बाज़ार जाना चाहते हैं। '
    'वहाँ हम फल, सब्ज़ियाँ और थोड़ा दूध ख़रीदेंगे, फिर शाम तक घर लौट आएँगे।'
)
GERMAN = 'Wie heißt du? Mein Name ist Peter, und ich wohne in Berlin.'
SPANISH = 'Buenos días, me llamo Pedro y por favor avance tres metros.'
LONG = (
    'Please go to the kitchen and bring me a cup of coffee. '
    'Then close the window in the living room and turn off the light. '
    'After that you can drive back to your charging station near the door.'
)


@pytest.fixture(scope='module')
def base():
    return Transcriber(ModelSettings(id=BASE, dtype='float32', warm_up=False))


def tokens_of(*codes: str) -> SpecialTokens:
    return SpecialTokens(1, 2, 3, 4, {code: index for index, code in enumerate(codes)}, {})


def test_which_languages_are_allowed():
    special = tokens_of('en', 'de', 'fr')
    assert special.allowed_languages('', [], 'base') == ['en', 'de', 'fr']
    assert special.allowed_languages('German', [], 'base') == ['de']
    assert special.allowed_languages('', ['German', 'en', 'de'], 'base') == ['de', 'en']
    assert special.allowed_languages('de', ['german', 'en'], 'base') == ['de']
    english = tokens_of()
    assert english.allowed_languages('de', [], 'tiny.en') == []
    assert english.allowed_languages('', ['English'], 'tiny.en') == []


def test_a_task_that_the_model_has_no_token_for():
    special = SpecialTokens(1, 2, 3, 4, {'en': 5}, {'transcribe': 6})
    special.check_task('transcribe', 'base')
    with pytest.raises(SettingError, match="model.task is 'translate', but base can only: trans"):
        special.check_task('translate', 'base')
    tokens_of().check_task('translate', 'tiny.en')  # English models ignore it


@pytest.mark.parametrize(
    ('codes', 'language', 'languages', 'message'),
    [
        (('en', 'de'), '', ['en', 'klingon'], "model.languages has 'klingon', but each must be"),
        (('en', 'de'), 'en', ['de'], "model.language is 'en', but model.languages is ['de']"),
        ((), '', ['en', 'de'], "model.languages is ['en', 'de'], but tiny.en knows only English"),
    ],
)
def test_wrong_languages(codes, language, languages, message):
    with pytest.raises(SettingError) as raised:
        tokens_of(*codes).allowed_languages(language, languages, 'tiny.en')
    assert message in str(raised.value)
    assert '\n' not in str(raised.value)


def test_an_english_model_is_not_loaded_for_other_languages():
    with pytest.raises(SettingError, match='knows only English'):
        Transcriber(ModelSettings(id=str(MODEL), languages=['en', 'de'], warm_up=False))


def test_the_likeliest_of_several_languages(base):
    said = Utterance.whole(spoken(GERMAN, 'de', 120))
    allowed = ModelSettings(id=BASE, languages=['english', 'de'])
    assert base(said, allowed).language == 'de'
    assert base(said, ModelSettings(id=BASE, languages=['fr', 'es'])).language in ('fr', 'es')


def test_a_recording_may_change_its_language(base):
    pause = np.zeros(8_000, np.float32)
    joined = np.concatenate([spoken(GERMAN, 'de', 120), pause, spoken(SPANISH, 'es', 120)])
    frames = np.array_split(joined, len(joined) // 512)
    speech = tuple(float(bool(np.any(frame))) for frame in frames)
    settings = ModelSettings(id=BASE, segment_length=6.5)
    hypothesis = base(Utterance.whole(joined, speech), settings)
    assert [segment.language for segment in hypothesis.segments] == ['de', 'es']
    assert 'Peter' in hypothesis.text
    assert 'tres metros' in hypothesis.text or '3 metros' in hypothesis.text
    assert hypothesis.language in ('de', 'es')


def test_japanese_is_written_without_spaces(base):
    said = spoken('おはようございます。わたしのなまえはたなかです。', 'ja', 130)
    hypothesis = base(Utterance.whole(said), ModelSettings(id=BASE))
    assert hypothesis.language == 'ja'
    assert 'おはようございます' in hypothesis.text
    words = [word.text for word in hypothesis.segments[0].words]
    assert len(words) > 4
    assert ''.join(words) == hypothesis.text.replace(' ', '')


def test_chinese_is_written_without_spaces(base):
    said = spoken('早上好，我住在北京。今天天气很好，我们去吃饭。', 'cmn-latn-pinyin', 130)
    hypothesis = base(Utterance.whole(said), ModelSettings(id=BASE, language='zh'))
    # What it hears in this machine's voice depends on the processor; how it is written does not.
    assert sum('\u4e00' <= character <= '\u9fff' for character in hypothesis.text) > 5
    assert ' ' not in hypothesis.text
    assert ''.join(word.text for word in hypothesis.segments[0].words) == hypothesis.text


@pytest.mark.parametrize('speech', [True, False])
@pytest.mark.parametrize('word_timestamps', [True, False])
def test_a_full_decoder_goes_on_behind_the_last_word(
    transcriber, monkeypatch, speech, word_timestamps
):
    """As 30 s of Telugu fill it; here it is made smaller, and speaks a language that is right."""
    monkeypatch.setattr(transcriber._whisper.decoders.greedy.network, 'max_target_positions', 24)
    monkeypatch.setattr(transcriber._whisper.model.config, 'max_target_positions', 24)
    samples = spoken(LONG, 'en-us', 140)
    frames = np.array_split(samples, len(samples) // 512)
    activity = tuple(float(np.abs(frame).max() > 0.01) for frame in frames) if speech else ()
    settings = ModelSettings(id=str(MODEL), word_timestamps=word_timestamps)
    hypothesis = transcriber(Utterance.whole(samples, activity), settings)
    assert len(hypothesis.segments) > 1
    assert not hypothesis.truncated
    assert 'go to the kitchen' in hypothesis.text
    assert hypothesis.text.rstrip('.').endswith('near the door')
    heard = hypothesis.text.lower().replace('.', '').replace(',', '').split()
    wanted = LONG.lower().replace('.', '').split()
    assert abs(len(heard) - len(wanted)) <= 3  # nothing is lost or doubled at a seam
    ends = [segment.end for segment in hypothesis.segments]
    assert ends == sorted(ends)
    assert ends[-1] == pytest.approx(len(samples) / 16_000)
    for segment in hypothesis.segments:
        assert bool(segment.words) is word_timestamps
        assert all(segment.start - 0.1 <= w.start <= segment.end + 0.1 for w in segment.words)


def test_an_own_maximum_number_of_tokens_truncates(transcriber):
    settings = ModelSettings(id=str(MODEL), max_new_tokens=12)
    hypothesis = transcriber(Utterance.whole(spoken(LONG, 'en-us', 140)), settings)
    assert hypothesis.truncated
    assert len(hypothesis.segments) == 1


def test_texts_of_indian_scripts_do_not_look_repeated():
    """In UTF-8 two of three bytes of a character are the same."""
    assert compression_ratio(HINDI) < 1.6
    assert compression_ratio('धन्यवाद। ' * 20) > 2.4


def test_loops_are_left_early():
    phrase = [7, 8, 9, 10, 11]
    assert is_endless([1, 2, 3] + phrase * 30)
    assert not is_endless(phrase * 8)  # "go forward 10 meters", eight times
    assert not is_endless([*range(200)])
    assert should_stop(phrase * 30, [-0.1] * 150, 50, give_up_early=False)
    assert should_stop([1, 50, 50], [-0.1] * 3, 50, give_up_early=False)
    assert not should_stop(phrase * 8, [-0.1] * 40, 50, give_up_early=False)
    assert should_stop(phrase * 8, [-0.1] * 40, 50, give_up_early=True)


def test_a_script_with_many_tokens_has_room():
    """Burmese has 40 tokens a second."""
    assert max_tokens(16_000) < 40
    assert max_tokens(16_000, 'my') > 50


@pytest.mark.parametrize('graph', [False, True])
def test_a_loop_ends_before_the_decoder_is_full(transcriber, monkeypatch, graph):
    from distil_whisper_ros.whisper.decoding.cuda_graph import CudaGraphDecoder

    greedy = transcriber._whisper.decoders.greedy
    select = greedy.select

    def loop(logits, first=False):
        chosen, scores = select(logits, first)
        return chosen * 0 + 100, scores * 0

    monkeypatch.setattr(greedy, 'select', loop)
    if graph:
        monkeypatch.setattr(transcriber._whisper.decoders, 'cuda_graph', CudaGraphDecoder(greedy))
    settings = ModelSettings(id=str(MODEL))
    hypothesis = transcriber(Utterance.whole(np.tile(goforward(), 10)[: 28 * 16_000]), settings)
    assert hypothesis.truncated
    assert len(transcriber._whisper.tokenizer.encode(hypothesis.text)) < 160


def test_settings_are_checked_while_the_model_rests():
    resting = Transcriber(ModelSettings(id=str(MODEL), warm_up=False))
    assert resting.rest()
    resting.check(ModelSettings(language='de', languages=['English'], task='translate'))
    with pytest.raises(SettingError, match='knows only English'):
        resting.check(ModelSettings(languages=['de']))
    assert resting.resting
