"""The launch files, with launch's own tools, wherever ROS brings them."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

launch = pytest.importorskip(
    'launch', reason='this ROS comes from wheels, which lack launch: needs an installed ROS 2'
)
pytest.importorskip('launch_ros', reason='needs launch_ros: an installed ROS 2')

LAUNCH = Path(__file__).resolve().parents[2] / 'launch'


def description(name: str):
    spec = spec_from_file_location(name.replace('.', '_'), LAUNCH / name)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def entities(name: str, **arguments: str):
    """Return the actions that the launch file makes with these arguments."""
    context = launch.LaunchContext()
    found = []
    for entity in description(name).entities:
        if isinstance(entity, launch.actions.DeclareLaunchArgument):
            value = arguments.get(entity.name)
            context.launch_configurations[entity.name] = (
                value if value is not None else entity.default_value[0].text
            )
        elif isinstance(entity, launch.actions.OpaqueFunction):
            found += entity.execute(context) or []
    return found


@pytest.mark.parametrize('path', sorted(LAUNCH.glob('*.launch.py')), ids=lambda p: p.name)
def test_every_argument_is_described(path):
    arguments = description(path.name).get_launch_arguments()
    assert arguments
    assert all(argument.description for argument in arguments)


def test_one_node_is_started():
    from launch_ros.actions import LifecycleNode

    (node,) = entities('speech.launch.py', model='/models/tiny.en', namespace='robot1')
    assert isinstance(node, LifecycleNode)
    assert node.node_executable == 'speech_recognizer'


RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
path, *words = sys.argv[1:]
arguments = [tuple(word.split(':=')) for word in words]
service = LaunchService(argv=words)
service.include_launch_description(LaunchDescription([
    IncludeLaunchDescription(PythonLaunchDescriptionSource(path), launch_arguments=arguments)]))
sys.exit(service.run())
"""


@pytest.fixture
def launched(tmp_path):
    """Start a launch file as `ros2 launch` does; it is interrupted at the end."""
    import os
    import signal
    import subprocess
    import sys

    from robot import isolation

    running = []

    def start(name: str, *arguments: str, **more: str):
        environment = {**isolation(), **more}
        log = (tmp_path / 'log').open('w+')
        process = subprocess.Popen(
            [sys.executable, '-c', RUN, str(LAUNCH / name), *arguments],
            env={**os.environ, **environment, 'ROS_LOG_DIR': str(tmp_path)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        running.append((process, log))
        return environment, process, log

    yield start
    for process, _ in running:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(30)


@pytest.fixture
def parameters(tmp_path):
    """Write a file of parameters that hears a recording."""
    from robot import goforward, RATE
    import soundfile

    soundfile.write(tmp_path / 'goforward.wav', goforward(), RATE)
    path = tmp_path / 'robot.yaml'
    path.write_text(
        '/**:\n  ros__parameters:\n    audio:\n      source: file\n'
        f'      file: {tmp_path}/goforward.wav\n'
    )
    return path


def test_speech_launch_gives_a_listening_node_and_ends_cleanly(launched, parameters):
    import signal

    from robot import Client, MODEL

    environment, process, log = launched(
        'speech.launch.py', f'model:={MODEL}', f'parameters_file:={parameters}', 'device:=cpu'
    )
    with Client(environment) as client:
        client.wait_state('ready')
        assert client.trigger('record').message == 'Go forward 10 meters.'
        assert client.get_parameter('model.device').string_value == 'cpu'
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    log.seek(0)
    text = log.read()
    assert 'process has finished cleanly' in text
    assert 'Traceback' not in text


def test_robot_launch_renames_and_manages_the_lifecycle(launched):
    from robot import Client, goforward, MODEL, VirtualMicrophone, wait_for
    from std_msgs.msg import String

    with VirtualMicrophone() as room:
        environment, _, _ = launched(
            'robot.launch.py', 'robot:=r2', f'model:={MODEL}', **room.environment
        )
        with Client(environment, namespace='r2') as client:
            heard = []
            client.node.create_subscription(String, 'voice_commands', heard.append, 10)
            client.wait_state('ready')
            future = client.start_trigger('record')
            client.wait_state('waiting')
            room.say(goforward(), wait=False)
            wait_for(lambda: heard, 30, 'the text on the renamed topic')
            assert heard[0].data == 'Go forward 10 meters.'
            wait_for(future.done, 5, 'the reply')
            assert client.texts == []
