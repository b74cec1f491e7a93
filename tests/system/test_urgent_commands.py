"""Urgent commands through the real node: before the turn is over, and while the robot speaks."""

import time

from distil_whisper_msgs.msg import Transcript
import numpy as np
import pytest
from robot import RATE, robot, spoken, wait_for
from std_msgs.msg import Bool

PAUSE = np.zeros(RATE, np.float32)


@pytest.fixture(scope='module')
def client(room):
    parameters = {
        'commands__urgent': ['stop'],
        'commands__phrases': ['turn left', 'turn right'],
        'self_speech__topics': ['robot/speaks'],
        'utterance__end_silence': 2.0,  # not before it is what "before the turn is over" means
        'utterance__turn_detection': 'silence',
    }
    with robot(environment=room.environment, **parameters) as (client, _):
        client.wait_state('ready')
        yield client


def hear(client, room, samples):
    """Return the transcripts of a request."""
    client.wait_state('ready')
    client.texts.clear()
    client.transcripts.clear()
    future = client.start_trigger('record')
    client.wait_state('waiting')
    room.say(np.concatenate((samples, PAUSE)), wait=False)
    wait_for(future.done, 20, 'the reply')
    wait_for(lambda: client.transcripts, 5, 'the transcript')
    room.quiet()
    time.sleep(0.5)
    return client.transcripts


def test_a_repeated_stop_ends_the_utterance_and_is_published_once(client, room):
    (transcript,) = hear(client, room, spoken('Stop! Stop! Stop!'))
    assert transcript.accepted and transcript.command == 'stop'
    assert transcript.ending == Transcript.ENDING_COMMAND
    assert set(transcript.text.lower().replace('.', ' ').replace('!', ' ').split()) <= {
        'stop',
        'stop,',
    }
    assert client.texts == [transcript.text]


@pytest.mark.parametrize('sentence', ["Don't stop.", 'The bus stop is there.'])
def test_a_sentence_with_the_word_does_not_act(client, room, sentence):
    (transcript,) = hear(client, room, spoken(sentence))
    assert transcript.ending == Transcript.ENDING_SILENCE
    assert transcript.command == ''


def test_it_comes_through_while_the_robot_speaks(client, room):
    client.wait_state('ready')
    client.texts.clear()
    client.transcripts.clear()
    publisher = client.node.create_publisher(Bool, 'robot/speaks', 10)
    wait_for(publisher.get_subscription_count, 5, 'the subscription')
    client.switch('hands_free', True)
    client.wait_state('waiting')
    publisher.publish(Bool(data=True))
    client.wait_state('self_speech')
    try:
        room.say(np.concatenate((spoken('Turn left, I am going there now.'), PAUSE)))
        assert client.texts == [] and client.state == 'self_speech'
        room.say(np.concatenate((spoken('Stop!'), PAUSE)), wait=False)
        wait_for(lambda: client.texts and client.transcripts, 20, 'the text')
        room.quiet()
        client.wait_state('self_speech')
    finally:
        publisher.publish(Bool(data=False))
        client.switch('hands_free', False)
    assert {each.command for each in client.transcripts} == {'stop'}
    assert client.transcripts[0].outcome == Transcript.OUTCOME_TRANSCRIBED
    assert client.transcripts[0].ending == Transcript.ENDING_COMMAND
    assert 'hearing' not in [each.label for each in client.states[-6:]]
