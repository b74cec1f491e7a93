"""A name to listen to, on the real node: hands-free, through the virtual microphone."""

from distil_whisper_msgs.msg import Transcript
import numpy as np
import pytest
from robot import goforward, robot, spoken, wait_for
from std_msgs.msg import Empty

from distil_whisper_ros.speech.command_matcher import plain

SAID = 'go forward ten meters'


def trimmed(samples: np.ndarray) -> np.ndarray:
    """Return a recording without the silence around it."""
    loud = np.flatnonzero(abs(samples) > 0.02)
    return samples[loud[0] : loud[-1]]


@pytest.fixture(scope='module')
def named(room):
    """Start a node that listens to its name, and publishes also what is for others."""
    parameters = {
        'hands_free__enabled': True,
        'hands_free__wake_phrases': ['hey robot'],
        'hands_free__attention': 4.0,
        'hands_free__publish_unaddressed': True,
        'commands__urgent': ['stop'],
    }
    with robot(environment=room.environment, **parameters) as (client, _):
        client.wait_state('waiting')
        yield client


@pytest.fixture
def client(named, room):
    room.quiet()
    wait_for(lambda: not named.states[-1].attentive, 10, 'the end of the window')
    named.texts.clear()
    named.transcripts.clear()
    return named


def test_what_has_no_name_is_not_published(client, room):
    room.say(goforward())
    wait_for(lambda: client.transcripts, 20, 'the transcript')
    assert client.transcripts[0].outcome == Transcript.OUTCOME_NOT_ADDRESSED
    assert not client.transcripts[0].accepted
    assert 'hands_free.wake_phrases' in client.transcripts[0].reason
    assert client.texts == [] and not client.states[-1].attentive


def test_a_sentence_behind_the_name(client, room):
    partials = client.read_along()
    room.say(np.concatenate([trimmed(0.5 * spoken('Hey robot', 'en-us')), trimmed(goforward())]))
    wait_for(lambda: client.texts and client.transcripts, 20, 'the text')
    assert [plain(text) for text in client.texts] == [SAID]
    transcript = client.transcripts[-1]
    assert transcript.text == client.texts[0]
    assert 'robot' in transcript.raw_text.lower()
    assert client.states[-1].attentive
    assert all(text.startswith('Go') for text in partials)
    wait_for(lambda: not client.states[-1].attentive, 8, 'the end of the window')


def test_an_urgent_command_behind_the_name(client, room):
    room.say(0.5 * spoken('Hey robot, stop!', 'en-us'), wait=False)
    wait_for(lambda: client.transcripts, 20, 'the transcript')
    (transcript,) = client.transcripts
    assert transcript.accepted and transcript.command == 'stop', transcript.raw_text
    assert transcript.ending == Transcript.ENDING_COMMAND
    assert client.texts == [transcript.text] and transcript.text.startswith('Stop')


def test_the_name_alone_and_then_a_sentence(client, room):
    room.say(0.5 * spoken('Hey robot.', 'en-us'), wait=False)
    wait_for(lambda: client.transcripts, 20, 'the transcript')
    (transcript,) = client.transcripts
    assert transcript.outcome == Transcript.OUTCOME_NO_SPEECH, (transcript.text, transcript.reason)
    wait_for(lambda: client.states[-1].attentive, 5, 'the window')
    assert client.texts == []
    room.say(goforward(), wait=False)
    wait_for(lambda: client.texts, 20, 'the text')
    assert [plain(text) for text in client.texts] == [SAID]


def test_a_request_needs_no_name(client, room):
    future = client.start_trigger('record')
    room.say(goforward(), wait=False)
    wait_for(future.done, 30, 'the reply')
    assert plain(future.result().message) == SAID
    assert not client.states[-1].attentive


def test_a_wake_word_model_opens_the_window(client, room):
    wake = client.node.create_publisher(Empty, 'speech/wake', 10)
    wait_for(lambda: wake.get_subscription_count() == 1, 10, 'the subscription')
    wake.publish(Empty())
    wait_for(lambda: client.states[-1].attentive, 5, 'the window')
    room.say(goforward(), wait=False)
    wait_for(lambda: client.texts, 20, 'the text')
    assert [plain(text) for text in client.texts] == [SAID]


def test_names_that_change_while_nobody_speaks_count_at_once(client, room):
    assert client.set_parameter('hands_free.wake_phrases', []) == ''
    room.say(goforward(), wait=False)
    wait_for(lambda: client.texts, 20, 'the text')
    assert [plain(text) for text in client.texts] == [SAID]
