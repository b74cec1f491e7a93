"""The topics of REP-155, with messages of hri_msgs that are truly built.

hri_msgs is no wheel, so its two messages are written here, after ros4hri/hri_msgs, and built by
rosidl as ROS builds them. Versions differ in how they name the language; these have both names.
"""

import json
import os
from pathlib import Path
import subprocess
import sys

import pytest
from robot import robot, wait_for

from distil_whisper_ros.core.errors import SettingError
from distil_whisper_ros.core.settings import settings_from

MESSAGES = {
    'LiveSpeech': (
        'std_msgs/Header header\nstring incremental\nstring final\nfloat64 confidence\n'
        'string locale\nstring language\n'
    ),
    'IdsList': 'std_msgs/Header header\nstring[] ids\n',
}
CMAKE = """\
cmake_minimum_required(VERSION 3.8)
project(hri_msgs)
find_package(ament_cmake REQUIRED)
find_package(std_msgs REQUIRED)
find_package(rosidl_default_generators REQUIRED)
rosidl_generate_interfaces(hri_msgs msg/LiveSpeech.msg msg/IdsList.msg DEPENDENCIES std_msgs)
ament_package()
"""
PACKAGE = """\
<package format="3"><name>hri_msgs</name><version>0.0.0</version>
<description>people</description><maintainer email="nobody@example.org">nobody</maintainer>
<license>Apache-2.0</license><buildtool_depend>ament_cmake</buildtool_depend>
<build_depend>rosidl_default_generators</build_depend><depend>std_msgs</depend>
<member_of_group>rosidl_interface_packages</member_of_group>
<export><build_type>ament_cmake</build_type></export></package>
"""


@pytest.fixture(scope='module')
def overlay(tmp_path_factory) -> Path:
    """Build hri_msgs; return its setup file."""
    folder = tmp_path_factory.mktemp('hri')
    source = folder / 'src' / 'hri_msgs'
    (source / 'msg').mkdir(parents=True)
    for name, text in MESSAGES.items():
        (source / 'msg' / f'{name}.msg').write_text(text)
    (source / 'CMakeLists.txt').write_text(CMAKE)
    (source / 'package.xml').write_text(PACKAGE)
    build = ['colcon', 'build', '--cmake-args', '-DBUILD_TESTING=OFF', '--no-warn-unused-cli']
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    return folder / 'install' / 'local_setup.bash'


def test_a_person_is_heard_where_people_are(overlay):
    script = Path(__file__).parent / 'human_voice_listener.py'
    command = f'. {overlay} && exec {sys.executable} {script}'
    done = subprocess.run(
        ['bash', '-c', command], capture_output=True, text=True, timeout=170, env={**os.environ}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    heard = json.loads(done.stdout.splitlines()[-1])
    voice = ['anonymous_speaker']
    assert heard['tracked'][:4] == [[], voice, [], voice]
    assert heard['late'] == voice
    assert heard['speaking'] == [False, True, False]
    assert heard['partial']  # its subscriber counts as one that reads along
    assert all(text and frame == 'microphone' for text, frame in heard['partial'])
    text, *languages = heard['final']
    assert 'Dashwood' in text
    assert languages == ['en', 'en']
    assert heard['same'] == [True] * 4


def test_a_name_that_is_asked_for_needs_hri_msgs():
    line = "humans.voice is 'visitor', but hri_msgs is not installed"
    with robot(autostart=False, humans__voice='visitor') as (_, process):
        wait_for(lambda: line in process.log(), 20, 'the line')


@pytest.mark.parametrize('voice', ['1st', 'a b', 'Zoé', '/a', 'a' * 65])
def test_a_voice_is_a_part_of_a_topics_name(voice):
    with pytest.raises(SettingError, match='humans.voice is .*, but must be letters'):
        settings_from({'humans.voice': voice})
    settings_from({'humans.voice': ''})
