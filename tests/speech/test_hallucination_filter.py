"""Hallucinated text is filtered out, and real speech is published."""

import pytest
from sounds import no_speech, speech

from distil_whisper_ros.core.settings import HallucinationFilterSettings
from distil_whisper_ros.core.types import Ending, Hypothesis, Segment, Utterance
from distil_whisper_ros.speech.hallucination_filter import rejection, without_rejected
from distil_whisper_ros.speech.words import words

DEFAULT = HallucinationFilterSettings()


def hypothesis(text='go forward', probability=-0.2, silence=0.05, ratio=1.0) -> Hypothesis:
    return Hypothesis((Segment(text, 0.0, 2.0, probability, silence, ratio),))


def utterance(voiced=1.5) -> Utterance:
    import numpy as np

    return Utterance(np.zeros(32000, np.float32), 0.0, Ending.SILENCE, voiced=voiced)


@pytest.mark.parametrize(
    ('given', 'heard', 'reason'),
    [
        (hypothesis(), utterance(), ''),
        (hypothesis(''), utterance(), 'no words'),
        (hypothesis('...'), utterance(), 'no words'),
        (hypothesis(), utterance(0.05), 'hallucination_filter.min_speech'),
        (
            hypothesis('a b c d e f g h i'),
            utterance(0.3),
            'hallucination_filter.max_words_per_second',
        ),
        (hypothesis(probability=-1.5), utterance(), 'hallucination_filter.min_log_probability'),
        (
            hypothesis(probability=-0.7, silence=0.9),
            utterance(),
            'hallucination_filter.max_no_speech',
        ),
        (hypothesis(probability=-0.1, silence=0.9), utterance(), ''),
        (hypothesis(ratio=3.0), utterance(), 'hallucination_filter.max_compression_ratio'),
    ],
)
def test_each_sign(given, heard, reason):
    found = rejection(given, heard, DEFAULT)
    assert (reason in found) if reason else found == ''
    if reason != 'no words':
        assert rejection(given, heard, HallucinationFilterSettings(enabled=False)) == ''


def test_only_accepted_segments_remain():
    good, bad = hypothesis().segments[0], hypothesis(probability=-3.0).segments[0]
    both = Hypothesis((bad, good))
    assert rejection(both, utterance(), DEFAULT) == ''
    assert without_rejected(both, DEFAULT).segments == (good,)


def test_words_of_scripts_without_spaces():
    assert words('Go, robot!') == ['Go', 'robot']
    assert len(words('前に進んでください')) == 5
    assert words('— … 。') == []


@pytest.fixture(scope='module')
def recognize(transcriber):
    from hallucination_filter import recognize

    from distil_whisper_ros.speech.voice_activity import VoiceActivity

    voice_activity = VoiceActivity()
    return lambda samples: recognize(samples, transcriber, voice_activity)


class TestOnRealSounds:
    """The bar: 0 of 51 clips without speech, and every sentence of people."""

    def test_there_are_51_clips(self):
        assert len(no_speech()) == 51

    @pytest.mark.parametrize('name', list(no_speech()))
    def test_sounds_without_speech_publish_nothing(self, recognize, name):
        transcript = recognize(no_speech()[name])
        assert not transcript.accepted
        assert transcript.reason

    @pytest.mark.parametrize('name', list(speech()))
    def test_every_sentence_is_published(self, recognize, name):
        transcript = recognize(speech()[name][0])
        assert transcript.accepted, transcript.reason
        assert transcript.text

    def test_the_model_alone_hallucinates(self, transcriber):
        """Without this, the tests above could pass on a model that is silent by itself."""
        invented = [
            name
            for name, samples in no_speech().items()
            if words(transcriber(Utterance.whole(samples)).text)
        ]
        assert len(invented) > 40

    def test_the_filter_alone_rejects_most(self, transcriber):
        """Voice activity taken away: the model's own numbers must still reject nearly all."""
        published = []
        for name, samples in no_speech().items():
            whole = Utterance.whole(samples)
            if not rejection(transcriber(whole), whole, DEFAULT):
                published.append(name)
        assert len(published) <= 2, published
