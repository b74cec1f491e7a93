"""The whole interface over real DDS: listen, hands-free, partial text, mute, transcribe."""

from itertools import pairwise
import time

from action_msgs.msg import GoalStatus, GoalStatusArray
from distil_whisper_msgs.msg import RecognizerState, Transcript
import jiwer
import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from robot import goforward, RATE, robot, spoken, wait_for
from sounds import speech
import soxr
from std_msgs.msg import Bool

from distil_whisper_ros.speech.command_matcher import plain

SAID = 'go forward ten meters'
PAUSE = np.zeros(RATE, np.float32)


@pytest.fixture(scope='module')
def hearing(room):
    parameters = {'self_speech__topics': ['robot/speaks'], 'self_speech__actions': ['say']}
    with robot(environment=room.environment, **parameters) as (client, process):
        client.wait_state('ready')
        yield client, process


@pytest.fixture
def client(hearing, room):
    client, process = hearing
    room.quiet()
    client.wait_state('ready')
    client.texts.clear()
    client.transcripts.clear()
    yield client
    assert 'Traceback' not in process.log()


class TestListen:
    def test_feedback_while_hearing_and_a_complete_result(self, client, room):
        listening = client.listen(partial_results=True)
        client.wait_state('waiting')
        # Seven seconds: on a busy machine the text so far of a short sentence comes at its end.
        room.say(speech()['librivox/0870'][0], wait=False)
        status, transcript = listening.result()
        assert status == GoalStatus.STATUS_SUCCEEDED
        assert transcript.accepted
        assert 'John Dashwood' in transcript.text
        assert client.texts == [transcript.text]
        states = [feedback.state for _, feedback in listening.feedback]
        hearing = [
            each for each in listening.feedback if each[1].state == RecognizerState.STATE_HEARING
        ]
        assert RecognizerState.STATE_WAITING in states
        rate = (len(hearing) - 1) / (hearing[-1][0] - hearing[0][0])
        assert rate >= 10
        assert max(feedback.level for _, feedback in hearing) > -40
        elapsed = [feedback.elapsed for _, feedback in listening.feedback]
        assert elapsed == sorted(elapsed)
        partial = [feedback.partial_text for _, feedback in listening.feedback]
        grown = [text for text, more in pairwise(partial) if text != more] + partial[-1:]
        assert any(grown)
        assert all(after.startswith(before) for before, after in pairwise(grown))

    def test_the_transcript_is_complete(self, client, room):
        begun = time.time()
        listening = client.listen()
        client.wait_state('waiting')
        room.say(goforward(), wait=False)
        _, transcript = listening.result()
        stamp = transcript.header.stamp.sec + transcript.header.stamp.nanosec * 1e-9
        end = transcript.end_of_speech.sec + transcript.end_of_speech.nanosec * 1e-9
        assert begun < stamp < end < time.time()
        assert 1.0 < end - stamp < 2.8
        assert transcript.header.frame_id == 'microphone'
        assert transcript.outcome == Transcript.OUTCOME_TRANSCRIBED
        assert transcript.ending == Transcript.ENDING_SILENCE
        assert transcript.language == 'en'
        assert 0.5 < transcript.confidence <= 1
        assert transcript.audio_duration > 1
        assert transcript.processing_time > 0
        assert transcript.latency > 0.6
        assert transcript.model.endswith('tiny.en')
        assert transcript.device == 'cpu'
        (segment,) = transcript.segments
        assert plain(' '.join(word.text for word in segment.words)) == SAID
        starts = [word.start for word in segment.words]
        assert starts == sorted(starts)
        assert starts[0] == pytest.approx(0.0, abs=0.15)  # counted from the speech
        assert all(word.start < word.end and 0 < word.confidence <= 1 for word in segment.words)

    @pytest.mark.parametrize('phase', ['waiting', 'hearing', 'transcribing'])
    def test_cancel_at_any_moment(self, client, room, phase):
        # Slow, so that there is time to cancel while it transcribes.
        slow = {
            'utterance.speculative': False,
            'model.beam_width': 5,
            'model.audio_context_margin': 30.0,
        }
        for name, value in slow.items():
            client.set_parameter(name, value)
        listening = client.listen()
        client.wait_state('waiting')
        if phase != 'waiting':
            room.say(speech()['librivox/0880'][0], wait=False)
            client.wait_state(phase)
        canceled = time.monotonic()
        listening.cancel()
        status, transcript = listening.result()
        assert status == GoalStatus.STATUS_CANCELED
        assert transcript.outcome == Transcript.OUTCOME_CANCELED
        assert time.monotonic() - canceled < 1.0
        assert client.trigger('stop').message in ('nothing is being recorded', 'stopped')
        second = client.listen(start_timeout=0.2)  # ready at once
        if phase == 'transcribing':
            assert second.result()[1].outcome == Transcript.OUTCOME_NO_SPEECH
        else:
            second.cancel()
            second.result()
        client.wait_state('ready')
        time.sleep(0.3)
        assert client.texts == []
        assert [t for t in client.transcripts if t.outcome != Transcript.OUTCOME_NO_SPEECH] == []
        usual = {
            'utterance.speculative': True,
            'model.beam_width': 1,
            'model.audio_context_margin': -1.0,
        }
        for name, value in usual.items():
            client.set_parameter(name, value)

    def test_options(self, client, room):
        listening = client.listen(start_timeout=0.5)
        status, transcript = listening.result()
        assert status == GoalStatus.STATUS_ABORTED
        assert transcript.outcome == Transcript.OUTCOME_NO_SPEECH
        assert 'within 0.5 s' in transcript.reason
        listening = client.listen(
            max_duration=2.0, commands=['turn left', 'go forward ten meters', 'stop']
        )
        client.wait_state('waiting')
        room.say(goforward(), wait=False)
        _, transcript = listening.result()
        assert transcript.ending == Transcript.ENDING_MAX_DURATION or transcript.accepted
        assert transcript.audio_duration <= 2.0 + 0.5

    def test_a_text_is_mapped_to_a_command(self, client, room):
        listening = client.listen(commands=['turn left', 'go forward ten meters', 'stop'])
        client.wait_state('waiting')
        room.say(goforward(), wait=False)
        _, transcript = listening.result()
        assert transcript.command == 'go forward ten meters'
        assert transcript.command_score == pytest.approx(1.0)
        listening = client.listen(commands=['open the door', 'lights on'])
        client.wait_state('waiting')
        room.say(goforward(), wait=False)
        _, transcript = listening.result()
        assert transcript.accepted
        assert transcript.command == ''
        assert transcript.command_score < 0.5

    def test_commands_can_be_a_parameter(self, client, room):
        for wrong in ('go', [1, 2], True):
            assert 'commands.phrases is' in client.set_parameter('commands.phrases', wrong)
        phrases = ['turn {left,right}', 'go forward {number} meters']
        wrong = ['go to the {place}']
        assert 'slot {place} is not known' in client.set_parameter('commands.phrases', wrong)
        assert client.set_parameter('commands.phrases', phrases) == ''
        assert client.get_parameter('commands.phrases').string_array_value == phrases
        future = client.start_trigger('record')
        client.wait_state('waiting')
        room.say(goforward(), wait=False)
        wait_for(future.done, 30, 'the reply')
        wait_for(lambda: client.transcripts, 5, 'the transcript')
        transcript = client.transcripts[0]
        assert (transcript.command, transcript.command_values) == (phrases[1], ['10'])
        assert transcript.command_alternatives[0] == 'go forward 10 meters'
        assert client.set_parameter('commands.phrases', []) == ''

    @pytest.mark.parametrize(
        ('options', 'reason'),
        [
            ({'end_silence': 99.0}, 'end_silence is 99.0, but must be from 0.1 to 10.0 s'),
            ({'max_duration': -1.0}, 'max_duration is -1.0, but must be from 0.5 to 600.0 s'),
            ({'task': 'sing'}, "task is 'sing', but must be one of: transcribe, translate"),
        ],
    )
    def test_wrong_options(self, client, options, reason):
        status, transcript = client.listen(**options).result()
        assert status == GoalStatus.STATUS_ABORTED
        assert transcript.outcome == Transcript.OUTCOME_FAILED
        assert reason in transcript.reason

    def test_a_second_goal_is_refused_queued_or_preempts(self, client):
        first = client.listen(start_timeout=1.0)
        status, transcript = client.listen().result()
        assert status == GoalStatus.STATUS_ABORTED
        assert transcript.reason.startswith('busy: ')
        first.result()
        assert client.set_parameter('requests.policy', 'queue') == ''
        first, second = client.listen(start_timeout=0.5), client.listen(start_timeout=0.6)
        assert 'within 0.5 s' in first.result()[1].reason
        assert 'within 0.6 s' in second.result()[1].reason
        assert client.set_parameter('requests.policy', 'preempt') == ''
        first, second = client.listen(start_timeout=5.0), client.listen(start_timeout=0.6)
        assert first.result()[1].outcome == Transcript.OUTCOME_CANCELED
        assert 'newer request' in first.result()[1].reason
        assert 'within 0.6 s' in second.result()[1].reason
        assert client.set_parameter('requests.policy', 'refuse') == ''


class TestHandsFree:
    def test_every_sentence_is_published(self, client, room):
        assert client.switch('hands_free', True).success
        wait_for(lambda: client.states[-1].hands_free, 5, 'hands-free in the state')
        client.wait_state('waiting')
        names = ['goforward', 'librivox/0880', 'something', 'librivox/0930']
        gap = np.zeros(int(1.2 * RATE), np.float32)
        room.say(np.concatenate([np.concatenate((speech()[n][0], gap)) for n in names]))
        wait_for(lambda: len(client.texts) == len(names), 10, 'the last text')
        assert [text.split()[0].lower() for text in client.texts] == ['go', 'he', 'go', 'he']
        assert client.switch('hands_free', False).success
        client.wait_state('ready')
        assert not client.states[-1].hands_free

    def test_record_meanwhile_gets_the_next_utterance(self, client, room):
        client.switch('hands_free', True)
        client.wait_state('waiting')
        future = client.start_trigger('record')
        time.sleep(0.3)
        room.say(goforward(), wait=False)
        wait_for(future.done, 15, 'the reply')
        assert plain(future.result().message) == SAID
        assert [plain(text) for text in client.texts] == [SAID]
        client.switch('hands_free', False)
        client.wait_state('ready')


class TestPartialText:
    def test_it_grows_and_settles(self, client, room):
        partials = client.read_along()
        future = client.start_trigger('record')
        client.wait_state('waiting')
        # 18 s: on a busy machine, which takes seconds for a text, few texts come in between.
        said = [speech()[f'librivox/{number}'][0] for number in ('0870', '0890', '0920')]
        room.say(np.concatenate(said), wait=False)
        wait_for(future.done, 60, 'the reply')
        assert len(partials) >= 2
        assert all(after.startswith(before) for before, after in pairwise(partials))
        # What settled may differ from the final text in a word, more or less.
        settled = jiwer.process_words(plain(partials[-1]), plain(future.result().message))
        assert settled.hits >= 0.7 * len(plain(partials[-1]).split())


class TestMute:
    def test_the_microphone_is_closed(self, client, room):
        waiting = client.start_trigger('record')
        client.wait_state('waiting')
        answer = client.switch('mute', True)
        assert answer.success
        assert answer.message == 'the microphone is closed'
        client.wait_state('muted')
        wait_for(waiting.done, 5, 'the reply')
        assert 'speech/mute' in waiting.result().message
        room.say(goforward())
        refused = client.trigger('record')
        assert not refused.success
        assert 'speech/mute' in refused.message
        statuses = client.diagnostics[-1].status
        assert client.texts == []
        assert statuses
        assert client.switch('mute', False).success
        client.wait_state('ready')
        future = client.start_trigger('record')
        client.wait_state('waiting')
        room.say(goforward(), wait=False)
        wait_for(future.done, 30, 'the reply')
        assert plain(future.result().message) == SAID

    def by_topic(self, client):
        publisher = client.node.create_publisher(Bool, 'robot/speaks', 10)
        wait_for(lambda: publisher.get_subscription_count(), 5, 'the subscription')
        return lambda speaks: publisher.publish(Bool(data=speaks))

    def by_action(self, client):
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        publisher = client.node.create_publisher(
            GoalStatusArray, 'say/_action/status', latched
        )  # as every action server does
        wait_for(lambda: publisher.get_subscription_count(), 5, 'the subscription')

        def speaks(speaking: bool) -> None:
            done, busy = GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_EXECUTING
            status = GoalStatus(status=busy if speaking else done)
            publisher.publish(GoalStatusArray(status_list=[status]))

        return speaks

    @pytest.mark.parametrize('way', ['topic', 'action'])
    def test_the_robot_does_not_hear_itself(self, client, room, way):
        """A person speaks, the robot answers aloud, the person speaks again."""
        speaks = {'topic': self.by_topic, 'action': self.by_action}[way](client)
        robots_own = spoken('I am going forward now. Please stand back and be careful.')
        client.switch('hands_free', True)
        client.wait_state('waiting')
        room.say(np.concatenate((goforward(), PAUSE)))
        wait_for(lambda: client.texts, 10, 'the first text')
        speaks(True)
        client.wait_state('self_speech')
        assert 'the robot speaks' in client.states[-1].detail
        room.say(robots_own)
        speaks(False)
        client.wait_state('waiting', timeout=10)
        room.say(np.concatenate((speech()['something'][0], PAUSE)))
        wait_for(lambda: len(client.texts) == 2, 10, 'the second text')
        time.sleep(1.0)
        assert [plain(text) for text in client.texts] == [SAID, 'go somewhere and do something']
        client.switch('hands_free', False)
        client.wait_state('ready')

    def test_without_mute_the_robot_would_hear_itself(self, client, room):
        """What the test above would see if nothing told that the robot speaks."""
        client.switch('hands_free', True)
        client.wait_state('waiting')
        room.say(np.concatenate((spoken('I am going forward now.'), PAUSE)))
        wait_for(lambda: client.texts, 10, "the robot's own text")
        client.switch('hands_free', False)
        client.wait_state('ready')

    def test_a_speaker_that_is_gone_does_not_leave_the_robot_deaf(self, client):
        publisher = client.node.create_publisher(Bool, 'robot/speaks', 10)
        wait_for(lambda: publisher.get_subscription_count(), 5, 'the subscription')
        client.switch('hands_free', True)
        client.wait_state('waiting')
        publisher.publish(Bool(data=True))
        client.wait_state('self_speech')
        for other in list(client.node.publishers):
            if other.topic_name.endswith(('robot/speaks', 'say/_action/status')):
                client.node.destroy_publisher(other)
        client.wait_state('waiting', timeout=10)
        client.switch('hands_free', False)
        client.wait_state('ready')


class TestTranscribe:
    @pytest.mark.parametrize('rate', [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
    @pytest.mark.parametrize('channels', [1, 2])
    def test_any_common_format(self, client, rate, channels):
        samples = soxr.resample(goforward(), RATE, rate)
        block = np.stack([samples] * channels, axis=1)
        future = client.transcribe(block, rate)
        wait_for(future.done, 30, 'the answer')
        answer = future.result()
        assert answer.success
        assert answer.transcript.text.lower().startswith('go forward')
        assert answer.transcript.segments[0].words
        assert client.texts == []  # it is the caller's speech, not this robot's

    def test_concurrent_calls_are_served_in_order(self, client):
        names = ['goforward', 'something', 'librivox/0880', 'librivox/0930']
        done = []
        futures = [client.transcribe(speech()[name][0], RATE) for name in names]
        for name, future in zip(names, futures):
            future.add_done_callback(lambda _, name=name: done.append(name))
        wait_for(lambda: len(done) == len(names), 30, 'the answers')
        assert done == names
        assert all(future.result().success for future in futures)

    @pytest.mark.parametrize(
        ('samples', 'rate', 'reason'),
        [
            (np.zeros(0, np.float32), RATE, 'audio.data is empty'),
            (np.zeros(100, np.float32), 1000, 'must be from 8000 to 384000 Hz'),
            (np.zeros(RATE * 3, np.float32), RATE, 'no speech was found in the audio'),
            (
                np.zeros(8000 * 601, np.float32),
                8000,
                'audio.data is 601.0 s long; the limit is 600 s',
            ),
        ],
    )
    def test_what_cannot_be_transcribed_is_told(self, client, samples, rate, reason):
        future = client.transcribe(samples, rate)
        wait_for(future.done, 30, 'the answer')
        assert not future.result().success
        assert reason in future.result().transcript.reason

    def test_the_robots_own_ears_go_first(self, client, room):
        """The long one begins while the person speaks, and has far more work than that lasts."""
        long = np.resize(np.concatenate([each for each, _ in speech().values()]), 590 * RATE)
        record = client.start_trigger('record')
        client.wait_state('waiting')
        room.say(goforward(), wait=False)
        client.wait_state('hearing')
        batch = client.transcribe(long, RATE)
        wait_for(record.done, 60, 'the reply')
        assert plain(record.result().message) == SAID
        assert not batch.done()
        wait_for(batch.done, 120, 'the long one')
        assert batch.result().success
