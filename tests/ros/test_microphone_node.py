"""The executable "microphone": it survives faults; its stamps are of the node's clock."""

import threading
import time

from distil_whisper_msgs.msg import Audio
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from robot import goforward, isolation, wait_for
import soundfile

from distil_whisper_ros.ros import microphone_node as module


@pytest.fixture
def ros(monkeypatch, tmp_path):
    """Start ROS with a recording as the source; yield a list that gets the messages."""
    for name, value in isolation().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(module, 'RETRY_PERIOD', 0.2)
    path = tmp_path / 'a.wav'
    soundfile.write(path, goforward()[:16_000], 16_000)
    parameters = ('-p', 'audio.source:=file', '-p', f'audio.file:={path}')
    rclpy.init(args=['--ros-args', *parameters])
    listener, heard = rclpy.create_node('listener'), []
    listener.create_subscription(Audio, 'audio', heard.append, module.QOS)
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    ended = threading.Event()

    def spin():
        while not ended.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin)
    thread.start()
    yield heard
    ended.set()
    thread.join()
    listener.destroy_node()
    rclpy.shutdown()


def test_faults_are_told_and_it_goes_on_with_stamps_of_the_clock(ros, monkeypatch):
    faults = [RuntimeError('a fault'), OSError('another fault'), MemoryError()]
    make, told = module.MicrophoneNode._make, []

    def failing(self):
        if faults:
            raise faults.pop(0)
        return make(self)

    on_change = module.MicrophoneNode._on_change
    monkeypatch.setattr(module.MicrophoneNode, '_make', failing)
    monkeypatch.setattr(
        module.MicrophoneNode,
        '_on_change',
        lambda self, problem: (told.append(problem), on_change(self, problem)),
    )
    node = module.MicrophoneNode()
    try:
        wait_for(lambda: len(ros) > 20, 20, 'audio')
        now = time.time()
        stamps = [each.header.stamp.sec + each.header.stamp.nanosec / 1e9 for each in ros]
        assert all(-1 < now - stamp < 20 for stamp in stamps)
        assert stamps == sorted(stamps)
        assert told[:3] == [
            'publishing failed: RuntimeError: a fault',
            'publishing failed: OSError: another fault',
            'publishing failed: MemoryError: ',
        ]
    finally:
        node.close()
        node.destroy_node()
    assert not node._thread.is_alive()
