"""Urgent commands act before the turn is over, fed by scripts: which texts, when, and once."""

import threading
import time

import pytest
from scripted import build, Notes, Stream, until, with_settings

from distil_whisper_ros.core.audio_format import FRAME_DURATION
from distil_whisper_ros.core.errors import SettingError
from distil_whisper_ros.core.settings import DecodingSettings, settings_from
from distil_whisper_ros.core.types import Ending, Hypothesis, Outcome, Segment, State, Utterance
from distil_whisper_ros.speech.command_matcher import urgent_words
from distil_whisper_ros.speech.request import Stage
from distil_whisper_ros.speech.urgent import urgent_command, WITHIN

KNOWN = settings_from({'commands.urgent': ['stop', 'emergency halt'], 'commands.phrases': ['go']})
URGENT = {'commands__urgent': ['stop'], 'utterance__max_duration': 20.0}


def text(words, phrases=None, log_probability=-0.1):
    return Hypothesis((Segment(words, 0.0, 1.0, log_probability, 0.01, 0.8, phrases=phrases),))


def heard(voiced):
    speech = (0.95,) * round(voiced / FRAME_DURATION)
    return Utterance(None, 0.0, Ending.SILENCE, speech, voiced=voiced)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        ('Stop!', ('stop', 1)),
        ('Stop! Stop! STOP!', ('stop', 3)),
        ('Emergency halt, stop', ('emergency halt', 2)),
        ("Don't stop.", None),
        ('The bus stop is there.', None),
        ('Stop it', None),
        ('Emergency', None),
        ('Go.', None),
        ('', None),
    ],
)
def test_which_texts_are_nothing_but_urgent(words, expected):
    assert urgent_words(words, KNOWN.commands) == expected


@pytest.mark.parametrize(
    ('words', 'voiced', 'log_probability', 'written'),
    [
        ('Stop.', 0.4, -0.1, 'Stop.'),
        ('Stop! Stop! STOP!', 1.2, -0.1, 'Stop! Stop! STOP!'),
        ('Stop! Halt!', 0.8, -0.1, None),
        ('stop stop stop stop stop stop stop stop', 0.4, -0.1, 'Stop.'),
        ('Stop.', 0.05, -0.1, None),  # too short for a voice
        ('Stop.', 0.4, -3.0, None),  # a guess
        ("Don't stop.", 0.6, -0.1, None),
    ],
)
def test_which_utterances_act(words, voiced, log_probability, written):
    found = urgent_command(heard(voiced), text(words, None, log_probability), KNOWN)
    assert (found.hypothesis.text if found is not None else None) == written


@pytest.mark.parametrize(
    ('words', 'names', 'written'),
    [
        ('Hey robot, stop!', ['hey robot'], 'Hey robot, stop!'),
        ('Hay row boat. Stop!', ['hey robot'], 'Hay row boat. Stop!'),
        ('Hey robot, stop stop stop stop stop stop', ['hey robot'], 'Hey robot, stop.'),
        ('Stop!', ['hey robot'], 'Stop!'),
        ('Hey robot, do not stop.', ['hey robot'], None),
        ('Hey robot.', ['hey robot'], None),
        ('Hey robot, stop!', [], None),
    ],
)
def test_a_name_may_be_said_before(words, names, written):
    found = urgent_command(heard(0.9), text(words), KNOWN, names=names)
    assert (found.hypothesis.text if found is not None else None) == written


def test_urgent_commands_belong_to_the_commands():
    known = KNOWN.commands.wordings
    assert tuple(each.text for each in known) == ('go', 'stop', 'emergency halt')
    with pytest.raises(SettingError, match='commands.urgent has .*whose slot {who} is not known'):
        settings_from({'commands.urgent': ['stop {who}']})


@pytest.mark.parametrize('phrase', ['Stop', '{stop,halt}', 'stop!'])
def test_it_is_urgent_also_if_the_commands_have_it_in_another_way(phrase):
    known = settings_from({'commands.urgent': ['stop'], 'commands.phrases': [phrase]})
    assert urgent_command(heard(0.4), text('Stop.'), known) is not None


@pytest.fixture
def hear():
    made = []

    def start(says, **more):
        """Return a request and what says frames; `says` makes the text of speech in seconds."""
        drafts, stream, notes = [], Stream(), Notes()

        def transcribe(utterance, settings, _):
            if isinstance(settings, DecodingSettings) and settings.draft:
                drafts.append(utterance.voiced)
            return text(says(utterance.voiced))

        recognizer = build(stream, notes, transcribe)
        made.append((recognizer, notes))
        settings = with_settings(**{'utterance__end_silence': 1.0, **more})

        def say(script):
            for symbol in script:
                stream.say(symbol)
                until(lambda: not (stream.frames and stream.listening))
                time.sleep(0.004)

        return recognizer, settings, say, notes, drafts

    yield start
    for recognizer, notes in made:
        recognizer.close()
        assert not notes.failures


def test_it_acts_during_speech_and_is_published_once(hear):
    recognizer, settings, say, notes, drafts = hear(lambda voiced: 'Stop! Stop!', **URGENT)
    request = recognizer.record(settings)
    until(lambda: recognizer._agenda.heard is request)
    say('_' * 5 + 'S' * 60 + '_' * 40)  # who repeats it speaks on
    transcript = request.result(5)
    assert transcript.outcome is Outcome.TRANSCRIBED and transcript.text == 'Stop! Stop!'
    assert transcript.command.text == 'stop'
    assert transcript.utterance.ending is Ending.COMMAND
    assert 0.35 < transcript.utterance.voiced < 0.7  # of 1.9 s
    time.sleep(0.1)
    assert notes.transcripts == [transcript] and len(drafts) == 1


def test_it_acts_at_a_short_pause_and_not_only_at_the_end(hear):
    recognizer, settings, say, _, drafts = hear(lambda voiced: 'Stop.', **URGENT)
    request = recognizer.record(settings)
    until(lambda: recognizer._agenda.heard is request)
    say('_' * 5 + 'S' * 9 + '_' * 10)  # too short for a draft during speech
    transcript = request.result(5)
    assert transcript.utterance.ending is Ending.COMMAND and transcript.text == 'Stop.'
    assert drafts == [pytest.approx(9 * FRAME_DURATION)]


def test_other_sentences_go_on_and_cost_little(hear):
    recognizer, settings, say, _, drafts = hear(lambda voiced: 'The bus', **URGENT)
    request = recognizer.record(settings)
    until(lambda: recognizer._agenda.heard is request)
    say('S' * 160)
    assert request.stage is Stage.LISTENING
    assert 2 < len(drafts) <= 1 + WITHIN / 0.35
    assert max(drafts) < WITHIN + 0.1  # who speaks on and on is not decoded all the time
    say('_' * 40)
    assert request.result(5).utterance.ending is Ending.SILENCE


def test_a_longer_text_ends_the_drafts(hear):
    recognizer, settings, say, _, drafts = hear(lambda voiced: 'the bus stop is', **URGENT)
    request = recognizer.record(settings)
    until(lambda: recognizer._agenda.heard is request)
    say('S' * 100)
    assert len(drafts) == 1 and request.stage is Stage.LISTENING


def test_without_urgent_commands_there_are_no_drafts(hear):
    recognizer, settings, say, _, drafts = hear(lambda voiced: 'Stop.', commands__phrases=['stop'])
    request = recognizer.record(settings)
    until(lambda: recognizer._agenda.heard is request)
    say('S' * 30 + '_' * 10)
    assert drafts == [] and request.stage is Stage.LISTENING


def test_hands_free_a_repetition_is_another_utterance(hear):
    recognizer, settings, say, notes, _ = hear(lambda voiced: 'Stop!', **URGENT)
    recognizer.set_hands_free(lambda: settings)
    say('_' * 5 + 'S' * 40 + '_' * 40)
    until(lambda: len(notes.transcripts) >= 2)
    assert {each.text for each in notes.transcripts} == {'Stop!'}
    first, second = (each.utterance for each in notes.transcripts[:2])
    assert second.time > first.speech_end - FRAME_DURATION  # no frame is in both


class TestWhileTheRobotSpeaks:
    def test_an_urgent_command_comes_through_and_nothing_else(self, hear):
        says = ['I go to the', 'I go', 'Stop!']
        recognizer, settings, say, notes, drafts = hear(
            lambda _: says[min(len(drafts), 3) - 1], **URGENT
        )
        request = recognizer.record(settings)
        until(lambda: recognizer._agenda.heard is request)
        recognizer.self_speech.begin('say')
        say('S' * 12 + '_' * 12)
        say('S' * 12 + '_' * 12)
        assert len(drafts) == 2 and not request.future.done()
        assert notes.states[-1] is State.SELF_SPEECH
        say('S' * 12 + '_' * 12)
        transcript = request.result(5)
        assert transcript.outcome is Outcome.TRANSCRIBED and transcript.text == 'Stop!'
        assert transcript.utterance.ending is Ending.COMMAND
        assert transcript.command.text == 'stop'
        assert State.HEARING not in notes.states
        assert notes.transcripts == [transcript]

    def test_hands_free_the_state_stays(self, hear):
        recognizer, settings, say, notes, _ = hear(lambda _: 'Stop!', **URGENT)
        recognizer.set_hands_free(lambda: settings)
        until(lambda: State.WAITING in notes.states)
        recognizer.self_speech.begin('say')
        say('S' * 12 + '_' * 12)
        until(lambda: len(notes.transcripts) == 1)
        assert notes.states[-2:] == [State.WAITING, State.SELF_SPEECH]
        assert notes.states.count(State.SELF_SPEECH) == 1
        recognizer.self_speech.end('say', 0.0)
        time.sleep(0.01)
        say('_' * 10 + 'S' * 12 + '_' * 12)
        until(lambda: len(notes.transcripts) == 2)
        assert State.HEARING in notes.states

    def test_it_is_heard_although_the_robot_is_done_before_the_model(self, hear):
        go_on = threading.Event()

        def slow(_):
            go_on.wait(5)
            return 'Stop!'

        recognizer, settings, say, _, drafts = hear(slow, **URGENT)
        request = recognizer.record(settings)
        until(lambda: recognizer._agenda.heard is request)
        recognizer.self_speech.begin('say')
        say('S' * 12 + '_' * 4)
        until(lambda: drafts)
        recognizer.self_speech.end('say', 0.0)
        time.sleep(0.01)
        say('_' * 8)
        go_on.set()
        time.sleep(0.05)
        say('_')
        assert request.result(5).utterance.ending is Ending.COMMAND

    def test_speech_without_an_end_comes_in_pieces(self, hear):
        recognizer, settings, say, notes, drafts = hear(lambda _: 'I go', **URGENT)
        request = recognizer.record(settings)
        until(lambda: recognizer._agenda.heard is request)
        recognizer.self_speech.begin('say')
        say('S' * 250)
        assert max(drafts) <= 3.0 and drafts.count(min(drafts)) > 1
        recognizer.cancel()
        assert not notes.transcripts and notes.states.count(State.SELF_SPEECH) == 1

    def test_without_urgent_commands_nothing_is_decoded(self, hear):
        recognizer, settings, say, _, drafts = hear(lambda _: 'Stop!', commands__phrases=['stop'])
        request = recognizer.record(settings)
        until(lambda: recognizer._agenda.heard is request)
        recognizer.self_speech.begin('say')
        say('S' * 20 + '_' * 20)
        assert not drafts and request.stage is Stage.LISTENING
