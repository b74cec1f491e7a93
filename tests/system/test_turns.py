"""The node ends an utterance when the speaker is done: real speech, through the microphone."""

from distil_whisper_msgs.msg import Transcript
import pytest
from robot import goforward, MODEL, robot, TURN_MODEL, wait_for
from sounds import speech


@pytest.fixture(scope='module')
def hearing(room):
    """Start a node in which a busy machine has time to answer."""
    parameters = {'utterance__turn_model': str(TURN_MODEL), 'utterance__end_silence': 4.0}
    with robot(environment=room.environment, **parameters) as (client, process):
        client.wait_state('ready')
        yield client, process, room


def heard(client, room, samples, **options) -> Transcript:
    """Return the transcript of samples that a person says in answer to a goal."""
    client.wait_state('ready')
    listening = client.listen(**options)
    client.wait_state('waiting', 'hearing')
    room.say(samples, wait=False)
    _, transcript = listening.result(60)
    room.quiet()
    return transcript


def test_a_complete_sentence_ends_at_once(hearing):
    client, process, room = hearing
    samples, _ = speech()['librivox/0920']
    transcript = heard(client, room, samples)
    assert 'more respectable than he was' in transcript.text
    assert transcript.ending in (Transcript.ENDING_SMART_TURN, Transcript.ENDING_TEXT)
    assert transcript.latency < 4.0
    assert 'without turn detection' not in process.log()


def test_a_command_ends_at_once(hearing):
    client, _, room = hearing
    transcript = heard(client, room, goforward(), commands=['go forward ten meters', 'stop'])
    assert transcript.command == 'go forward ten meters'
    assert transcript.ending == Transcript.ENDING_COMMAND and transcript.latency < 4.0


def test_a_goal_chooses(hearing):
    client, _, room = hearing
    options = {'turn_detection': 'silence', 'end_silence': 0.5}
    transcript = heard(client, room, goforward(), **options)
    assert transcript.accepted and transcript.ending == Transcript.ENDING_SILENCE
    _, refused = client.listen(turn_detection='telepathy').result(10)
    assert "is 'telepathy', but must be one of: auto, smart_turn, silence" in refused.reason


def test_without_the_file_one_line_says_so_and_silence_decides(room, tmp_path):
    environment = {**room.environment, 'HF_HOME': str(tmp_path)}
    with robot(environment=environment, model__id=str(MODEL)) as (client, process):
        client.wait_state('ready')
        line = 'without turn detection, utterances end after utterance.end_silence'
        wait_for(lambda: line in process.log(), 10, 'the line in the log')
        transcript = heard(client, room, goforward())
        assert transcript.accepted and transcript.ending == Transcript.ENDING_SILENCE
        assert process.log().count(line) == 1
