"""A node that was started twice says so."""

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.utilities import try_shutdown
from robot import isolation, wait_for

from distil_whisper_ros.ros.twins import LINGERING, TwinWatch


@pytest.fixture
def start():
    context = Context()
    rclpy.init(context=context, domain_id=int(isolation()['ROS_DOMAIN_ID']))
    nodes = []  # a node without a reference is destroyed

    def make(name, namespace='robot'):
        nodes.append(Node(name, namespace=namespace, context=context))
        return nodes[-1]

    yield make
    try_shutdown(context=context)


def test_a_second_node_of_the_same_name_is_one_line_of_the_log(start, monkeypatch):
    node, now, lines = start('speech_recognizer'), [100.0], []
    monkeypatch.setattr(node.get_logger(), 'warn', lines.append)
    monkeypatch.setattr(node, 'get_logger', lambda logger=node.get_logger(): logger)
    watch = TwinWatch(node, lambda: now[0])
    start('speech_recognizer', 'another_robot')
    start('client')
    wait_for(lambda: len(node.get_node_names()) == 3, 10, 'the discovery of the others')

    def look_for(seconds):
        for _ in range(int(seconds)):
            watch.look()
            now[0] += 1.0

    look_for(2 * LINGERING)
    assert lines == []  # of other names
    twin = start('speech_recognizer')
    wait_for(lambda: len(node.get_node_names()) == 4, 10, 'the discovery of the twin')
    look_for(LINGERING)
    assert lines == []  # it may be one that was killed
    look_for(2 * LINGERING)
    (line,) = lines
    assert line.startswith('another node is called /robot/speech_recognizer too: ')
    twin.destroy_node()
    wait_for(lambda: len(node.get_node_names()) == 3, 20, 'the end of the twin')
    look_for(2 * LINGERING)
    assert len(lines) == 1
