"""Hallucinated text is filtered out, and real speech is published."""

from dataclasses import replace
import math

import pytest
from sounds import no_speech, speech

from distil_whisper_ros.core.audio_format import FRAME_DURATION
from distil_whisper_ros.core.settings import HallucinationFilterSettings, settings_from
from distil_whisper_ros.core.types import Ending, Hypothesis, Outcome, Segment, Utterance
from distil_whisper_ros.speech.hallucination_filter import filtered, rejection, without_rejected
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
            hypothesis(probability=-0.7, silence=0.97),
            utterance(),
            'hallucination_filter.max_no_speech',
        ),
        (hypothesis(probability=-0.1, silence=0.97), utterance(), ''),
        (
            hypothesis('go ' * 10, ratio=3.0),
            utterance(),
            'hallucination_filter.max_compression_ratio',
        ),
    ],
)
def test_each_sign(given, heard, reason):
    found = rejection(given, heard, DEFAULT)
    assert (reason in found) if reason else found == ''
    if reason != 'no words':
        assert rejection(given, heard, HallucinationFilterSettings(enabled=False)) == ''


@pytest.mark.parametrize('text', ['uh', 'Oh', 'AHH', 'Oh, oh!', 'Hmm.', 'Um... uh', 'Huh?', 'eh'])
def test_a_cough_is_no_word(text):
    found = rejection(hypothesis(text), utterance(), DEFAULT)
    assert 'hallucination_filter.interjections is false' in found
    assert rejection(hypothesis(text), utterance(), replace(DEFAULT, interjections=True)) == ''


@pytest.mark.parametrize('text', ['Uh-huh.', 'Mm-hmm', 'oh no', 'a', 'M', 'hello', 'ham', 'Ohm'])
def test_what_begins_like_a_cough_is_a_word(text):
    assert rejection(hypothesis(text), utterance(), DEFAULT) == ''


def test_interjections_of_one_language_are_words_of_another():
    portuguese = replace(hypothesis('um'), language='pt')  # "one"
    assert rejection(portuguese, utterance(), DEFAULT) == ''


def test_only_accepted_segments_remain():
    good, bad = hypothesis().segments[0], hypothesis(probability=-3.0).segments[0]
    both = Hypothesis((bad, good))
    assert rejection(both, utterance(), DEFAULT) == ''
    assert without_rejected(both, utterance(), DEFAULT).segments == (good,)


# As real recordings with tiny.en: text, mean word confidence, mean voice activity. The mean log
# probability of the words is not above that of the sounds.
SAID = [
    ('One', 0.147, 0.99),
    ('Back!', 0.33, 0.90),
    ('Pigeon.', 0.05, 0.98),
    ('Four.', 0.22, 0.75),
    ('Stop! Stop! STOP!', 0.3, 0.9),
]
NOT_SAID = [('That was good!', 0.39, 0.70), ('Thank you!', 0.28, 0.70), ('Oh my God', 0.25, 0.62)]


@pytest.mark.parametrize(('text', 'confidence', 'activity'), [*SAID, *NOT_SAID])
def test_evidence_tells_words_from_sounds(text, confidence, activity):
    segment = Segment(text, 0.0, 1.0, -1.4, 0.3, 1.0, mean_log_confidence=math.log(confidence))
    heard = replace(utterance(), speech=(activity,) * 20 + (0.1,) * 20)
    reason = rejection(Hypothesis((segment,)), heard, DEFAULT)
    if (text, confidence, activity) in SAID:
        assert reason == ''
    else:
        assert 'hallucination_filter.min_evidence is -1.5' in reason


def evidence_of(text: str, log_confidence: float, activity: float, silence: float = 0.3) -> str:
    """Return why a text of one second is rejected, which the model hardly knows."""
    segment = Segment(text, 0.0, 1.0, -1.4, silence, 1.0, mean_log_confidence=log_confidence)
    heard = replace(utterance(), speech=(activity,) * 20 + (0.1,) * 20)
    return rejection(Hypothesis((segment,)), heard, DEFAULT)


def test_an_exclamation_needs_more_evidence():
    assert evidence_of('Go to him.', math.log(0.45), 0.75) == ''
    assert 'evidence' in evidence_of('Go to him!', math.log(0.45), 0.75)


def test_one_word_that_the_model_hardly_knows_is_heard_where_somebody_speaks_clearly():
    """A confidence below e^-4 says nothing more."""
    assert evidence_of('Pigeon', -20.0, 0.999) == ''
    assert 'evidence' in evidence_of('Pigeon', -20.0, 0.9)


def test_with_evidence_the_no_speech_probability_does_not_count():
    assert evidence_of('One', math.log(0.147), 0.99, silence=0.97) == ''


def test_each_segment_has_its_own_voice_activity():
    good = Segment('Stop here.', 0.0, 1.6, -0.5, 0.1, 1.0, mean_log_confidence=math.log(0.6))
    bad = replace(good, text='Thank you!', start=1.6, end=3.2, mean_log_confidence=math.log(0.3))
    speech = (0.95,) * 50 + (0.6,) * 50
    heard = replace(utterance(), speech=speech)
    assert rejection(Hypothesis((good, bad)), heard, DEFAULT) == ''
    assert without_rejected(Hypothesis((good, bad)), heard, DEFAULT).segments == (good,)
    assert rejection(Hypothesis((bad,)), heard, DEFAULT) != ''


def test_confidence_does_not_need_word_timestamps(transcriber):
    samples = speech()['goforward'][0]
    plain = replace(transcriber.settings, word_timestamps=False)
    without = transcriber(Utterance.whole(samples), plain).segments[0]
    with_times = transcriber(Utterance.whole(samples)).segments[0]
    assert without.words == ()
    assert without.mean_log_confidence == pytest.approx(with_times.mean_log_confidence)
    logs = [math.log(word.confidence) for word in with_times.words]
    assert with_times.mean_log_confidence == pytest.approx(sum(logs) / len(logs))


def test_words_of_scripts_without_spaces():
    assert words('Go, robot!') == ['Go', 'robot']
    assert len(words('前に進んでください')) == 5
    assert words('— … 。') == []


@pytest.fixture(scope='module')
def recognize(transcriber):
    from hallucination_filter import recognize

    from distil_whisper_ros.speech.voice_activity import VoiceActivity

    voice_activity = VoiceActivity()
    settings = settings_from({'utterance.wait_for_speech': 60.0})
    return lambda samples: recognize(samples, settings, transcriber, voice_activity)[0]


@pytest.fixture(scope='module')
def unheard(transcriber):
    """Return the clips without speech, with what the model alone writes."""
    wholes = {name: Utterance.whole(samples) for name, samples in no_speech().items()}
    return {name: (whole, transcriber(whole)) for name, whole in wholes.items()}


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

    def test_the_model_alone_hallucinates(self, unheard):
        """Without this, the tests above could pass on a model that is silent by itself."""
        invented = [name for name, (_, written) in unheard.items() if words(written.text)]
        assert len(invented) > 10

    def test_the_filter_alone_rejects_most(self, unheard):
        """Voice activity taken away: the model's own numbers must still reject nearly all."""
        published = [
            name
            for name, (whole, written) in unheard.items()
            if not rejection(written, whole, DEFAULT)
        ]
        assert len(published) <= 2, published


def test_words_are_counted_part_by_part():
    """Three parts of 10 s: invented words in one without speech, said ones, too many."""
    template = hypothesis().segments[0]

    def part(text: str, start: float) -> Segment:
        return replace(template, text=text, start=start, end=start + 10.0)

    invented = part('you you you', 0.0)
    said = part('go forward ten meters', 10.0)
    many = part(' '.join(f'word{number}' for number in range(40)), 20.0)
    frames = round(10 / FRAME_DURATION)
    speech = [0.0] * frames + ([0.9] * 50 + [0.0] * (frames - 50)) * 2
    heard = replace(utterance(), speech=tuple(speech), voiced=100 * FRAME_DURATION)
    every = Hypothesis((invented, said, many))
    assert rejection(every, heard, DEFAULT) == ''
    assert without_rejected(every, heard, DEFAULT).segments == (said,)
    nobody = rejection(Hypothesis((invented, invented)), heard, DEFAULT)
    assert '3 words are too many for 0.00 s' in nobody


def test_an_accepted_text_is_rewritten_and_the_original_is_kept():
    settings = settings_from({'text.replacements': ['forward -> ahead']})
    written = filtered(hypothesis(), utterance(), settings)
    assert (written.outcome, written.text) == (Outcome.TRANSCRIBED, 'go ahead')
    assert written.raw_text == 'go forward'
    refused = filtered(hypothesis(probability=-3.0), utterance(), settings)
    assert (refused.outcome, refused.text) == (Outcome.REJECTED, 'go forward')


def test_a_text_of_which_the_rules_leave_nothing_is_not_published():
    settings = settings_from({'text.replacements': ['go forward ->']})
    nothing = filtered(hypothesis(), utterance(), settings)
    assert nothing.outcome is Outcome.REJECTED
    assert nothing.reason == 'text.replacements leave nothing of the text'
