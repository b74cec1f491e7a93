"""A room, a node in it, and the way to each of its states."""

from collections.abc import Callable
from dataclasses import dataclass, field
import mmap
import os
from pathlib import Path
import shutil
import struct
import subprocess
import threading
import time
from typing import Any

from distil_whisper_msgs.msg import Audio
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from reliability.checker import captures, Checker
from robot import Client, goforward, RATE, RecognizerProcess, VirtualMicrophone, wait_for
from sounds import speech
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

WORDS = goforward()[int(0.4 * RATE) : int(2.5 * RATE)]
SLOW: dict[str, Any] = {
    'model.audio_context_margin': 30.0,
    'model.beam_width': 16,
    'utterance.speculative': False,
}
USUAL: dict[str, Any] = {
    'model.audio_context_margin': -1.0,
    'model.beam_width': 1,
    'utterance.speculative': True,
    'utterance.end_silence': 0.5,
}
TRANSITIONS = 60.0  # s that a transition may take
BLOCK = 512  # samples
TOPIC_QOS = QoSProfile(depth=500, reliability=ReliabilityPolicy.BEST_EFFORT)  # a microphone's
PRIMARY = ('unconfigured', 'inactive', 'active')


class Preload:
    """The library of faults for a node's process, if there is a compiler; see faults.c."""

    def __init__(self, folder: Path) -> None:
        """Build it in `folder`."""
        self._library, self._shift = folder / 'faults.so', folder / 'clock_shift'
        self._shift.write_bytes(bytes(8))
        compiler = shutil.which('cc')
        self.available = compiler is not None
        if compiler is not None:
            source = Path(__file__).with_name('faults.c')
            command = [compiler, '-O2', '-shared', '-fPIC', '-o', self._library, source, '-ldl']
            subprocess.run(command, check=True)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a node that has these faults."""
        if not self.available:
            return {}
        return {'LD_PRELOAD': str(self._library), 'CLOCK_SHIFT': str(self._shift)}

    def set_clock(self, seconds: int) -> None:
        """Let the node's wall clock be `seconds` ahead of this machine's."""
        with open(self._shift, 'r+b') as file, mmap.mmap(file.fileno(), 8) as page:
            page[:] = struct.pack('q', seconds)


def unprivileged() -> list[str]:
    """Return a launcher without root's right to write everywhere; none where nobody has it."""
    if os.geteuid() or not shutil.which('setpriv'):
        return []
    return ['setpriv', '--bounding-set=-all', '--inh-caps=-all']


class TopicRoom:
    """A room whose microphone is the topic `audio`: what VirtualMicrophone does, without sound."""

    def __init__(self, node: Node, first_sample: int = 0) -> None:
        """Publish the room's noise by `node`; it has published `first_sample` samples already."""
        self._ahead = first_sample
        self._publisher = node.create_publisher(Audio, 'audio', TOPIC_QOS)
        self._noise = np.random.default_rng(0).normal(0, 10 ** (-70 / 20), RATE)
        self._voice = np.empty(0, np.float32)  # what is still to be said
        self._voices = threading.Lock()
        self._plugged, self._ended = True, False
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._thread.start()

    def __enter__(self) -> 'TopicRoom':
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended = True
        self._thread.join()

    def _publish(self) -> None:
        first, begin = 0, time.monotonic()
        while not self._ended:
            with self._voices:
                voice, self._voice = self._voice[:BLOCK], self._voice[BLOCK:]
            samples = self._noise[np.arange(first, first + BLOCK) % RATE]
            samples[: len(voice)] += voice
            if self._plugged:
                message = Audio(sample_rate=RATE, channels=1, first_sample=first + self._ahead)
                message.data.frombytes((samples.clip(-1, 1) * 32767).astype('<i2').tobytes())
                self._publisher.publish(message)
            first += BLOCK
            time.sleep(max(0.0, begin + first / RATE - time.monotonic()))

    def say(self, samples: np.ndarray, wait: bool = True) -> None:
        """Speak, after what is said already."""
        with self._voices:
            self._voice = np.concatenate((self._voice, samples.astype(np.float32)))
        if wait:
            self.quiet()

    def speaking(self) -> bool:
        """Tell whether somebody still speaks."""
        return len(self._voice) > 0

    def hush(self) -> None:
        """Let nobody speak any more."""
        with self._voices:
            self._voice = self._voice[:0]
        self.quiet()

    def quiet(self) -> None:
        """Wait until nobody speaks."""
        while self.speaking():
            time.sleep(0.05)
        time.sleep(0.8)

    def unplug(self) -> None:
        """Publish nothing."""
        self._plugged = False

    def plug_in(self) -> None:
        """Publish again."""
        self._plugged = True


@dataclass
class World:
    """The room, the node and those who watch it."""

    room: VirtualMicrophone | TopicRoom
    client: Client
    process: RecognizerProcess
    checker: Checker
    preload: Preload
    saved: Path
    """The folder of save_audio_directory."""
    speaks: Any
    """Publishes whether the robot itself speaks."""
    changed: set[str] = field(default_factory=set)
    """What a state or a fault has changed and must be put right."""

    def call(self, kind: Any, name: str, request: Any = None, limit: float = 30.0) -> Any:
        """Start a call that must have a reply; return its future."""
        return self.checker.expect(name, self.client.start_call(kind, name, request), limit)

    def record(self) -> Any:
        """Start to record."""
        return self.call(Trigger, 'speech/record')

    def switch(self, name: str, on: bool) -> Any:
        """Switch speech/mute or speech/hands_free, without waiting."""
        return self.call(SetBool, f'speech/{name}', SetBool.Request(data=on))

    def start_transition(self, transition: int) -> Any:
        """Ask for a transition, without waiting."""
        request = ChangeState.Request()
        request.transition.id = transition
        name = 'speech_recognizer/change_state'
        return self.call(ChangeState, name, request, TRANSITIONS)

    def go(self, *transitions: int) -> None:
        """Make transitions, each of which must succeed."""
        for each in transitions:
            assert self.client.change_state(each, TRANSITIONS), each

    def set(self, values: dict[str, Any]) -> None:
        """Set parameters, each of which must be taken."""
        for name, value in values.items():
            assert self.client.set_parameter(name, value) == '', name

    def settle(self) -> str:
        """Wait until no transition is under way; return the lifecycle's state."""
        wait_for(lambda: self.client.lifecycle_state() in PRIMARY, TRANSITIONS, 'a primary state')
        return self.client.lifecycle_state()

    def plug_in(self) -> None:
        """Plug the microphone in, if it is not."""
        if 'unplugged' in self.changed:
            self.room.plug_in()
            self.changed.discard('unplugged')

    def home(self) -> None:
        """Bring the node back to `ready`, from any state."""
        self.plug_in()
        if self.room.speaking():  # a case that failed left a voice
            self.room.hush()
        self.speaks.publish(Bool(data=False))
        lifecycle = self.settle()
        if lifecycle == 'unconfigured':
            self.go(Transition.TRANSITION_CONFIGURE)
        if lifecycle != 'active':
            self.go(Transition.TRANSITION_ACTIVATE)
        self.changed.clear()
        self.set(USUAL)
        for name in ('mute', 'hands_free'):
            assert self.client.switch(name, False).success, name
        while self.client.trigger('cancel').success:
            pass
        self.client.wait_state('ready', timeout=40)


def unconfigured(world: World) -> None:
    world.go(Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)


def loading(world: World) -> None:
    unconfigured(world)
    world.start_transition(Transition.TRANSITION_CONFIGURE)
    world.client.wait_state('loading')


def inactive(world: World) -> None:
    world.go(Transition.TRANSITION_DEACTIVATE)


def ready(world: World) -> None:
    pass


def waiting(world: World) -> None:
    world.record()
    world.client.wait_state('waiting')


def hearing(world: World) -> None:
    waiting(world)
    world.room.say(speech()['librivox/0870'][0], wait=False)
    world.client.wait_state('hearing')


def transcribing(world: World) -> None:
    world.set(SLOW)
    waiting(world)
    world.room.say(WORDS, wait=False)
    world.client.wait_state('transcribing')


def hands_free(world: World) -> None:
    world.switch('hands_free', True)
    world.client.wait_state('waiting')


def muted(world: World) -> None:
    assert world.client.switch('mute', True).success
    assert captures(world.process) == []
    world.client.wait_state('muted')


def self_speech(world: World) -> None:
    world.record()

    def speaks() -> bool:  # again: a node that was just activated may not know the publisher yet
        world.speaks.publish(Bool(data=True))
        time.sleep(0.2)
        return world.client.state == 'self_speech'

    wait_for(speaks, 20, 'the state self_speech')


def lost(world: World) -> None:
    world.changed.add('unplugged')
    world.room.unplug()
    world.client.wait_state('lost')


STATES: tuple[Callable[[World], None], ...] = (
    unconfigured,
    loading,
    inactive,
    ready,
    waiting,
    hearing,
    transcribing,
    hands_free,
    muted,
    self_speech,
    lost,
)
"""Functions that bring a node from `ready` into the state of their name."""


def hears(world: World) -> None:
    """Check that the node hears a sentence, said once, and that nothing was wrong on the way.

    It is `ready`: a device that is being opened again is not a fault.
    """
    world.client.wait_state('ready')
    call = world.record()
    wait_for(lambda: call.done() or world.client.state == 'waiting', 30, 'the state waiting')
    world.room.say(WORDS, wait=False)
    wait_for(call.done, 60, 'the reply')
    reply = call.result()
    heard = reply.success and reply.message.lower().startswith('go forward')
    assert heard, f'a sentence was not heard: {reply}'
    world.checker.check()
