"""The robot's own words are taken out of what was heard, and a person's sentence stays."""

import time

import numpy as np
import pytest
from scripted import build, Notes, Stream, until, with_settings

from distil_whisper_ros.core.types import (
    Ending,
    Hypothesis,
    Outcome,
    Segment,
    State,
    Utterance,
    Word,
)
from distil_whisper_ros.speech.own_voice import OwnVoice, persons_part
from distil_whisper_ros.speech.own_words import Heard, keys, shares
from distil_whisper_ros.speech.self_speech import SelfSpeechGate

DRIVING = 'I am driving to the kitchen now.'
STORY = (
    'The museum was built in eighteen ninety by a merchant who loved clocks. He bought them in '
    'every town he visited, and none of them shows the right time.'
)


def without_robot(*arguments):
    return persons_part(*arguments).hypothesis


def text(heard, **more):
    return Hypothesis((Segment(heard, 0.0, 2.0, -0.1, 0.01, 0.8, **more),))


TABLE = [
    # the robot alone
    (DRIVING, 'I am driving to the kitchen now.', ''),
    (DRIVING, "I'm drying to the kitchen now", ''),
    (DRIVING, 'to the kitchen now', ''),
    (DRIVING, 'Kitchen now.', ''),
    (DRIVING, 'drain to the chicken', ''),
    (DRIVING, 'I am driving uh to the kitchen', ''),
    (DRIVING, 'driving to the kit', ''),
    (DRIVING, 'I am dry wing to the kitchen now', ''),
    ('Turn left in 10 meters.', 'Turn left in ten meters', ''),
    (STORY, 'by a merchant who loved clocks. He bought them in every town', ''),
    (STORY, 'The museum was built in 1890 by a merchant who loves clogs.', ''),
    # both
    (DRIVING, 'I am driving to the kitchen now. Turn left!', 'Turn left!'),
    (DRIVING, 'Turn left! I am driving to the kitchen now.', 'Turn left!'),
    (DRIVING, 'I am driving to the kitchen, no, wait for me', 'No, wait for me'),
    (
        'I am now driving to the kitchen',
        'I am now driving, go to the living room please',
        'Go to the living room please',
    ),
    (DRIVING, 'I am driving turn left to the kitchen now', 'Turn left'),
    (DRIVING, 'I am driving to the kitchen, stop it right now', 'Stop it right now'),
    (STORY, 'The museum was built in eighteen ninety by, go forward ten meters.', None),
    (STORY, 'He bought them in every town. What time is it?', 'What time is it?'),
    ('我现在去厨房。', '我现在去厨房，停下来', '停下来'),
    # the person alone
    (DRIVING, 'Please go to the living room.', 'Please go to the living room.'),
    (DRIVING, 'Do not go to the kitchen.', 'Do not go to the kitchen.'),
    (DRIVING, 'Go forward ten meters.', 'Go forward ten meters.'),
    (DRIVING, 'What are you doing?', 'What are you doing?'),
    (DRIVING, 'Stop now.', 'Stop now.'),
    (DRIVING, 'No.', 'No.'),
    (STORY, 'Who was the merchant?', 'Who was the merchant?'),
    (STORY, 'Tell me the time in London.', 'Tell me the time in London.'),
    ('', 'I am driving to the kitchen now.', 'I am driving to the kitchen now.'),
    # it cannot be told: nothing is published
    (DRIVING, 'To the kitchen, please.', ''),
    ('Do you want tea or coffee?', 'Coffee.', ''),
]


@pytest.mark.parametrize(('said', 'heard', 'rest'), TABLE)
def test_what_remains(said, heard, rest):
    rest = 'Go forward ten meters.' if rest is None else rest
    assert without_robot(text(heard), keys(said)).text == rest


@pytest.mark.parametrize(
    ('said', 'heard', 'rest'),
    [
        (DRIVING, 'Stop!', 'Stop!'),
        (DRIVING, 'I am driving stop', 'Stop'),
        (DRIVING, 'I am driving stop kitchen now', 'Stop'),
        (DRIVING, 'the stop', 'Stop'),
        (STORY, 'Who loves to collect? Stop! And a', 'Stop!'),
        (DRIVING, 'Who is driving? Please do not stop!', 'Please do not stop!'),
        (STORY, 'built in 1890 by a merchant who stop in every town and not on', 'Stop'),
        (DRIVING, "I am driving. Don't stop", "Don't stop"),
        (DRIVING, 'The bus stop is here', 'Bus stop is here'),
        ('I stop at the kitchen.', 'I stop at the kitchen', ''),
        ('I stop at the kitchen.', 'Stop.', ''),
        ('I go to the shop now.', 'I go to the stop now', ''),
        ('', 'Stop!', 'Stop!'),
    ],
)
def test_urgent_commands_stand_alone(said, heard, rest):
    assert without_robot(text(heard), keys(said), {'stop'}).text == rest


def test_words_that_the_model_hardly_knows_are_the_robots():
    heard = 'The museum was built in 1890 by a merchant, go forward ten meters'
    for confidence, rest in ((0.9, 'Go forward ten meters'), (0.3, '')):
        words = tuple(Word(each, 0.0, 0.1, confidence) for each in heard.split())
        assert without_robot(text(heard, words=words), keys(STORY)).text == rest


PARCELS = 'I have found three open parcels in the hall. One of them is addressed to you.'
MISHEARD = 'I have found three open parcels in the hall, on them in the rest to you'


@pytest.mark.parametrize(('person', 'rest'), [(3.0, ''), (12.0, 'On them in the rest')])
def test_words_that_are_no_louder_than_the_robots_are_its_own(person, rest):
    words = keys(MISHEARD)  # "on them in the rest" is "one of them is addressed"
    persons = range(words.index('on'), words.index('rest') + 1)
    levels = [-50.0 + person * (place in persons) for place in range(len(words))]
    found = shares(Heard(words, [0.9] * len(words), levels), keys(PARCELS))
    assert found.echo == -50.0
    assert [words[place] for place in found.persons] == keys(rest)


def test_a_soft_word_at_the_edge_of_louder_ones_is_the_robots():
    words = keys(f'{DRIVING} will go forward ten meters')
    levels = [-50.0] * 8 + [-20.0, -28.0, -20.0, -20.0]
    found = shares(Heard(words, [0.9] * len(words), levels), keys(DRIVING))
    assert [words[place] for place in found.persons] == ['go', 'forward', 'ten', 'meters']


@pytest.mark.parametrize(
    ('louder', 'confidence', 'rest'),
    [(0.0, 0.5, ''), (20.0, 0.5, 'This is all.'), (0.0, 0.9, 'This is all.')],
)
def test_the_robots_level_is_remembered_for_a_text_with_none_of_its_words(
    louder, confidence, rest
):
    now = [100.0]
    voice = OwnVoice(clock=lambda: now[0])
    voice.add(f'{PARCELS} {STORY}')

    def hear(words, gain, confidence):
        said = words.split()
        timed = tuple(
            Word(each, 0.3 * n, 0.3 * n + 0.3, confidence) for n, each in enumerate(said)
        )
        noise = np.random.default_rng(0).normal(0, gain, round(0.3 * len(said) * 16000))
        utterance = Utterance(
            noise.astype(np.float32), now[0], Ending.SILENCE, (), now[0], now[0] + 0.3 * len(said)
        )
        now[0] += 3.0
        return voice.without(utterance, text(words, words=timed)).text

    assert hear(PARCELS, 0.003, 0.9) == ''
    assert hear('This is all.', 0.003 * 10 ** (louder / 20), confidence) == rest


def test_words_and_segments_fit_the_text():
    words = [*'I am driving to the kitchen now.'.split(), 'Turn', 'left!']
    timed = tuple(Word(each, 0.3 * n, 0.3 * n + 0.2, 0.9) for n, each in enumerate(words))
    heard = text(' '.join(words), words=timed, phrases={'turn left': -1.0})
    more = Segment('Go on.', 3.0, 4.0, -0.1, 0.01, 0.8)
    both = Hypothesis((*heard.segments, more))
    first, second = without_robot(both, keys(DRIVING)).segments
    assert first.words == timed[-2:] and second is more
    assert (first.text, first.start, first.end) == ('Turn left!', timed[-2].start, timed[-1].end)
    assert first.phrases is None
    assert without_robot(both, keys('Nobody knows that.')) is both
    assert without_robot(text(DRIVING), keys(DRIVING)).segments == ()


class TestWhen:
    def utterance(self, begin, end):
        return Utterance(None, begin, Ending.SILENCE, (), begin, end)  # type: ignore[arg-type]

    def test_a_text_counts_while_it_may_be_heard(self):
        now = [100.0]
        voice = OwnVoice(clock=lambda: now[0])
        voice.add(DRIVING)
        assert voice.said(self.utterance(98.0, 99.9)) == []  # before
        assert voice.said(self.utterance(99.0, 101.0)) == keys(DRIVING)
        assert voice.said(self.utterance(104.0, 105.0)) == keys(DRIVING)
        assert voice.said(self.utterance(106.0, 107.0)) == []
        voice.add(STORY)  # behind it
        assert voice.said(self.utterance(115.0, 117.0)) == keys(STORY)

    def test_who_tells_when_the_robot_speaks_is_believed(self):
        now = [100.0]
        gate = SelfSpeechGate(lambda: now[0])
        voice = OwnVoice(gate, lambda: now[0])
        voice.add('Shall I go to the kitchen?')
        gate.begin('say')
        now[0] = 102.0
        gate.end('say', 0.3)
        assert voice.said(self.utterance(101.0, 103.0))
        assert voice.said(self.utterance(102.5, 103.5)) == []  # "Go to the kitchen."

    def test_the_rest_of_a_text_is_over_when_the_robot_was_interrupted(self):
        now = [100.0]
        gate = SelfSpeechGate(lambda: now[0])
        voice = OwnVoice(gate, lambda: now[0])

        def speak(begin, end):
            now[0] = begin
            gate.begin('say')
            now[0] = end
            gate.end('say', 0.3)

        voice.add(6 * STORY + 'To stop me, say stop.')
        speak(101.0, 104.0)
        speak(107.0, 109.0)  # a pause
        assert 'stop' in voice.said(self.utterance(107.5, 108.5))
        now[0] = 120.0
        voice.add(DRIVING)
        speak(120.5, 123.0)
        assert voice.said(self.utterance(121.0, 122.0)) == keys(DRIVING)
        speak(131.0, 132.0)
        assert voice.said(self.utterance(131.0, 132.0)) == []  # nor does it wait for the story

    def test_a_text_waits_for_the_robots_voice(self):
        now = [100.0]
        gate = SelfSpeechGate(lambda: now[0])
        voice = OwnVoice(gate, lambda: now[0])
        gate.begin('say')
        voice.add(DRIVING)
        now[0] = 103.0
        voice.add(STORY)  # shortly before the end of the other one
        now[0] = 103.5
        gate.end('say', 0.3)
        now[0] = 112.0  # a slow synthesizer
        gate.begin('say')
        assert voice.said(self.utterance(113.0, 115.0)) == keys(STORY)


@pytest.fixture
def hear():
    made = []

    def start(says, **more):
        """Return a recognizer whose model hears `says` of each utterance."""
        stream, notes = Stream(), Notes()
        recognizer = build(stream, notes, lambda utterance, *_: text(says(utterance)))
        made.append((recognizer, notes))
        policy = {'self_speech__policy': 'barge_in', **more}
        return recognizer, with_settings(**policy), stream, notes

    yield start
    for recognizer, notes in made:
        recognizer.close()
        assert not notes.failures


def test_a_request_hears_the_person_and_waits_on_behind_the_robot(hear):
    texts = iter((DRIVING, 'Turn left.'))
    recognizer, settings, stream, notes = hear(
        lambda _: next(texts), utterance__speculative=False, utterance__turn_detection='silence'
    )
    request = recognizer.record(settings)
    until(lambda: recognizer._agenda.heard is request)
    recognizer.self_speech.begin('say')
    recognizer.own_voice.add(DRIVING)
    stream.say('_' * 5 + 'S' * 20 + '_' * 10)
    until(lambda: len(notes.transcripts) == 1)
    (own,) = notes.transcripts
    assert own.outcome is Outcome.SELF_SPEECH and own.text == '' and own.raw_text == DRIVING
    assert not request.future.done()
    stream.say('_' * 5 + 'S' * 20 + '_' * 10)
    assert request.result(5).text == 'Turn left.'
    assert State.SELF_SPEECH not in notes.states


def test_partial_text_does_not_have_the_robots_words(hear):
    recognizer, settings, stream, notes = hear(lambda _: DRIVING, partial__period=0.1)
    notes.reads_along = True
    recognizer.set_hands_free(lambda: settings)
    recognizer.self_speech.begin('say')
    recognizer.own_voice.add(DRIVING)
    stream.say('_' * 5 + 'S' * 60 + '_' * 10)
    until(lambda: len(notes.transcripts) == 1)
    assert notes.partial == []


@pytest.mark.parametrize('policy', ['mute', 'barge_in'])
@pytest.mark.parametrize(('robot', 'acts'), [(DRIVING, True), ('I stop now.', False)])
def test_an_urgent_command_acts_unless_the_robot_said_it(hear, policy, robot, acts):
    recognizer, settings, stream, notes = hear(
        lambda _: 'I am driving stop',
        self_speech__policy=policy,
        commands__urgent=['stop'],
        utterance__end_silence=1.0,
    )
    request = recognizer.record(settings)
    until(lambda: recognizer._agenda.heard is request)
    recognizer.self_speech.begin('say')
    recognizer.own_voice.add(robot)
    for symbol in 'S' * 25 + '_' * 6:
        stream.say(symbol)
        until(lambda: not (stream.frames and stream.listening))
        time.sleep(0.004)
    if acts:
        transcript = request.result(5)
        assert transcript.text == 'Stop' and transcript.command.text == 'stop'
        assert transcript.utterance.ending is Ending.COMMAND
    else:
        assert not request.future.done() and not notes.transcripts
