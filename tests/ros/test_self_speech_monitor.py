"""The topics of the robot's own voice: those of another type are told in one sentence."""

from distil_whisper_msgs.msg import RecognizerState
import pytest
import rclpy
from robot import isolation

from distil_whisper_ros.core.errors import SettingError
from distil_whisper_ros.ros.self_speech_monitor import SelfSpeechMonitor


@pytest.fixture
def node(monkeypatch):
    for name, value in isolation().items():
        monkeypatch.setenv(name, value)
    rclpy.init()
    made = rclpy.create_node('speaker')
    made.create_publisher(RecognizerState, 'speech/state', 1)
    yield made
    made.destroy_node()
    rclpy.shutdown()


@pytest.mark.parametrize(
    ('parameter', 'topics', 'text', 'wanted'),
    [
        ('self_speech.topics', ['robot/speaks', 'speech/state'], '', 'std_msgs/msg/Bool'),
        ('self_speech.text_topic', [], 'speech/state', 'std_msgs/msg/String'),
    ],
)
def test_a_topic_of_another_type_is_named(node, parameter, topics, text, wanted):
    with pytest.raises(SettingError) as error:
        SelfSpeechMonitor(node, topics, [], lambda name, speaks: None, text)
    assert str(error.value) == (
        f"{parameter} has 'speech/state', a topic with messages of "
        f'distil_whisper_msgs/msg/RecognizerState, but it must have {wanted}'
    )
