"""Audio messages of other packages: both that are called audio_common_msgs, truly built.

Neither comes as a wheel, so their message definitions are written here, after their repositories
(ros-drivers/audio_common and mgonzs13/audio_common), and built by rosidl as ROS builds them.
"""

from array import array
import os
from pathlib import Path
import subprocess
import sys
import time

import pytest

from distil_whisper_ros.core.settings import settings_from

DRIVERS = {
    'AudioData': 'uint8[] data\n',
    'AudioDataStamped': 'std_msgs/Header header\naudio_common_msgs/AudioData audio\n',
}
MGONZS13 = {
    'AudioData': (
        'float32[] float32_data\nint32[] int32_data\nint16[] int16_data\nint8[] int8_data\n'
        'uint8[] uint8_data\n'
    ),
    'AudioInfo': 'int16 format\nint16 channels\nint32 rate\nint32 chunk\n',
    'Audio': 'AudioData audio_data\nAudioInfo info\n',
    'AudioStamped': 'std_msgs/Header header\naudio_common_msgs/Audio audio\n',
}
CMAKE = """\
cmake_minimum_required(VERSION 3.8)
project(audio_common_msgs)
find_package(ament_cmake REQUIRED)
find_package(std_msgs REQUIRED)
find_package(rosidl_default_generators REQUIRED)
file(GLOB messages RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} msg/*.msg)
rosidl_generate_interfaces(${PROJECT_NAME} ${messages} DEPENDENCIES std_msgs)
ament_package()
"""
PACKAGE = """\
<package format="3"><name>audio_common_msgs</name><version>0.0.0</version>
<description>audio</description><maintainer email="nobody@example.org">nobody</maintainer>
<license>Apache-2.0</license><buildtool_depend>ament_cmake</buildtool_depend>
<build_depend>rosidl_default_generators</build_depend><depend>std_msgs</depend>
<member_of_group>rosidl_interface_packages</member_of_group>
<export><build_type>ament_cmake</build_type></export></package>
"""


@pytest.fixture(scope='module', params=['drivers', 'mgonzs13'])
def overlay(request, tmp_path_factory):
    """Build one of the two packages; return its kind and its setup file."""
    folder = tmp_path_factory.mktemp(request.param)
    source = folder / 'src' / 'audio_common_msgs'
    (source / 'msg').mkdir(parents=True)
    messages = {'drivers': DRIVERS, 'mgonzs13': MGONZS13}[request.param]
    for name, text in messages.items():
        (source / 'msg' / f'{name}.msg').write_text(text)
    (source / 'CMakeLists.txt').write_text(CMAKE)
    (source / 'package.xml').write_text(PACKAGE)
    build = ['colcon', 'build', '--cmake-args', '-DBUILD_TESTING=OFF', '--no-warn-unused-cli']
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    return request.param, folder / 'install' / 'local_setup.bash'


def test_a_person_is_heard_on_another_packages_topic(overlay):
    """The whole: a publisher of that package's messages, the node, the text."""
    kind, setup = overlay
    script = Path(__file__).parent / 'audio_common_talker.py'
    command = f'. {setup} && exec {sys.executable} {script} {kind}'
    done = subprocess.run(
        ['bash', '-c', command], capture_output=True, text=True, timeout=120, env={**os.environ}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == 'Go forward 10 meters.'


def test_a_message_of_another_package_is_told():
    from distil_whisper_ros.core.errors import SettingError
    from distil_whisper_ros.ros.audio_subscriber import message_class

    with pytest.raises(SettingError, match='audio.topic has messages of std_msgs/msg/String'):
        message_class('std_msgs/msg/String')
    with pytest.raises(SettingError, match='that package is not installed here'):
        message_class('audio_common_msgs/msg/AudioData')


def test_our_own_message():
    from distil_whisper_msgs.msg import Audio

    from distil_whisper_ros.ros.audio_subscriber import block

    message = Audio(sample_rate=48_000, channels=2, first_sample=96)
    message.data.extend([100, 200, -300, -400])
    message.earlier.extend([1, 2])
    message.header.stamp.sec = 7
    taken = block(message, settings_from({}))
    assert taken.samples.shape == (2, 2)
    assert (taken.samples * 32768).round().tolist() == [[100, 200], [-300, -400]]
    assert (taken.sample_rate, taken.time, taken.first_sample) == (48_000, 7.0, 96)
    assert taken.earlier is not None
    assert taken.earlier.shape == (1, 2)


@pytest.mark.parametrize(
    ('values', 'field'),
    [
        ({'sample_rate': 0}, 'sample_rate'),
        ({'sample_rate': 1}, 'sample_rate'),
        ({'channels': 0}, 'channels'),
        ({'channels': 3}, 'data'),
        ({'data': array('h')}, 'data'),
        ({'earlier': array('h', [1])}, 'data'),
        ({'data': array('h', bytes(4 * 100_000)), 'sample_rate': 8_000, 'channels': 1}, 'data'),
    ],
)
def test_our_own_message_out_of_its_limits(values, field):
    from distil_whisper_msgs.msg import Audio

    from distil_whisper_ros.core.errors import FormatError
    from distil_whisper_ros.ros.audio_subscriber import block

    good = {'sample_rate': 16_000, 'channels': 2, 'data': array('h', [1, 2, 3, 4])}
    with pytest.raises(FormatError) as error:
        block(Audio(**{**good, **values}), settings_from({}))
    assert str(error.value).startswith(field)


def test_a_topic_of_a_wrong_type_is_told_and_then_heard():
    """The whole: nobody publishes, then another type, then audio."""
    from distil_whisper_msgs.msg import Audio
    from robot import robot, wait_for
    from std_msgs.msg import String

    from distil_whisper_ros.ros.audio_subscriber import QOS

    nobody = 'nobody publishes audio on /audio2: start the executable "microphone"'
    wrong = 'audio.topic has messages of std_msgs/msg/String, but must be distil_whisper_msgs'
    with robot(audio__source='topic', audio__topic='audio2') as (client, process):
        client.wait_state('lost')
        other = client.node.create_publisher(String, 'audio2', 10)
        wait_for(lambda: client.states[-1].detail.startswith(wrong), 20, 'the wrong type')
        assert client.state == 'lost'
        details = [each.detail for each in client.states if each.label == 'lost']
        assert all(each.startswith((nobody, wrong)) for each in details), details
        answer = client.trigger('record')
        assert not answer.success and answer.message.startswith(wrong)
        client.node.destroy_publisher(other)
        wait_for(lambda: client.states[-1].detail.startswith(nobody), 20, 'nobody again')
        publisher = client.node.create_publisher(Audio, 'audio2', QOS)
        sent = 0

        def ready():
            nonlocal sent
            message = Audio(sample_rate=16_000, channels=1, first_sample=sent)
            message.data.extend([100] * 512)
            publisher.publish(message)
            sent += 512
            time.sleep(0.03)
            return client.state == 'ready'

        wait_for(ready, 20, 'the state ready')
        assert process.log().count(wrong) == 1
        assert 'Traceback' not in process.log()


def test_the_topic_is_heard_after_bad_messages_and_faults(monkeypatch):
    """A real publisher: rate 0 between good messages, and a callback that raises."""
    from distil_whisper_msgs.msg import Audio
    import rclpy
    from rclpy.context import Context
    from robot import isolation, wait_for

    from distil_whisper_ros.ros import audio_subscriber as module

    for name, value in isolation().items():
        monkeypatch.setenv(name, value)
    context = Context()
    rclpy.init(context=context, domain_id=int(os.environ['ROS_DOMAIN_ID']))
    node = rclpy.create_node('listener', context=context)
    publisher = node.create_publisher(Audio, 'audio', module.QOS)
    source = module.AudioSubscriber(node, settings_from({}), lambda problem: None)
    sent = 0

    def send(rate=16_000):
        nonlocal sent
        message = Audio(sample_rate=rate, channels=1, first_sample=sent)
        message.data.extend([100] * 512)
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        sent += 512

    def open_after_a_good_message():
        send()
        time.sleep(0.02)
        return source.health().open

    try:
        source.open()
        source.open()
        wait_for(open_after_a_good_message, 20, 'the first message')
        send(rate=0)
        send(rate=1)
        raising = [RuntimeError('a fault in a callback')]
        check = source.check_publisher

        def fails():
            if raising:
                raise raising.pop()
            check()

        monkeypatch.setattr(source, 'check_publisher', fails)
        wait_for(lambda: not raising, 5, 'the fault')
        source.begin()
        heard = []
        wait_for(lambda: send() or heard.append(source.read()) or heard[-1], 5, 'a frame')
        source.close()
        source.close()
        assert not source.health().open
    finally:
        source.close()
        node.destroy_node()
        rclpy.shutdown(context=context)
