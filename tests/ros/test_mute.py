"""Privacy: while the node is muted, no process that captures the microphone exists."""

import os
from pathlib import Path
import signal
import subprocess
import threading
import time

from lifecycle_msgs.msg import Transition
import pytest
from robot import robot, wait_for
from std_srvs.srv import SetBool

CAPTURE = 'distil_whisper_ros.audio.capture_process'


def captures(process) -> list[str]:
    """Return the node's processes that capture the microphone and are alive."""
    command = ['pgrep', '-P', str(process.process.pid), '-f', CAPTURE]
    found = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return [pid for pid in found if alive(pid)]


def alive(pid: str) -> bool:
    try:
        return Path('/proc', pid, 'stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


def switch(client, muted: bool):
    return client.call(SetBool, 'speech/mute', SetBool.Request(data=muted), timeout=60)


@pytest.fixture(scope='module')
def listening(room):
    with robot(environment=room.environment) as (client, process):
        client.wait_state('ready')
        yield client, process


def test_no_order_of_calls_leaves_a_capture_process(listening):
    client, process = listening
    assert len(captures(process)) == 1
    for _ in range(10):
        assert switch(client, True).success
        assert captures(process) == []
        replies = []
        calls = [
            threading.Thread(target=lambda: replies.append(switch(client, False)))
            for _ in range(2)
        ]
        for call in calls:
            call.start()
        for call in calls:
            call.join()
        assert all(reply.success for reply in replies)
        assert len(captures(process)) == 1
        assert switch(client, True).success
        assert captures(process) == []
        client.wait_state('muted')
    assert switch(client, True).message == 'the microphone is closed'  # again: no change
    assert switch(client, False).success
    client.wait_state('ready')
    assert 'Traceback' not in process.log()


def test_mute_outlives_deactivate_and_cleanup(listening):
    client, process = listening
    client.wait_state('ready')
    assert switch(client, True).success
    assert client.change_state(Transition.TRANSITION_DEACTIVATE)
    assert client.change_state(Transition.TRANSITION_ACTIVATE)
    client.wait_state('muted')
    assert captures(process) == []
    assert client.change_state(Transition.TRANSITION_DEACTIVATE)
    assert client.change_state(Transition.TRANSITION_CLEANUP)
    assert client.change_state(Transition.TRANSITION_CONFIGURE)
    assert client.change_state(Transition.TRANSITION_ACTIVATE)
    client.wait_state('muted')
    assert captures(process) == []
    assert 'speech/mute' in client.trigger('record').message
    assert switch(client, False).message == 'the microphone is open'
    client.wait_state('ready')
    assert len(captures(process)) == 1


def test_an_inactive_node_accepts_mute(listening):
    client, process = listening
    client.wait_state('ready')
    assert client.change_state(Transition.TRANSITION_DEACTIVATE)
    client.wait_state('inactive')
    assert switch(client, True).success
    assert client.change_state(Transition.TRANSITION_ACTIVATE)
    client.wait_state('muted')
    assert captures(process) == []
    assert client.change_state(Transition.TRANSITION_DEACTIVATE)
    assert switch(client, False).message == 'the microphone opens when the node is activated'
    assert captures(process) == []
    assert client.change_state(Transition.TRANSITION_ACTIVATE)
    client.wait_state('ready')
    assert len(captures(process)) == 1


def test_mute_at_start_and_while_loading(room):
    with robot(environment=room.environment, mute__at_start=True) as (client, process):
        client.wait_state('loading')
        assert switch(client, False).success
        assert switch(client, True).success
        client.wait_state('muted')
        assert captures(process) == []
        assert 'can change only at the start' in client.set_parameter('mute.at_start', False)
        assert client.set_parameter('mute.at_start', True) == ''  # as it is
        assert switch(client, False).success
        client.wait_state('ready')
        wait_for(lambda: len(captures(process)) == 1, 5, 'the microphone')


def test_a_wrong_value_of_at_start_mutes(room):
    with robot(environment=room.environment, mute__at_start='yes') as (client, process):
        client.wait_state('muted')
        assert captures(process) == []


def test_mute_does_not_wait_for_an_unmute_that_hangs(room):
    """The sound server does not answer, so opening the microphone takes until its limit."""
    with robot(environment=room.environment, mute__at_start=True) as (client, process):
        client.wait_state('muted')
        server = room._server.pid
        os.kill(server, signal.SIGSTOP)
        try:
            request = SetBool.Request(data=False)
            unmutes = [client.start_call(SetBool, 'speech/mute', request) for _ in range(2)]
            time.sleep(1.5)
            assert not any(each.done() for each in unmutes)
            mute = client.start_call(SetBool, 'speech/mute', SetBool.Request(data=True))
            wait_for(mute.done, 1.5, 'the reply to mute')
            assert mute.result().success
            client.wait_state('muted')
            wait_for(lambda: not captures(process), 1, 'the end of the capture process')
            wait_for(lambda: all(each.done() for each in unmutes), 1, 'the replies to unmute')
            assert not any(each.result().success for each in unmutes)
            reasons = {each.result().message for each in unmutes}
            assert 'the microphone stays closed: it was muted again meanwhile' in reasons
        finally:
            os.kill(server, signal.SIGCONT)
        assert switch(client, False).success
        client.wait_state('ready')
        assert 'Traceback' not in process.log()
