"""Many requests at once, errors inside callbacks, and the end of the node: all get answers."""

from pathlib import Path
import threading
import time
from typing import Any

from action_msgs.msg import GoalStatus
from distil_whisper_msgs.action import Listen
from distil_whisper_msgs.msg import Audio, Transcript
from distil_whisper_msgs.srv import Transcribe
from lifecycle_msgs.msg import Transition
import numpy as np
import pytest
from rclpy.qos import QoSProfile
from robot import Client, GoalClient, goforward, RATE, robot, wait_for
import soundfile
from std_srvs.srv import Trigger

DEEP = QoSProfile(depth=1000)  # a client's own queue must hold the answers of its burst
BURST = 500


@pytest.fixture(scope='module')
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp('recordings') / 'goforward.wav'
    soundfile.write(path, goforward(), RATE)
    return path


@pytest.fixture(scope='module')
def node(recording):
    parameters = reading(recording)
    with robot(**parameters, requests__queue_length=1000) as (client, process):
        client.wait_state('ready')
        yield client, process


def reading(path: Path, **more: object) -> dict[str, Any]:
    return {'audio__source': 'file', 'audio__file': str(path), **more}


def audio_message(samples: np.ndarray) -> Audio:
    message = Audio(sample_rate=RATE, channels=1)
    message.data.frombytes((samples * 32767).astype('<i2').tobytes())
    return message


class TestBursts:
    def test_record(self, node):
        client, process = node
        recorder = client.node.create_client(Trigger, 'speech/record', qos_profile=DEEP)
        assert recorder.wait_for_service(10)
        futures = [recorder.call_async(Trigger.Request()) for _ in range(BURST)]
        wait_for(lambda: all(f.done() for f in futures), 60, 'an answer to each call')
        replies = [future.result() for future in futures]
        assert any(reply.success for reply in replies)
        assert all(r.success or r.message.startswith('busy: ') for r in replies)

    def test_transcribe(self, node):
        client, process = node
        caller = client.node.create_client(Transcribe, 'speech/transcribe', qos_profile=DEEP)
        assert caller.wait_for_service(10)
        silence = audio_message(np.zeros(RATE // 10, np.float32))
        futures = [caller.call_async(Transcribe.Request(audio=silence)) for _ in range(BURST)]
        wait_for(lambda: all(f.done() for f in futures), 90, 'an answer to each call')
        transcripts = [future.result().transcript for future in futures]
        assert all('no speech' in transcript.reason for transcript in transcripts)
        ids = [transcript.id for transcript in transcripts]
        assert ids == sorted(ids)  # in the order of their calls

    def test_listen(self, node):
        client, process = node
        listener = GoalClient(
            client.node,
            Listen,
            'speech/listen',
            goal_service_qos_profile=DEEP,
            result_service_qos_profile=DEEP,
        )
        assert listener.wait_for_server(10)
        accepted = [listener.send_goal_async(Listen.Goal()) for _ in range(BURST)]
        wait_for(lambda: all(f.done() for f in accepted), 60, 'the acceptance of each goal')
        handles: list[Any] = [future.result() for future in accepted]
        results = [handle.get_result_async() for handle in handles]
        wait_for(lambda: all(f.done() for f in results), 60, 'a result of each goal')
        statuses = {future.result().status for future in results}
        assert statuses == {GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_ABORTED}
        assert 'Traceback' not in process.log()


def test_every_waiting_call_is_answered_when_the_model_is_unloaded(recording):
    parameters = reading(recording)
    slow: dict[str, Any] = {'model__audio_context_margin': 30.0, 'requests__queue_length': 100}
    with robot(**parameters, **slow) as (client, process):
        client.wait_state('ready')
        minute = np.resize(goforward(), 60 * RATE)
        futures = [client.transcribe(minute, RATE) for _ in range(5)]
        time.sleep(1.0)
        assert client.change_state(Transition.TRANSITION_DEACTIVATE)
        assert client.change_state(Transition.TRANSITION_CLEANUP)
        wait_for(lambda: all(f.done() for f in futures), 10, 'an answer to each call')
        for future in futures:
            transcript = future.result().transcript
            assert transcript.accepted or transcript.outcome == Transcript.OUTCOME_CANCELED
            assert transcript.accepted or 'unloaded' in transcript.reason
        late = client.transcribe(minute, RATE)
        wait_for(late.done, 10, 'an answer')
        assert 'unconfigured, not active' in late.result().transcript.reason
        assert 'NoneType' not in process.log()
        assert 'Traceback' not in process.log()


def test_the_node_leaves_the_graph_and_answers_at_its_end(recording):
    parameters = reading(recording)
    more: dict[str, Any] = {'audio__file_realtime': True, 'utterance__endpointing': False}
    with robot(**parameters, **more) as (client, process):
        client.wait_state('ready')
        record = client.start_trigger('record')
        client.wait_state('waiting', 'hearing')
        assert 'speech_recognizer' in client.node.get_node_names()
        started = time.monotonic()
        assert process.interrupt() == 0
        ended = time.monotonic()
        assert ended - started < 15
        wait_for(record.done, 5, 'the reply')
        assert record.result().message == 'canceled'
        gone = lambda: 'speech_recognizer' not in client.node.get_node_names()  # noqa: E731
        wait_for(gone, 5, 'the departure of the node')
        assert 'Traceback' not in process.log()


class TestGoals:
    def test_two_goals_at_once_both_have_feedback_and_can_be_canceled(self, recording):
        parameters = reading(recording)
        more: dict[str, Any] = {'audio__file_realtime': True, 'utterance__endpointing': False}
        policy: dict[str, Any] = {'requests__policy': 'queue'}
        with robot(**parameters, **more, **policy) as (client, process):
            client.wait_state('ready')
            goals = []
            lock = threading.Lock()

            def send() -> None:
                goal = client.listen()
                with lock:
                    goals.append(goal)

            client.listen().cancel()  # so that the action's client exists
            for _ in range(5):
                goals.clear()
                threads = [threading.Thread(target=send) for _ in range(2)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                wait_for(lambda: all(len(g.feedback) > 2 for g in goals), 10, 'feedback of both')
                for goal in goals:
                    goal.cancel()
                for goal in goals:
                    status, transcript = goal.result(10)
                    assert status == GoalStatus.STATUS_CANCELED
                    assert transcript.outcome == Transcript.OUTCOME_CANCELED
            assert 'Traceback' not in process.log()


def test_the_stamps_come_from_the_nodes_clock(recording):
    """With use_sim_time and a /clock that stands still, nothing stops, and stamps are its."""
    from rosgraph_msgs.msg import Clock

    parameters = reading(recording, use_sim_time=True)
    with robot(**parameters) as (client, process):
        publisher = client.node.create_publisher(Clock, '/clock', 10)
        wait_for(lambda: publisher.get_subscription_count(), 20, 'the subscription')
        message = Clock()
        message.clock.sec = 1000
        publisher.publish(message)
        client.wait_state('ready')
        publisher.publish(message)
        listening = client.listen()
        _, transcript = listening.result()
        assert transcript.accepted
        assert listening.feedback or transcript.processing_time < 1
        assert 900 < transcript.header.stamp.sec <= 1000
        assert 0 < transcript.latency < 60
        future = client.transcribe(goforward(), RATE)
        wait_for(future.done, 30, 'the answer')
        assert future.result().transcript.header.stamp.sec < 5  # after its own stamp, which is 0


def test_a_clock_that_does_not_come_is_logged_once(recording):
    parameters = reading(recording, use_sim_time=True)
    with robot(**parameters) as (client, process):
        client.wait_state('ready')
        wait_for(lambda: 'nothing is published on /clock' in process.log(), 20, 'the line')
        assert client.trigger('record').success
        assert process.log().count('nothing is published on /clock') == 1


def test_two_clients_at_once_are_both_answered(node):
    client, process = node
    surroundings = {'ROS_DOMAIN_ID': str(client.domain)}
    with Client(surroundings) as other:
        futures = [each.start_trigger('record') for each in (client, other) for _ in range(4)]
        wait_for(lambda: all(f.done() for f in futures), 30, 'an answer to each call')
