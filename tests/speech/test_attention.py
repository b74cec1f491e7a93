"""A name to listen to: what is heard as the name, what is behind it, and the window after it."""

from dataclasses import replace
import gc
import time
import weakref

import numpy as np
import pytest
from scripted import build, Notes, Stream, until, with_settings

from distil_whisper_ros.core.errors import SettingError
from distil_whisper_ros.core.types import Hypothesis, Outcome, Segment, Utterance
from distil_whisper_ros.speech.attention import Attention, behind_name, may_become_name, name_end
from distil_whisper_ros.speech.request import Request
from distil_whisper_ros.speech.state import Phase

NAMES = ['hey robot']
SENTENCE = '_' * 10 + 'S' * 20 + '_' * 8
TALK = '_' * 10 + 'S' * 150 + '_' * 8  # nearly five seconds


@pytest.mark.parametrize(
    ('text', 'rest'),
    [
        ('Hey robot, go forward.', 'Go forward.'),
        ('hey robot go forward', 'Go forward'),
        ('Hey robots, stop!', 'Stop!'),
        ('Hey, Robot! Stop!', 'Stop!'),
        ('A robot, stop.', 'Stop.'),
        ('Hay robot, stop.', 'Stop.'),
        ('Hey Robert, stop.', 'Stop.'),  # by its sound; a name of its own would be too
        ('Herobot, go forward 10 meters.', 'Go forward 10 meters.'),
        ('Hey row boat, stop', 'Stop'),
        ('Hey Robot... stop', 'Stop'),
        ('Hey robot.', ''),
        ('Héy Robot: ünder', 'Ünder'),
        ('[Hey robot] go.', 'Go.'),
        ('"Hey robot", go.', 'Go.'),
        ('Hey robot, -5 degrees.', '-5 degrees.'),
        ('Hey robot, ¿dónde está?', '¿dónde está?'),
        ('Hey robot, #5, "go".', '#5, "go".'),
    ],
)
def test_the_name_is_heard_and_taken_off(text, rest):
    end = name_end(text, NAMES)
    assert end
    assert behind_name(text, end) == rest


@pytest.mark.parametrize(
    'text',
    [
        'Go forward.',
        'The robot is broken.',
        'This robot is new.',
        'Harry Potter is a book.',
        'Hey Robin, stop.',
        'Hey, Rob.',
        'Every robot has a name.',
        'He rode a horse.',
        'He wrote a book.',
        'I said, hey robot.',
        'Robot',
        '...',
        '',
    ],
)
def test_other_texts_have_no_name(text):
    assert not name_end(text, NAMES)


def test_several_names_and_other_scripts():
    names = ['okay Zora', '你好机器人', 'Привет робот', 'مرحبا روبوت', 'สวัสดี หุ่นยนต์']
    for text, rest in (
        ('OK Zora, stop', 'Stop'),
        ('Okay, Sora. Stop', 'Stop'),
        ('你好机器人，打开灯', '打开灯'),
        ('Привет, робот. Стой', 'Стой'),
        ('مرحبا روبوت، اذهب', 'اذهب'),
        ('สวัสดี หุ่นยนต์ ไป', 'ไป'),
    ):
        assert behind_name(text, name_end(text, names)) == rest
    assert not name_end('你好老师，打开灯', names)
    assert not name_end('Hello', [''])


def test_a_text_that_grows_may_become_the_name():
    assert may_become_name('Hey', NAMES)
    assert not may_become_name('Stop!', NAMES)
    assert not may_become_name('Hey robot go', NAMES)


def test_the_window():
    attention = Attention()
    assert not attention.covers(0.0)
    attention.open(10.0, 18.0)
    assert attention.covers(17.0) and attention.covers(9.0, 11.0)
    assert not attention.covers(18.5) and not attention.covers(8.0, 9.5)
    attention.open(16.0, 24.0)  # anew, without a gap
    assert attention.covers(12.0, 13.0) and attention.covers(23.0)
    assert attention.over(25.0) and not attention.over(20.0)
    attention.close()
    assert not attention.covers(20.0) and attention.over(0.0)


def test_a_sentence_before_or_behind_the_window_needs_the_name():
    attention = Attention()
    attention.open(10.0, 18.0)
    samples = np.zeros(16_000, np.float32)
    for end, needs_none in ((9.5, False), (12.0, True), (18.5, True), (25.0, False)):
        sentence = replace(Utterance.whole(samples), speech_start=end - 1.0, speech_end=end)
        assert attention.hears(sentence, NAMES) is needs_none, end
        assert attention.hears(sentence, [])


def test_the_names_are_told_to_the_decoder_unless_none_is_needed():
    settings = with_settings(hands_free__wake_phrases=['hey robot', 'okay Zora'])
    model = settings.model.replaced(prompt='Kinect.')
    addressed = Request(1, settings, implicit=True).with_names(model)
    assert addressed.prompt == 'Kinect. Hey robot, Okay Zora,'
    assert Request(2, settings).with_names(model) == model


def test_a_name_that_is_none_is_refused():
    with pytest.raises(SettingError, match="wake_phrases has 'yo', which is not a name"):
        with_settings(hands_free__wake_phrases=['yo'])


class Robot:
    """A recognizer that hears scripted texts, hands-free."""

    def __init__(self, **more) -> None:
        self.decoded = []
        self.decoding = lambda: None
        self.stream, self.notes = Stream(), Notes()
        self.words, self.more_words = 100, 0
        values = {'hands_free__wake_phrases': NAMES, **more}
        self.settings = with_settings(**values)
        self.recognizer = build(self.stream, self.notes, self.transcribe)
        self.recognizer.set_hands_free(lambda: self.settings)

    def transcribe(self, utterance, settings, *_) -> Hypothesis:
        self.decoded.append(utterance)
        self.decoding()
        text = ' '.join(self.text.split()[: self.words])
        self.words += self.more_words
        return Hypothesis((Segment(text, 0.0, utterance.duration, -0.1, 0.01, 0.8),))

    def say(self, text: str, script: str = SENTENCE) -> None:
        """Hear a sentence to its end."""
        self.text, before = text, self.recognizer._agenda.latest
        self.stream.say(script)
        until(lambda: not self.stream.frames and self.recognizer._agenda.latest is not before)
        assert before is not None
        until(before.future.done)

    @property
    def texts_published(self) -> list[str]:
        return [each.text for each in self.notes.transcripts if each.accepted]

    @property
    def attentive(self) -> bool:
        return self.recognizer._machine.facts.attentive


@pytest.fixture
def robot():
    made = []

    def make(**more) -> Robot:
        made.append(Robot(**more))
        until(lambda: made[-1].recognizer._agenda.latest is not None)
        return made[-1]

    yield make
    for each in made:
        each.recognizer.close()
        assert each.notes.failures == []


def test_only_what_is_addressed_is_published(robot):
    heard = robot()
    heard.say('Nice weather today.')
    assert heard.notes.transcripts == [] and not heard.attentive
    heard.say('Hey robot, go forward.')
    (transcript,) = heard.notes.transcripts
    assert transcript.text == 'Go forward.'
    assert transcript.raw_text == 'Hey robot, go forward.'
    assert heard.attentive
    heard.say('And stop.')
    assert heard.texts_published == ['Go forward.', 'And stop.']


def test_the_name_alone_opens_the_window_and_is_no_text(robot):
    heard = robot()
    heard.say('Hey robot.')
    (transcript,) = heard.notes.transcripts
    assert transcript.outcome is Outcome.NO_SPEECH and transcript.raw_text == 'Hey robot.'
    assert 'within 8 s' in transcript.reason
    assert heard.attentive
    heard.say('Stop.')
    assert heard.texts_published == ['Stop.']


def test_the_window_ends_by_itself(robot):
    heard = robot(hands_free__attention=0.3)
    heard.say('Hey robot.')
    until(lambda: not heard.attentive)
    heard.say('Stop.')
    assert heard.texts_published == []


@pytest.mark.parametrize('end', ['mute', 'hands-free'])
def test_the_window_ends_with_the_listening(robot, end):
    heard = robot()
    heard.say('Hey robot.')
    if end == 'mute':
        heard.recognizer.set_muted(True)
    else:
        heard.recognizer.set_hands_free(None)
    assert not heard.attentive


def test_commands_are_found_behind_the_name(robot):
    heard = robot(commands__phrases=['turn left'])
    heard.say('Turn left.')
    assert heard.notes.transcripts == []
    heard.say('Hey robot, turn left.')
    assert heard.notes.transcripts[0].command.text == 'turn left'


def test_what_is_for_others_is_published_if_wanted(robot):
    heard = robot(hands_free__publish_unaddressed=True)
    heard.say('Nice weather today.')
    (transcript,) = heard.notes.transcripts
    assert transcript.outcome is Outcome.NOT_ADDRESSED
    assert transcript.text == 'Nice weather today.'


def test_a_request_needs_no_name(robot):
    heard = robot()
    request = heard.recognizer.record(heard.settings)
    heard.text = 'Stop.'
    heard.stream.say(SENTENCE)
    assert request.result(5).text == 'Stop.'
    assert not heard.attentive


def test_without_names_everything_is_addressed(robot):
    heard = robot(hands_free__wake_phrases=[])
    heard.say('Nice weather today.')
    assert heard.texts_published == ['Nice weather today.']
    assert not heard.attentive


def test_partial_text_is_that_behind_the_name(robot):
    heard = robot(partial__period=0.1, utterance__speculative=False)
    heard.notes.reads_along = True
    heard.text = 'Hey robot, go forward ten meters and then turn left'
    heard.words, heard.more_words = 2, 1
    before = heard.recognizer._agenda.latest
    begun = time.monotonic()
    while len(heard.notes.partial) < 3 and time.monotonic() < begun + 5:
        heard.stream.say('S')
        time.sleep(0.03)
    heard.stream.say('_' * 8)
    until(lambda: before.future.done())
    assert heard.notes.partial[0].startswith('Go')
    assert not any('robot' in text.lower() for text in heard.notes.partial)


def test_a_wake_word_opens_the_window(robot):
    heard = robot()
    heard.recognizer.wake(heard.settings)
    assert heard.attentive
    heard.say('Stop.')
    assert heard.texts_published == ['Stop.']


@pytest.mark.parametrize('more', [{'hands_free__wake_phrases': []}, {}])
def test_a_wake_word_without_a_name_or_hands_free_does_nothing(robot, more):
    heard = robot(**more)
    if not more:
        heard.recognizer.set_hands_free(None)
    heard.recognizer.wake(heard.settings)
    assert not heard.attentive


def test_without_the_name_only_the_first_seconds_are_decoded(robot):
    heard = robot()
    heard.say('Nice weather today.', TALK)
    assert {round(each.duration, 1) for each in heard.decoded} <= {2.0, 2.1, 2.2, 2.3}
    (first,) = heard.decoded  # once, however often it was asked for
    assert first.speech_start < first.speech_end <= first.speech_start + 2.01
    assert len(first.speech) == pytest.approx(first.duration / 0.032, abs=1)
    assert heard.notes.transcripts == []
    heard.say('Hey robot, go forward.', TALK)
    assert heard.decoded[-1].duration > 4
    assert heard.texts_published == ['Go forward.']
    heard.decoded.clear()
    heard.say('And this needs no name.', TALK)
    assert min(each.duration for each in heard.decoded) > 4


def test_all_is_decoded_if_it_is_published(robot):
    heard = robot(hands_free__publish_unaddressed=True)
    heard.say('Nice weather today.', TALK)
    assert heard.decoded[-1].duration > 4


def test_a_sentence_behind_the_name_is_decoded_whole_if_the_name_is_known_only_now(robot):
    """The model takes the next sentence before the window is open for it."""
    heard = robot(utterance__speculative=False)

    def attend() -> None:
        end = time.monotonic() + heard.settings.hands_free.attention
        heard.recognizer._agenda.open_window(heard.decoded[0].speech_start, end)

    heard.decoding = attend
    heard.say('Nice weather today.', TALK)
    assert [round(each.duration) for each in heard.decoded] == [2, 5]
    assert heard.texts_published == ['Nice weather today.']


def test_an_urgent_command_needs_no_name(robot):
    heard = robot(commands__urgent=['stop'])
    heard.say('Stop!')
    transcript = heard.notes.transcripts[0]  # the speech behind it may be one more
    assert (transcript.text, transcript.command.text) == ('Stop!', 'stop')


def test_an_utterance_holds_its_audio_in_no_cycle(robot):
    """Only a full collection would free it, after hundreds of utterances."""
    heard = robot(hands_free__wake_phrases=[], commands__urgent=['stop'])
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            heard.say('Go forward.')
        kept = [weakref.ref(each) for each in heard.decoded]
        heard.decoded.clear()
        heard.notes.transcripts.clear()
        heard.say('And stop there.')
        until(lambda: not any(ref() is not None for ref in kept))
    finally:
        gc.enable()


def test_settings_that_change_while_nobody_speaks_count_for_the_next_sentence(robot):
    heard = robot()
    heard.say('Nice weather today.')
    heard.settings = with_settings()
    heard.recognizer.settings_changed()
    heard.stream.say('_' * 5)
    heard.stream.wait_empty()
    heard.say('Nice weather today.')
    assert heard.texts_published == ['Nice weather today.']
    heard.stream.say('_' * 5 + 'S' * 10)  # while somebody speaks, it goes on as it began
    heard.stream.wait_empty()
    heard.settings = with_settings(hands_free__wake_phrases=NAMES)
    heard.recognizer.settings_changed()
    heard.say('Nice weather.', 'S' * 10 + '_' * 8)
    assert heard.texts_published == ['Nice weather today.', 'Nice weather.']
    heard.say('Nice weather.')
    assert len(heard.texts_published) == 2


def test_mute_ends_the_phase_of_a_sentence_that_is_heard(robot):
    """Else the node believes that somebody speaks, and never lets the model rest."""
    heard = robot()
    heard.stream.say('_' * 5 + 'S' * 10)
    heard.stream.wait_empty()
    assert heard.recognizer._machine.facts.phase is Phase.HEARING
    heard.recognizer.set_muted(True)
    assert heard.recognizer._machine.facts.phase is Phase.IDLE
    heard.recognizer.set_muted(False)
    until(lambda: heard.recognizer._machine.facts.phase is Phase.WAITING)
