"""What fails inside rclpy's own callbacks ends nothing, and fills no log."""

import threading
import time

from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition
from robot import goforward, robot, wait_for
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Bool


def test_a_wrong_time_on_the_clock_is_one_line_of_the_log(room):
    with robot(environment=room.environment, use_sim_time=True) as (client, process):
        publisher = client.node.create_publisher(Clock, '/clock', 10)
        wait_for(publisher.get_subscription_count, 20, 'the subscription to /clock')
        client.wait_state('ready')
        for seconds in (-5,) * 30 + (7,):
            publisher.publish(Clock(clock=Time(sec=seconds)))
            time.sleep(0.05)  # its queue holds one
        wait_for(lambda: 'on /clock cannot be used' in process.log(), 20, 'the line')
        future = client.start_trigger('record')
        room.say(goforward(), wait=False)
        wait_for(future.done, 30, 'the reply')
        assert future.result().message == 'Go forward 10 meters.'
        assert process.log().count('on /clock cannot be used') == 1
        assert 'Traceback' not in process.log()


def test_messages_that_come_while_their_subscription_goes_are_no_failure(room):
    names = ['a', 'b']
    with robot(environment=room.environment, self_speech__topics=names) as (client, process):
        client.wait_state('ready')
        ended = threading.Event()
        publishers = [client.node.create_publisher(Bool, name, 10) for name in names]

        def publish() -> None:
            while not ended.wait(0.003):
                for publisher in publishers:
                    publisher.publish(Bool(data=False))

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            for _ in range(60):
                assert client.change_state(Transition.TRANSITION_DEACTIVATE)
                assert client.change_state(Transition.TRANSITION_ACTIVATE)
        finally:
            ended.set()
            thread.join()
        assert 'Traceback' not in process.log()
