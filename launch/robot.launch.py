"""An example of a robot's bring-up that includes the speech recognizer.

It puts everything into the robot's namespace, renames a topic to the name that other nodes use,
and lets launch configure and activate the node instead of `autostart`.

    ros2 launch distil_whisper_ros robot.launch.py robot:=robot1
"""

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import SetRemap
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState, StateTransition
from launch_ros.substitutions import FindPackageShare
from launch_ros.utilities import make_namespace_absolute, prefix_namespace
from lifecycle_msgs.msg import Transition

# pyright: reportAttributeAccessIssue=false
from launch import LaunchDescription


def manage(context):
    """Return the actions that configure the node, and activate it once that is done."""
    outer = context.launch_configurations.get('ros_namespace')
    robot = LaunchConfiguration('robot').perform(context)
    space = make_namespace_absolute(prefix_namespace(outer, robot))
    name = f'{space.rstrip("/")}/speech_recognizer'

    def change(transition):
        return EmitEvent(
            event=ChangeState(
                lifecycle_node_matcher=lambda node: node.node_name == name,
                transition_id=transition,
            )
        )

    def is_configured(event):
        return (
            isinstance(event, StateTransition)
            and event.action.node_name == name
            and (event.start_state, event.goal_state) == ('configuring', 'inactive')
        )

    activate = change(Transition.TRANSITION_ACTIVATE)
    return [
        RegisterEventHandler(OnStateTransition(matcher=is_configured, entities=[activate])),
        change(Transition.TRANSITION_CONFIGURE),
    ]


def generate_launch_description():
    """Return the description that `ros2 launch` runs."""
    arguments = {
        # name: (default, description)
        'robot': ('robot1', 'name of the robot: its namespace'),
        'model': ('', 'Whisper checkpoint: a name or a folder'),
        'parameters_file': ('', 'a YAML file of parameters'),
        'use_sim_time': ('', "true: the time of messages is a simulator's, from /clock"),
    }
    speech = PathJoinSubstitution(
        [FindPackageShare('distil_whisper_ros'), 'launch', 'speech.launch.py']
    )
    passed = {
        name: LaunchConfiguration(name) for name in ('model', 'parameters_file', 'use_sim_time')
    }
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in arguments.items()
            ),
            GroupAction(
                [
                    SetRemap('speech/text', 'voice_commands'),
                    IncludeLaunchDescription(
                        PythonLaunchDescriptionSource(speech),
                        launch_arguments={
                            **passed,
                            'namespace': LaunchConfiguration('robot'),
                            'autostart': 'false',
                        }.items(),
                    ),
                ]
            ),
            OpaqueFunction(function=manage),
        ]
    )
