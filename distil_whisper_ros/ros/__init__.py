"""The ROS node: parameters in, messages out. What it does is in the package above."""
