"""The command-line tools: ROS executables and console scripts."""
