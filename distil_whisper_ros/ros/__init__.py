"""The ROS nodes: parameters and requests in, messages out."""
