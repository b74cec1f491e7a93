"""The ROS nodes: parameters and requests in, messages out.

numpy starts threads as soon as it is imported, and a thread's heap stays for ever: the choice of
one heap comes first.
"""

from ..core.memory import share_one_heap

share_one_heap()
