"""A node that was stopped for a while, as a laptop that slept, hears the present again."""

import os
import signal
import time

from robot import goforward, robot, wait_for


def test_a_request_does_not_hear_what_was_said_before_it(room):
    with robot(environment=room.environment) as (client, process):
        client.wait_state('ready')
        time.sleep(1)
        os.kill(process.process.pid, signal.SIGSTOP)
        try:
            room.say(goforward())
            time.sleep(3)
        finally:
            os.kill(process.process.pid, signal.SIGCONT)
        future = client.start_trigger('record')
        wait_for(future.done, 20, 'the reply')
        assert not future.result().success, future.result().message
        assert 'no speech was heard' in future.result().message
        future = client.start_trigger('record')
        room.say(goforward(), wait=False)
        wait_for(future.done, 20, 'the reply')
        assert future.result().message.capitalize() == 'Go forward 10 meters.'
