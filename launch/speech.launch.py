"""Start the speech recognizer: `ros2 launch distil_whisper_ros speech.launch.py`."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

# pyright: reportAttributeAccessIssue=false
from launch import LaunchDescription

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
    'namespace': ('', 'namespace of the node, its topics and its services', None),
    'parameters_file': ('', 'a YAML file of parameters, as config/speech.yaml', None),
    'log_level': ('info', 'debug, info, warn, error or fatal', None),
    'respawn': ('false', 'true: restart the node if it ends by itself', None),
}


def start(context):
    """Return the node; an argument that is not given does not set its parameter."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    changes = {}
    for name, (_, _, parameter) in ARGUMENTS.items():
        if parameter is not None and given[name]:
            changes[parameter] = given[name]
    if 'autostart' in changes:
        changes['autostart'] = changes['autostart'].lower() in ('true', '1', 'yes')
    parameters = [given['parameters_file']] if given['parameters_file'] else []
    return [
        LifecycleNode(
            package='distil_whisper_ros',
            executable='speech_recognizer',
            name='speech_recognizer',
            namespace=given['namespace'],
            parameters=[*parameters, changes] if changes else parameters,
            arguments=['--ros-args', '--log-level', given['log_level']],
            output='screen',
            emulate_tty=True,
            respawn=given['respawn'].lower() in ('true', '1', 'yes'),
            respawn_delay=2.0,
        )
    ]


def generate_launch_description():
    """Return the description that `ros2 launch` runs."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description, _) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])
