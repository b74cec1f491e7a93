"""The node's clock jumps an hour forwards and backwards, in every state; nothing is lost by it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
import re
import threading
import time

from action_msgs.msg import GoalStatus
from distil_whisper_msgs.msg import Transcript
import numpy as np
import pytest
from robot import Client, goforward, RATE, robot, wait_for
from rosgraph_msgs.msg import Clock
import soundfile
from std_msgs.msg import Bool

PACKAGE = Path(__file__).resolve().parents[2] / 'distil_whisper_ros'
START = 1_000_000.0  # s of the simulation's clock
HOUR = 3600.0
STEPS = pytest.mark.parametrize('step', [HOUR, -HOUR])


class SimulatedClock:
    """Publishes /clock 20 times a second, as a robot's clock goes; `step` sets it."""

    def __init__(self, client: Client) -> None:
        self._publisher = client.node.create_publisher(Clock, '/clock', 10)
        self._offset = START - time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @property
    def now(self) -> float:
        return time.monotonic() + self._offset

    def step(self, seconds: float) -> None:
        self._offset += seconds
        self._publish()

    def _publish(self) -> None:
        message, now = Clock(), self.now
        message.clock.sec, message.clock.nanosec = int(now), int(now % 1 * 1e9)
        self._publisher.publish(message)

    def _run(self) -> None:
        while not self._end.wait(0.05):
            self._publish()

    def __enter__(self) -> 'SimulatedClock':
        wait_for(self._publisher.get_subscription_count, 20, 'the subscription to /clock')
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._thread.join()


@dataclass
class Setting:
    """A node, its client, and the clock that both have."""

    client: Client
    clock: SimulatedClock

    def __post_init__(self) -> None:
        self.speaker = self.client.node.create_publisher(Bool, 'robot/speaks', 10)

    def robot_speaks(self, speaks: bool) -> None:
        self.speaker.publish(Bool(data=speaks))
        time.sleep(0.2)


@pytest.fixture(scope='module')
def setting(tmp_path_factory) -> Iterator[Setting]:
    """Run the node with a recording in real time: 1 s of noise, a sentence, 2 s of noise."""
    path = tmp_path_factory.mktemp('recordings') / 'sentence.wav'
    noise = np.random.default_rng(0).normal(0, 3e-4, 3 * RATE)
    soundfile.write(path, np.concatenate([noise[:RATE], goforward(), noise[RATE:]]), RATE)
    parameters = {
        'use_sim_time': True,
        'audio__source': 'file',
        'audio__file': str(path),
        'audio__file_realtime': True,
        'self_speech__topics': ['robot/speaks'],
        'self_speech__tail': 0.3,
    }
    with robot(**parameters) as (client, _), SimulatedClock(client) as clock:
        client.wait_state('ready')
        yield Setting(client, clock)


@pytest.fixture(autouse=True)
def ready(setting):
    setting.client.wait_state('ready')
    setting.client.texts.clear()


def check(setting: Setting, transcript: Transcript, stepped: float = 0.0) -> None:
    """Check that a transcript is that of the sentence, and its times are those of now.

    Or those before the clock was `stepped`.
    """
    assert transcript.accepted, transcript.reason
    assert 'ten meters' in transcript.text.lower() or '10 meters' in transcript.text.lower()
    assert 0 < transcript.latency < 20
    begin = transcript.header.stamp.sec + transcript.header.stamp.nanosec / 1e9
    end = transcript.end_of_speech.sec + transcript.end_of_speech.nanosec / 1e9
    assert 1 < end - begin < 4
    assert any(-1 < setting.clock.now - last - end < 60 for last in (0.0, stepped))


@STEPS
def test_a_request_after_a_step_ends_with_its_text(setting, step):
    setting.clock.step(step)
    status, transcript = setting.client.listen().result()
    assert status == GoalStatus.STATUS_SUCCEEDED
    check(setting, transcript)


@STEPS
def test_a_step_in_each_state_of_a_request(setting, step):
    client = setting.client
    begun = time.monotonic()
    listening = client.listen(wait_for_speech=15.0)
    for state in ('waiting', 'hearing', 'transcribing'):
        wait_for(lambda: client.state == state or listening.done, 20, f'the state {state}')
        setting.clock.step(step)
        step = -step
    status, transcript = listening.result()
    assert status == GoalStatus.STATUS_SUCCEEDED
    check(setting, transcript, -step)  # it may have been stamped before the last step
    assert time.monotonic() - begun > 3  # the recording's beginning and its sentence
    wait_for(lambda: client.texts, 10, 'the text')
    time.sleep(0.2)
    assert len(client.texts) == 1


def test_a_clock_that_jumps_all_the_time(setting):
    listening = setting.client.listen()
    step = HOUR
    while not listening.done:
        setting.clock.step(step)
        step = -step
        time.sleep(0.04)
    if step < 0:
        setting.clock.step(step)
    status, transcript = listening.result()
    assert status == GoalStatus.STATUS_SUCCEEDED
    assert transcript.accepted
    assert 0 < transcript.latency < 20


@STEPS
def test_hands_free(setting, step):
    client = setting.client
    before = len(client.transcripts)
    assert client.switch('hands_free', True).success
    client.wait_state('hearing')
    setting.clock.step(step)
    wait_for(lambda: client.texts, 30, 'the text')
    client.wait_state('ready')  # the recording has ended
    assert len(client.texts) == 1
    check(setting, client.transcripts[before])


@STEPS
def test_muted(setting, step):
    client = setting.client
    assert client.switch('mute', True).success
    client.wait_state('muted')
    setting.clock.step(step)
    reply = client.trigger('record')
    assert not reply.success
    assert 'mute' in reply.message
    assert client.state == 'muted'
    assert client.switch('mute', False).success
    client.wait_state('ready')
    _, transcript = client.listen().result()
    check(setting, transcript)


@STEPS
def test_the_robots_own_voice_is_not_published(setting, step):
    client = setting.client
    setting.robot_speaks(True)
    listening = client.listen(wait_for_speech=4.0)
    time.sleep(0.5)
    setting.clock.step(step)
    _, transcript = listening.result()
    assert not transcript.accepted
    assert client.texts == []
    setting.clock.step(-step)
    setting.robot_speaks(False)
    client.wait_state('ready')
    time.sleep(0.5)  # the tail
    _, transcript = client.listen().result()
    check(setting, transcript)


def test_nothing_that_decides_uses_a_clock_that_can_be_set():
    """Timers and durations are on the steady clock; the wall clock is for people alone."""
    allowed = {
        'time.time()': {'audio/stream_source.py', 'ros/publishers.py'},  # an offset, a file name
        '.create_timer(': {'ros/timers.py'},
        'datetime.now(': set(),
        '.create_rate(': set(),
    }
    for path in PACKAGE.rglob('*.py'):
        text, name = path.read_text(), str(path.relative_to(PACKAGE))
        for use, modules in allowed.items():
            assert use not in text or name in modules, f'{name} has {use}'
        for call in re.findall(r'throttle_duration_sec.*?\)', text, re.DOTALL):
            assert 'throttle_time_source_type' in call, f'{name}: {call}'
