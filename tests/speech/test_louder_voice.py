"""A person who is louder than the robot is heard alone: "stop" in the middle of its sentence."""

from barge_in import STORIES, VOICES
from interrupt import case, Ear, PEOPLE, SENTENCES, trimmed, with_person
import numpy as np
import pytest
from robot import MODEL, spoken

from distil_whisper_ros.core.audio_format import FRAME_DURATION, FRAME_LENGTH
from distil_whisper_ros.core.settings import settings_from
from distil_whisper_ros.core.types import Ending, Hypothesis, Segment, Utterance
from distil_whisper_ros.speech.louder_voice import LEAST, LONGEST, LOUDER, LouderVoice
from distil_whisper_ros.speech.own_voice import OwnVoice
from distil_whisper_ros.speech.urgent import urgent_command

RNG = np.random.default_rng(0)
KNOWN = settings_from({'commands.urgent': ['stop'], 'commands.phrases': ['go']})


def frame(decibels: float) -> np.ndarray:
    return (RNG.normal(0, 1, FRAME_LENGTH) * 10 ** (decibels / 20)).astype(np.float32)


def louder(voice: LouderVoice, decibels: float, frames: int, spoken=True) -> list[bool]:
    return [voice.is_louder(frame(decibels), spoken) for _ in range(frames)]


def test_what_is_above_the_robot_is_louder():
    voice = LouderVoice()
    assert not any(louder(voice, -40, 60))
    assert all(louder(voice, -25, 10))
    assert not any(louder(voice, -40, 20)[1:])  # a closed consonant is no pause
    assert not any(louder(voice, -40 + LOUDER / 2, 20))


def test_what_is_no_speech_is_not_louder():
    voice = LouderVoice()
    louder(voice, -40, 60)
    assert not any(louder(voice, -10, 10, spoken=False))


def test_it_is_not_known_at_first_how_loud_the_robot_is():
    voice = LouderVoice()
    louder(voice, -40, LEAST - 1)
    louder(voice, -80, 100, spoken=False)
    assert louder(voice, -20, 2) == [False, True]


def test_a_person_does_not_become_the_robot():
    voice = LouderVoice()
    louder(voice, -40, 60)
    for _ in range(10):
        assert all(louder(voice, -25, 20))
        louder(voice, -40, 12)


def test_a_robot_that_becomes_louder_is_no_person_for_ever():
    voice = LouderVoice()
    louder(voice, -40, 60)
    found = louder(voice, -25, 300)
    assert sum(found) * FRAME_DURATION == pytest.approx(LONGEST, abs=0.2)
    louder(voice, -80, 10)
    assert not any(louder(voice, -25, 30))


def heard(voiced: float = 0.4) -> Utterance:
    speech = (0.95,) * round(voiced / FRAME_DURATION)
    samples = np.zeros(len(speech) * FRAME_LENGTH, np.float32)
    return Utterance(samples, 0.0, Ending.SILENCE, speech, 0.0, voiced, voiced=voiced)


@pytest.mark.parametrize(
    ('text', 'score', 'robot', 'written'),
    [
        ('Stop!', -1.0, 'I go to the kitchen.', 'Stop!'),
        ('top', -2.5, 'I go to the kitchen.', 'Stop.'),
        ('Let it stop', -2.0, 'I go to the kitchen.', None),  # more than one word more
        ('Top top top top top top top', -2.5, 'I go to the kitchen.', 'Stop.'),  # once, repeated
        ('top', -9.0, 'I go to the kitchen.', None),  # it does not sound like it
        ('top', -2.5, 'I go to the top of the hill.', None),  # the robot says that
        ('Stop!', -1.0, 'I stop at the door.', None),
        ('top', -2.5, 'I stop at the door.', None),
        ("Don't stop.", -1.0, 'Please do not enter.', None),
        ('Never stop.', -1.0, 'I go to the kitchen.', None),
    ],
)
def test_a_person_alone_may_be_understood_by_the_sound(text, score, robot, written):
    own_voice = OwnVoice(clock=lambda: 0.0)
    own_voice.add(robot)
    phrases = {'stop': score, 'go': -13.0}
    said = Hypothesis((Segment(text, 0.0, 1.0, -0.5, 0.01, 0.8, phrases=phrases),), 'en')
    found = urgent_command(heard(), said, KNOWN, own_voice, alone=True)
    assert (found.hypothesis.text if found is not None else None) == written


@pytest.mark.parametrize(
    'text', ["Don't stop.", 'Do not stop.', 'Never stop.', "I don't want to stop at the"]
)
def test_a_negation_is_no_word_of_the_robot(text):
    own_voice = OwnVoice(clock=lambda: 0.0)
    own_voice.add('You must never go there, and please do not enter to look at the map.')
    said = Hypothesis((Segment(text, 0.0, 1.0, -0.1, 0.01, 0.8),), 'en')
    assert urgent_command(heard(0.7), said, KNOWN, own_voice) is None


def test_a_word_that_the_robot_said_once_and_the_model_repeats_does_not_act():
    own_voice = OwnVoice(clock=lambda: 0.0)
    own_voice.add('Stop signs are red.')
    said = Hypothesis((Segment('Stop, stop, stop', 0.0, 1.0, -0.1, 0.01, 0.8),), 'en')
    assert urgent_command(heard(), said, KNOWN, own_voice) is None


@pytest.fixture(scope='module')
def ear(transcriber):
    return Ear(str(MODEL), transcriber)


def test_stop_acts_in_the_middle_of_a_sentence(ear):
    """On the audio's clock, so that a busy machine changes nothing."""
    acted = 0
    cases = [(voice, below) for voice in PEOPLE for below in (20.0, 30.0)]
    for number, ((voice, speed), below) in enumerate(cases):
        story, robot = STORIES[number % len(STORIES)], VOICES[(number + 2) % len(VOICES)]
        word = trimmed(spoken('Stop!', voice, speed))
        samples = with_person(case(story, robot, below, number), word, 2.0 + 0.3 * number)
        acted += ear.hear(samples, story).moment is not None
    assert acted >= 0.7 * len(cases)


def test_the_robot_alone_never_acts(ear):
    for number, text in enumerate(SENTENCES[:16]):  # ten of them have the word
        robot = VOICES[number % len(VOICES)]
        below = (0.0, 15.0, 30.0, None)[number % 4]
        acted = ear.hear(case(text, robot, below, number), text)
        assert acted.moment is None, (text, acted.texts)


def test_a_person_who_says_the_opposite_does_not_act(ear):
    for number, text in enumerate(("Don't stop!", 'Never stop.', 'I will never stop.')):
        story, word = STORIES[number], trimmed(spoken(text, *PEOPLE[number]))
        samples = with_person(case(story, VOICES[0], 20.0, number), word, 2.5)
        acted = ear.hear(samples, story)
        assert acted.moment is None, (text, acted.texts)
