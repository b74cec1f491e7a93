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


def context(name: str, **arguments: str):
    """Return a context with the arguments of a launch file."""
    result = launch.LaunchContext()
    for argument in description(name).get_launch_arguments():
        value = arguments.get(argument.name, argument.default_value[0].text)
        result.launch_configurations[argument.name] = value
    return result


@pytest.mark.parametrize('path', sorted(LAUNCH.glob('*.launch.py')), ids=lambda p: p.name)
def test_every_argument_is_described(path):
    arguments = description(path.name).get_launch_arguments()
    assert arguments
    assert all(argument.description for argument in arguments)


def test_the_node_is_visible_before_the_launch():
    from launch_ros.actions import LifecycleNode

    nodes = [e for e in description('speech.launch.py').entities if isinstance(e, LifecycleNode)]
    assert [node.node_executable for node in nodes] == ['speech_recognizer']


def test_the_file_of_the_package_comes_first_then_the_users_then_arguments(tmp_path):
    from launch_ros.actions import LifecycleNode
    import yaml

    (node,) = (e for e in description('speech.launch.py').entities if isinstance(e, LifecycleNode))
    arguments = {'parameters_file': '/robot.yaml', 'model': '123', 'namespace': 'r1'}
    here = context('speech.launch.py', **arguments)
    # launch_ros has no public name for the parameters of a node.
    files = [str(file.evaluate(here)) for file in vars(node)['_Node__parameters']]
    assert files[0].endswith('share/distil_whisper_ros/config/speech.yaml')
    assert files[1] == '/robot.yaml'
    rules = yaml.safe_load(Path(files[2]).read_text())
    assert rules == {'/r1/speech_recognizer': {'ros__parameters': {'model.id': '123'}}}
    Path(files[2]).unlink()


NAME, INNER = 'speech_recognizer', '{ros__parameters: {autostart: false}}'
OTHER_NODE = "has nothing for the node '/speech_recognizer', only for '/a': write"


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        ({'log_level': 'loud'}, "log_level is 'loud', but must be one of: debug"),
        ({'log_level': 'rcl:=loud'}, "log_level is 'rcl:=loud', but must be one of: debug"),
        ({'autostart': 'maybe'}, "autostart is 'maybe', but must be true or false"),
        ({'parameters_file': '/nowhere'}, "parameters_file is '/nowhere', which cannot be read"),
        ({'parameters_file': '{path}'}, 'which has no "ros__parameters:"'),
        ({'parameters_file': '{path}', 'text': 'x: [a'}, 'which is not YAML: while parsing'),
        ({'parameters_file': '{path}', 'text': 'a: {ros__parameters: {}}'}, OTHER_NODE),
        (
            {'parameters_file': '{path}', 'text': f'{NAME}: {INNER}', 'namespace': 'r1'},
            "has nothing for the node '/r1/speech_recognizer', only for '/speech_recognizer'",
        ),
        (
            {'parameters_file': '{path}', 'text': f'/*: {INNER}', 'namespace': 'r1'},
            "only for '/*'",
        ),
        ({'parameters_file': '{path}', 'text': 'a: "ros__parameters: 1"'}, 'has no "ros__par'),
        *(
            ({'parameters_file': '{path}', 'text': text, 'namespace': space}, '')
            for text, space in (
                (f'{NAME}: {INNER}', ''),
                (f'/**: {INNER}', '/r1/arm'),
                (f'/**/{NAME}: {INNER}', 'r1'),
                (f'/*/{NAME}: {INNER}', 'r1'),
                (f'r1: {{other: {INNER}, {NAME}: {INNER}}}', '/r1'),
                (f'/r1/{NAME}: {INNER}', 'r1/'),
            )
        ),
        ({'log_level': 'speech_recognizer:=debug', 'use_sim_time': 'True'}, ''),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(arguments, reason, tmp_path):
    path = tmp_path / 'robot.yaml'
    path.write_text(arguments.pop('text', 'speech_recognizer: 1'))
    given = {name: value.format(path=path) for name, value in arguments.items()}
    (check,) = (
        e
        for e in description('speech.launch.py').entities
        if isinstance(e, launch.actions.OpaqueFunction)
    )
    if not reason:
        check.execute(context('speech.launch.py', **given))
        return
    with pytest.raises(ValueError) as error:
        check.execute(context('speech.launch.py', **given))
    assert reason in str(error.value)
    assert '\n' not in str(error.value)


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
        'speech_recognizer:\n  ros__parameters:\n    utterance.end_silence: 0.75\n'
        '    microphone.device: USB\n'
    )
    return path


def test_speech_launch_gives_a_listening_node_and_ends_cleanly(launched, parameters):
    import signal

    from robot import Client, MODEL
    from std_srvs.srv import Trigger

    environment, process, log = launched(
        'speech.launch.py',
        f'model:={MODEL}',
        f'parameters_file:={parameters}',
        'device:=cpu',
        'microphone:=2',
    )
    with Client(environment) as client:
        client.wait_state('ready')
        assert client.trigger('record').message.capitalize() == 'Go forward 10 meters.'
        assert client.get_parameter('model.device').string_value == 'cpu'
        # Not a number, and more than the file's entry for just this node.
        assert client.get_parameter('microphone.device').string_value == '2'
        assert client.get_parameter('utterance.end_silence').double_value == 0.75
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        # Others see at once that it is gone.
        service = client.node.create_client(Trigger, 'speech/record')
        assert not service.wait_for_service(1.0)
        assert client.node.count_publishers('speech/text') == 0
    log.seek(0)
    text = log.read()
    assert 'process has finished cleanly' in text
    assert 'Traceback' not in text
    assert '\x1b' not in text  # the log is a file, not a terminal


@pytest.mark.parametrize(
    ('robot', 'outer', 'name'),
    [
        ('r2', None, '/r2/speech_recognizer'),
        ('/r2', None, '/r2/speech_recognizer'),
        ('r2/', None, '/r2/speech_recognizer'),
        ('', None, '/speech_recognizer'),
        ('r2', '/fleet', '/fleet/r2/speech_recognizer'),
    ],
)
def test_robot_launch_finds_its_node(robot, outer, name):
    from types import SimpleNamespace

    here = context('robot.launch.py', robot=robot)
    if outer:
        here.launch_configurations['ros_namespace'] = outer
    (manage,) = (
        e
        for e in description('robot.launch.py').entities
        if isinstance(e, launch.actions.OpaqueFunction)
    )
    _, configure = manage.execute(here)
    matcher = configure.event.lifecycle_node_matcher
    assert matcher(SimpleNamespace(node_name=name))
    assert not matcher(SimpleNamespace(node_name='/r3/speech_recognizer'))


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
            assert heard[0].data.capitalize() == 'Go forward 10 meters.'
            wait_for(future.done, 5, 'the reply')
            assert client.texts == []
