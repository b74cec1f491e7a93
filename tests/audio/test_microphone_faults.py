"""Faults that no real microphone shows on demand, with a capture process that a test writes."""

import errno
import json
import os
from pathlib import Path
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from robot import wait_for

from distil_whisper_ros.audio import microphone as module
from distil_whisper_ros.audio.buffered_source import BufferedSource
from distil_whisper_ros.audio.capture_process import BLOCK, FAILED, HEADER, OPENED
from distil_whisper_ros.audio.microphone import Microphone
from distil_whisper_ros.core.audio_format import Frame, FRAME_LENGTH
from distil_whisper_ros.core.errors import DeviceError
from distil_whisper_ros.core.settings import MicrophoneSettings

PACKAGE = Path(module.__file__).parents[2]
GOOD = json.dumps({'name': 'fake', 'sample_rate': 16_000, 'channels': 1}).encode()
NOISE = (np.arange(FRAME_LENGTH, dtype=np.float32) / 1e4).tobytes()
# Writes its arguments, messages in hexadecimal, and then a block each 32 ms until it is ended.
SCRIPT = f"""
import os, sys, threading, time
from distil_whisper_ros.audio.capture_process import BLOCK, HEADER, end_with_parent
threading.Thread(target=end_with_parent, daemon=True).start()
for argument in sys.argv[1:]:
    os.write(1, bytes.fromhex(argument))
while True:
    noise = bytes.fromhex('{NOISE.hex()}')
    os.write(1, HEADER.pack(BLOCK, time.monotonic(), 0, len(noise)) + noise)
    time.sleep(0.032)
"""


def message(kind: bytes, payload: bytes = b'', seconds: float = 0.0, length: int | None = None):
    """Return a message as the capture process writes it."""
    size = len(payload) if length is None else length
    return HEADER.pack(kind, seconds, 0, size) + payload


WORKING = (message(OPENED, GOOD),)


class Processes:
    """Stands in for `start`: each start takes the next script, and the last one stays."""

    def __init__(self, *scripts) -> None:
        self.scripts = list(scripts)
        self.children: list[subprocess.Popen] = []

    def __call__(self, _settings):
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        if isinstance(script, Exception):
            raise script
        child = subprocess.Popen(
            [sys.executable, '-c', SCRIPT, *(part.hex() for part in script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, 'PYTHONPATH': str(PACKAGE)},
        )
        self.children.append(child)
        return child


@pytest.fixture
def made(monkeypatch):
    """Make microphones whose capture processes follow scripts; close them at the end."""
    sources = []

    def make(*scripts, on_change=None):
        processes, told = Processes(*scripts), []
        monkeypatch.setattr(module, 'start', processes)
        source = Microphone(MicrophoneSettings(reopen_period=0.1), on_change or told.append)
        sources.append(source)
        return source, processes, told

    yield make
    for source in sources:
        source.close()


def no_process() -> OSError:
    return OSError(errno.EAGAIN, 'Resource temporarily unavailable')


BAD = {
    'no JSON': (message(OPENED, b'not JSON'),),
    'JSON of another kind': (message(OPENED, b'[1, 2]'), message(BLOCK, NOISE)),
    'a field is missing': (message(OPENED, b'{"name": "fake"}'), message(BLOCK, NOISE)),
    'rate 0': (message(OPENED, b'{"name": "x", "sample_rate": 0, "channels": 1}'),),
    'rate as text': (message(OPENED, b'{"name": "x", "sample_rate": "a", "channels": 1}'),),
    'no channels': (message(OPENED, b'{"name": "x", "sample_rate": 16000, "channels": 0}'),),
    'too many channels': (
        message(OPENED, b'{"name": "x", "sample_rate": 16000, "channels": 65}'),
    ),
    'a block before the format': (message(BLOCK, NOISE),),
    'no whole samples': (*WORKING, message(BLOCK, b'12345')),
    'no whole block': (
        message(OPENED, b'{"name": "x", "sample_rate": 16000, "channels": 7}'),
        message(BLOCK, NOISE),
    ),
    'an empty block': (*WORKING, message(BLOCK)),
    'a length of gigabytes': (*WORKING, message(BLOCK, length=2**32 - 1)),
    'an unknown message': (*WORKING, message(b'?')),
    'a failure without a word': (message(FAILED),),
    'a failure in another encoding': (message(FAILED, b'the caf\xe9 is closed'),),
}


@pytest.mark.parametrize('script', BAD.values(), ids=BAD.keys())
def test_open_tells_at_once_that_the_capture_process_sent_nonsense(made, script):
    source, processes, _ = made(script)
    began = time.monotonic()
    with pytest.raises(DeviceError) as error:
        source.open()
    assert time.monotonic() - began < 10
    assert len(str(error.value)) > 10
    assert '\n' not in str(error.value)
    assert [child.poll() is not None for child in processes.children] == [True]


@pytest.mark.parametrize('name', [name for name in BAD if name != 'a block before the format'])
def test_nonsense_later_is_told_and_the_microphone_comes_back(made, name):
    source, _, told = made((*WORKING, message(BLOCK, NOISE), *BAD[name]), WORKING)
    source.open()
    wait_for(lambda: source.health().restarts and source.health().open, 20, 'its return')
    source.begin()
    frames = [source.read() for _ in range(20)]
    assert any(frame is not None for frame in frames)
    assert told[0] and told[-1] == ''


def test_open_tells_at_once_that_no_process_can_be_started(made):
    source, _, _ = made(no_process())
    began = time.monotonic()
    with pytest.raises(DeviceError, match='Resource temporarily unavailable'):
        source.open()
    assert time.monotonic() - began < 5


def test_a_process_that_cannot_be_started_again_is_told_and_tried_again(made):
    source, processes, told = made(WORKING, no_process(), no_process(), WORKING)
    source.open()
    source.begin()
    processes.children[0].kill()
    with pytest.raises(DeviceError):
        for _ in range(100):
            source.read()
    wait_for(lambda: source.health().open, 20, 'the return of the microphone')
    assert source.health().restarts >= 3
    assert told[-1] == ''
    assert all(told[:-1])


def test_an_observer_that_fails_does_not_end_the_thread(made):
    def fails(problem):
        raise RuntimeError('the observer fails')

    source, processes, _ = made(WORKING, on_change=fails)
    source.open()
    processes.children[0].kill()
    wait_for(lambda: source.health().restarts and source.health().open, 20, 'a new process')


def test_opening_and_closing_twice(made):
    source, processes, _ = made(WORKING)
    source.close()
    source.open()
    source.open()
    assert len(processes.children) == 1
    source.close()
    source.close()
    assert processes.children[0].poll() is not None
    source.open()
    assert source.health().open


def test_two_that_open_at_once_start_one_process(made):
    source, processes, _ = made(WORKING)
    threads = [threading.Thread(target=source.open) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(processes.children) == 1
    source.close()
    assert processes.children[0].poll() is not None


def test_close_interrupts_an_open_that_waits(made):
    silent = (message(OPENED, GOOD, length=len(GOOD) + 1000),)  # its end never comes
    source, processes, _ = made(silent)
    processes.scripts = [silent]
    errors = []

    def opens():
        try:
            source.open()
        except DeviceError as error:
            errors.append(str(error))

    stopped = threading.Thread(target=opens)
    stopped.start()
    wait_for(lambda: processes.children, 5, 'the start')
    os.kill(processes.children[0].pid, signal.SIGSTOP)
    began = time.monotonic()
    source.close()
    stopped.join(5)
    assert not stopped.is_alive()
    assert time.monotonic() - began < 5
    assert errors and errors[0]
    assert processes.children[0].poll() is not None


def test_no_process_is_left_whoever_opens_and_closes_when(made):
    source, processes, _ = made(WORKING)
    until = time.monotonic() + 6

    def play(seed):
        chance = random.Random(seed)
        while time.monotonic() < until:
            try:
                chance.choice((source.open, source.close))()
            except DeviceError as error:
                assert str(error)
            time.sleep(chance.random() * 0.05)

    threads = [threading.Thread(target=play, args=(seed,)) for seed in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    source.close()
    assert processes.children
    assert all(child.returncode is not None for child in processes.children)
    assert not children_of(os.getpid()) & {child.pid for child in processes.children}
    names = [thread.name for thread in threading.enumerate()]
    assert 'microphone' not in names


def children_of(parent: int) -> set[int]:
    """Return the process numbers of a process's children, from /proc."""
    found = set()
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            fields = (folder / 'stat').read_text().rpartition(')')[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.add(int(folder.name))
    return found


def test_a_listener_of_a_source_that_delivers_nothing_is_told():
    source = BufferedSource('silent', 0.5, lambda problem: None)
    source.set_working()
    source.begin()
    began = time.monotonic()
    with pytest.raises(DeviceError, match='no audio'):
        while time.monotonic() - began < 20:
            assert source.read() is None
    source.add_frames([Frame(np.zeros(FRAME_LENGTH, np.float32), time.monotonic())])
    assert source.read() is not None


def test_a_reader_that_waits_for_several_frames_gets_them_all():
    source = BufferedSource('slow', 0.5, lambda problem: None)
    source.set_working()
    source.begin()
    frame = Frame(np.full(FRAME_LENGTH, 0.1, np.float32), time.monotonic())
    timer = threading.Timer(0.02, source.add_frames, [[frame]])
    timer.start()
    began = time.monotonic()
    assert source.read(4) is frame  # alone it comes, too, only later
    assert time.monotonic() - began >= 0.19
    source.add_frames([frame] * 4)
    began = time.monotonic()
    assert [source.read(4) for _ in range(4)] == [frame] * 4
    assert time.monotonic() - began < 0.19


def test_the_capture_process_dies_with_its_parent_even_when_it_is_stopped(room):
    """A stopped process does not see that its standard input ended; the kernel must kill it."""
    code = """
import sys, time
from distil_whisper_ros.audio.microphone import Messages, start
from distil_whisper_ros.core.settings import MicrophoneSettings
child = start(MicrophoneSettings())
Messages(child).receive(20)
print(child.pid, flush=True)
time.sleep(100)
"""
    environment = {**os.environ, **room.environment, 'PYTHONPATH': str(PACKAGE)}
    parent = subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, env=environment, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        os.kill(child, signal.SIGSTOP)
        parent.kill()
        parent.wait()
        wait_for(lambda: gone(child), 5, 'the end of the stopped process')
    finally:
        if not gone(child):
            os.kill(child, signal.SIGKILL)


def gone(process: int) -> bool:
    """Return whether a process ended; one that nobody waited for counts."""
    try:
        state = Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[0]
    except OSError:
        return True
    return state in 'ZX'
