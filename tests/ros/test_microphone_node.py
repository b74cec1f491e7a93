"""The executable "microphone": it survives faults; its stamps are of the node's clock."""

from contextlib import contextmanager
from dataclasses import replace
import threading
import time
from types import SimpleNamespace

from distil_whisper_msgs.msg import Audio
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from robot import goforward, isolation, wait_for
import soundfile

from distil_whisper_ros.audio import file_source
from distil_whisper_ros.audio.file_source import FileSource
from distil_whisper_ros.core.errors import DeviceError
from distil_whisper_ros.core.types import State
from distil_whisper_ros.ros import microphone_node as module
from distil_whisper_ros.ros.heartbeat import VARIABLE


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


def test_a_container_sees_whether_it_works(ros, monkeypatch, tmp_path):
    path = tmp_path / 'health'
    monkeypatch.setenv(VARIABLE, str(path))
    node = module.MicrophoneNode()
    try:
        wait_for(lambda: len(ros) > 5, 20, 'audio')
        assert path.read_text().split(' ')[1:] == ['ok', 'ready\n']
        node._on_change('no microphone\nhere')
        assert node._health() == (State.LOST, 'no microphone\\nhere')
    finally:
        node.close()
        node.destroy_node()


@contextmanager
def running():
    """Yield a node, which ends at the end."""
    node = module.MicrophoneNode()
    try:
        yield node
    finally:
        node.close()
        node.destroy_node()


def test_a_container_sees_that_a_microphone_which_was_missing_works_now(ros, monkeypatch):
    make, missing = module.MicrophoneNode._make, threading.Event()
    missing.set()

    def plugged_in_later(self):
        if missing.is_set():
            raise DeviceError('no microphone')
        return make(self)

    monkeypatch.setattr(module.MicrophoneNode, '_make', plugged_in_later)
    with running() as node:
        wait_for(lambda: node._health() == (State.LOST, 'no microphone'), 20, 'the problem')
        missing.clear()
        wait_for(lambda: len(ros) > 5, 20, 'audio')
        assert node._health() == (State.READY, '')


def test_what_is_odd_about_a_recording_is_no_fault_of_it(ros, monkeypatch):
    monkeypatch.setattr(file_source, 'noticed', lambda *_: 'its samples are floats')
    with running() as node:
        wait_for(lambda: len(ros) > 5, 20, 'audio')
        assert node._health() == (State.READY, '')


def test_the_log_has_no_control_characters_and_no_endless_lines(ros, monkeypatch):
    told = []
    name = 'a\x1b[31m\nb' + 'x' * 100_000
    monkeypatch.setattr(
        module.MicrophoneNode,
        'get_logger',
        lambda self: SimpleNamespace(info=told.append, warn=told.append),
    )
    open_ = FileSource.open
    fails = [DeviceError(name), RuntimeError(name)]

    def failing(self):
        if fails:
            raise fails.pop()
        open_(self)

    health = FileSource.health
    monkeypatch.setattr(FileSource, 'open', failing)
    monkeypatch.setattr(FileSource, 'health', lambda self: replace(health(self), name=name))
    node = module.MicrophoneNode()
    try:
        wait_for(lambda: len(ros) > 5, 20, 'audio')
        assert len(told) >= 3
        for line in told:
            assert line.isprintable() and len(line) < 700
        assert '"a\\x1b[31m\\nbxxx' in told[2]
    finally:
        node.close()
        node.destroy_node()
