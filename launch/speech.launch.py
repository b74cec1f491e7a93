"""Start the speech recognizer: `ros2 launch distil_whisper_ros speech.launch.py`."""

import os
from pathlib import Path
import re
import sys
import tempfile

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare
from launch_ros.utilities import make_namespace_absolute, prefix_namespace
import yaml

# pyright: reportAttributeAccessIssue=false
from launch import LaunchDescription, Substitution

NAME = 'speech_recognizer'
LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')
ARGUMENTS = {
    # name: (default, description, parameter that it sets)
    'model': ('', 'Whisper checkpoint: a name on the hub, or a folder', 'model.id'),
    'device': ('', 'device for the model: auto, cpu, cuda or cuda:1', 'model.device'),
    'microphone': (
        '',
        'name of the microphone, a part of its name, or its number',
        'microphone.device',
    ),
    'autostart': (
        '',
        'false: you, or a lifecycle manager, configure and activate the node',
        'autostart',
    ),
    'use_sim_time': (
        '',
        "true: the time of messages is a simulator's, from /clock",
        'use_sim_time',
    ),
    'namespace': ('', 'namespace of the node, its topics and its services', None),
    'parameters_file': (
        '',
        'a YAML file of parameters; it is read after config/speech.yaml of the package',
        None,
    ),
    'log_level': ('info', 'debug, info, warn, error or fatal', None),
    'respawn': ('false', 'true: restart the node if it ends by itself', None),
}
SWITCHES = ('autostart', 'use_sim_time', 'respawn')


class PackagedParameters(Substitution):
    """The path of the package's config/speech.yaml."""

    def perform(self, context):
        """Return the path."""
        share = FindPackageShare('distil_whisper_ros').perform(context)
        return str(Path(share, 'config', 'speech.yaml'))


class ParametersFile(Substitution):
    """The path of the user's file of parameters, or the package's if there is none."""

    def perform(self, context):
        """Return the path."""
        given = LaunchConfiguration('parameters_file').perform(context)
        return given or PackagedParameters().perform(context)


class GivenParameters(Substitution):
    """The path of a file of the parameters that arguments set; the others it leaves alone."""

    def perform(self, context):
        """Write the file, and return its path; without arguments, that of the file before it."""
        given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
        values = {
            parameter: switched(name, given[name]) if name in SWITCHES else given[name]
            for name, (_, _, parameter) in ARGUMENTS.items()
            if parameter is not None and given[name]
        }
        if not values:
            return ParametersFile().perform(context)
        # The full name, so that it counts more than a file's entry of this or any other name.
        rules = {full_name(context): {'ros__parameters': values}}
        with tempfile.NamedTemporaryFile('w', prefix='speech_', suffix='.yaml', delete=False) as f:
            f.write(yaml.safe_dump(rules))
        return f.name


class Switch(Substitution):
    """An argument that is true or false."""

    def __init__(self, name):
        """Take the name of the argument."""
        super().__init__()
        self._name = name

    def perform(self, context):
        """Return 'true' or 'false'."""
        given = LaunchConfiguration(self._name).perform(context)
        return str(switched(self._name, given)).lower()


def full_name(context):
    """Return the name of the node with its namespace."""
    outer = context.launch_configurations.get('ros_namespace')
    inner = LaunchConfiguration('namespace').perform(context)
    space = make_namespace_absolute(prefix_namespace(outer, inner)) or ''
    return f'{space.rstrip("/")}/{NAME}'


def switched(name, value):
    """Return whether an argument is true, or raise a ValueError."""
    if value.lower() in ('true', '1', 'yes', 'on'):
        return True
    if value.lower() in ('false', '0', 'no', 'off'):
        return False
    raise ValueError(f'{name} is {value!r}, but must be true or false')


def check(context):
    """Raise a ValueError, which `ros2 launch` prints as one line, if an argument is wrong."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    for name in SWITCHES:
        if given[name]:
            switched(name, given[name])
    if given['log_level'].rpartition(':=')[2].lower() not in LEVELS:
        levels = ', '.join(LEVELS)
        raise ValueError(f'log_level is {given["log_level"]!r}, but must be one of: {levels}')
    if given['parameters_file']:
        path = Path(os.path.expanduser(given['parameters_file']))  # ~nobody stays
        check_file(path, full_name(context))
        context.launch_configurations['parameters_file'] = str(path)


def check_file(path, node):
    """Raise a ValueError if there is no file at `path` with parameters for the node `node`."""
    begin = f'parameters_file is {str(path)!r}'
    try:
        rules = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ValueError(f'{begin}, which cannot be read: {error.strerror}') from None
    except (ValueError, yaml.YAMLError) as error:
        reason = ' '.join(str(error).split())
        raise ValueError(f'{begin}, which is not YAML: {reason}') from None
    names = [*names_in(rules)]
    if not names:
        raise ValueError(
            f'{begin}, which has no "ros__parameters:" under the name of a node: compare it with '
            'config/speech.yaml'
        )
    if not any(matches(name, node) for name in names):
        others = ', '.join(map(repr, names))
        raise ValueError(
            f'{begin}, which has nothing for the node {node!r}, only for {others}: write "/**" or '
            f'"{node}" there'
        )


def names_in(rules, outer=''):
    """Yield the names of nodes in a file of parameters; ROS takes them also in parts."""
    for key, value in rules.items() if isinstance(rules, dict) else ():
        if key == 'ros__parameters':
            yield outer or '/'
        else:
            yield from names_in(value, f'{outer}/{str(key).strip("/")}')


def matches(name, node):
    """Return whether a name in a file, in which * and ** stand for others, is that of a node."""
    pattern = re.escape(name).replace(r'/\*\*', r'(/\w+)*').replace(r'/\*', r'/\w+')
    return re.fullmatch(pattern, node) is not None


def generate_launch_description():
    """Return the description that `ros2 launch` runs."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description, _) in ARGUMENTS.items()
    ]
    node = LifecycleNode(
        package='distil_whisper_ros',
        executable='speech_recognizer',
        name=NAME,
        namespace=LaunchConfiguration('namespace'),
        parameters=[PackagedParameters(), ParametersFile(), GivenParameters()],
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')],
        output='screen',
        emulate_tty=sys.stdout.isatty(),  # colours on a terminal, none in a file
        respawn=Switch('respawn'),
        respawn_delay=2.0,
    )
    return LaunchDescription([*declared, OpaqueFunction(function=check), node])
