"""Languages: real multilingual weights (Whisper base) on speech in four languages."""

import pytest
from robot import MODEL, RATE, robot, ROOT, spoken, wait_for

from distil_whisper_ros.core.errors import SettingError
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.transcriber import Transcriber

BASE = str(ROOT / 'models' / 'base')
# language: the sentence, words of the text, and words of its translation
SAID = {
    'de': (
        'Wie heißt du? Mein Name ist Peter, und ich wohne in Berlin.',
        'Name ist Peter',
        'Peter',
    ),
    'fr': ("Je suis très content de vous voir aujourd'hui.", 'très content', 'very happy'),
    'es': ('Buenos días. Por favor, avance tres metros.', 'Buenos días', 'Good morning'),
    'en': ('Good morning. Please go forward three meters.', 'Good morning', 'go forward'),
}


def speech(language: str):
    return spoken(SAID[language][0], language, {'de': 120, 'fr': 150}.get(language, 140))


@pytest.fixture(scope='module')
def base():
    return Transcriber(ModelSettings(id=BASE, dtype='float32', word_timestamps=False))


@pytest.mark.parametrize('language', SAID)
def test_the_language_is_detected(base, language):
    hypothesis = base(Utterance.whole(speech(language)))
    assert hypothesis.language == language
    assert SAID[language][1] in hypothesis.text


@pytest.mark.parametrize(('name', 'language'), [('german', 'de'), ('French', 'fr'), ('es', 'es')])
def test_the_language_can_be_set(base, name, language):
    settings = ModelSettings(id=BASE, language=name)
    hypothesis = base(Utterance.whole(speech(language)), settings)
    assert hypothesis.language == language
    assert SAID[language][1] in hypothesis.text


@pytest.mark.parametrize('language', ['de', 'fr', 'es'])
def test_it_is_translated(base, language):
    settings = ModelSettings(id=BASE, task='translate')
    hypothesis = base(Utterance.whole(speech(language)), settings)
    assert hypothesis.language == language
    assert SAID[language][2] in hypothesis.text


def test_an_unknown_language_is_refused(base):
    with pytest.raises(SettingError, match="model.language is 'klingon', but must be one of: en"):
        base(Utterance.whole(speech('en')), ModelSettings(id=BASE, language='klingon'))


def test_words_have_times_in_any_language(base):
    settings = ModelSettings(id=BASE, word_timestamps=True)
    hypothesis = base(Utterance.whole(speech('fr')), settings)
    words = hypothesis.segments[0].words
    assert ' '.join(word.text for word in words) == hypothesis.text
    assert 0 < words[-1].start < len(speech('fr')) / RATE


def test_a_batch_gives_the_same_texts(base):
    """As on a GPU, where concurrent requests are one batch."""
    settings = ModelSettings(id=BASE, language='en')
    utterances = [Utterance.whole(speech('en')), Utterance.whole(spoken('Turn left.', 'en', 140))]
    alone = [base(each, settings).text for each in utterances]
    assert [each.text for each in base.transcribe_batch(utterances, settings)] == alone


def test_the_node_uses_and_publishes_the_language():
    quiet = {'audio__source': 'file', 'audio__file': '', 'autostart': True}
    with robot(model__id=BASE, **quiet) as (client, _):
        client.wait_state('error')  # without a recording; the model is loaded all the same
        for language, task, text in (
            ('', '', SAID['es'][1]),
            ('spanish', 'transcribe', SAID['es'][1]),
            ('es', 'translate', SAID['es'][2]),
        ):
            future = client.transcribe(speech('es'), RATE, language=language, task=task)
            wait_for(future.done, 30, 'the answer')
            transcript = future.result().transcript
            assert transcript.language == 'es'
            assert text in transcript.text
        future = client.transcribe(speech('es'), RATE, language='klingon')
        wait_for(future.done, 30, 'the answer')
        assert "model.language is 'klingon'" in future.result().transcript.reason


def test_an_english_model_ignores_language_and_task(transcriber):
    settings = ModelSettings(id=str(MODEL), language='de', task='translate')
    hypothesis = transcriber(Utterance.whole(speech('en')), settings)
    assert hypothesis.language == 'en'
    assert 'forward' in hypothesis.text
