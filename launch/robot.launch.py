"""An example of a robot's bring-up that includes the speech recognizer.

It puts everything into the robot's namespace, renames a topic to the name that other nodes use,
and lets launch configure and activate the node instead of `autostart`.

    ros2 launch distil_whisper_ros robot.launch.py robot:=robot1
"""

from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleTransition, SetRemap
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

# pyright: reportAttributeAccessIssue=false
from launch import LaunchDescription


def generate_launch_description():
    """Return the description that `ros2 launch` runs."""
    robot, model = LaunchConfiguration('robot'), LaunchConfiguration('model')
    speech = PathJoinSubstitution(
        [FindPackageShare('distil_whisper_ros'), 'launch', 'speech.launch.py']
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'robot', default_value='robot1', description='name of the robot: its namespace'
            ),
            DeclareLaunchArgument(
                'model', default_value='', description='Whisper checkpoint: a name or a folder'
            ),
            GroupAction(
                [
                    SetRemap('speech/text', 'voice_commands'),
                    IncludeLaunchDescription(
                        PythonLaunchDescriptionSource(speech),
                        launch_arguments={
                            'namespace': robot,
                            'model': model,
                            'autostart': 'false',
                        }.items(),
                    ),
                ]
            ),
            LifecycleTransition(
                lifecycle_node_names=[['/', robot, '/speech_recognizer']],
                transition_ids=[
                    Transition.TRANSITION_CONFIGURE,
                    Transition.TRANSITION_ACTIVATE,
                ],
            ),
        ]
    )
