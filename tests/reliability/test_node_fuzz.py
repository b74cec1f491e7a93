"""Random requests to the real node: each has an answer, and the node goes on.

The short form sends 300 requests and takes 50 steps; `make fuzz` (RELIABILITY=full) 20,000 and
10,000. FUZZ_SEED makes the same requests again.
"""

from array import array
from collections.abc import Iterator
import os
import random
import sys
import time
from typing import Any

from distil_whisper_msgs.action import Listen
from distil_whisper_msgs.msg import Audio
from distil_whisper_msgs.srv import Transcribe
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import pytest
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from reliability.checker import Checker
from reliability.world import WORDS
from robot import Client, GoalClient, goforward, RATE, robot, VirtualMicrophone, wait_for
import soundfile
from std_srvs.srv import SetBool, Trigger

from distil_whisper_ros.core.parameter_spec import TakesEffect
from distil_whisper_ros.core.settings import parameter_specs

FULL = os.environ.get('RELIABILITY', 'short') == 'full'
CASES = int(os.environ.get('FUZZ_CASES', '20000' if FULL else '300'))
STEPS = int(os.environ.get('WALK_STEPS', '10000' if FULL else '50'))
SEED = int(os.environ.get('FUZZ_SEED', '1'))
LOOK = 100  # cases after which the node must answer get_state
SENTENCE = 'Go forward 10 meters.'
ODD_TEXTS = (
    '',
    ' ',
    '\x1b[2J',
    'a\nb\r\t',
    '\u202e\u200b',
    '<|endoftext|>',
    '%s%n{}',
    "'; drop",
    '/',
    '🎤' * 50,
    'long ' * 20_000,
)
ODD_NUMBERS = (0.0, -0.0, -1.0, 1e-30, 1e30, float('nan'), float('inf'), float('-inf'), 0.7)
ODD_INTEGERS = (0, 1, -1, 2, 16, 2**31, 2**63 - 1, -(2**63))
RATES = (0, 1, 7_999, 8_000, RATE, 44_100, 384_000, 384_001, 2**32 - 1)


@pytest.fixture(scope='module')
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp('recordings') / 'goforward.wav'
    soundfile.write(path, goforward(), RATE)
    return path


def text(chance: random.Random) -> str:
    if chance.random() < 0.5:
        return chance.choice(ODD_TEXTS)
    return ''.join(chr(chance.randrange(1, 0x2FF)) for _ in range(chance.randrange(20)))


def texts(chance: random.Random) -> list[str]:
    return [text(chance) for _ in range(chance.choice((0, 1, 2, 20)))]


class Fuzz:
    """Sends random requests, and remembers that each must have a reply."""

    def __init__(self, client: Client, checker: Checker, seed: int) -> None:
        self.client, self.checker, self.chance = client, checker, random.Random(seed)
        self.specs = list(parameter_specs())
        qos = QoSProfile(depth=1000)
        self.listener = GoalClient(
            client.node,
            Listen,
            'speech/listen',
            goal_service_qos_profile=qos,
            result_service_qos_profile=qos,
        )
        assert self.listener.wait_for_server(10)

    def call(self, kind: Any, name: str, request: Any, limit: float = 60.0) -> Any:
        """Start a call that must have a reply."""
        future = self.client.start_call(kind, name, request)
        return self.checker.expect(f'{name} with {str(request)[:500]}', future, limit)

    def name(self) -> str:
        known = self.chance.choice(self.specs).name
        odd = ('use_sim_time', 'guard.enabled', known + 'x', known.upper(), text(self.chance))
        return known if self.chance.random() < 0.8 else self.chance.choice(odd)

    def value(self) -> ParameterValue:
        chance = self.chance
        kind = chance.choice((*range(11), 11, 42, 255))
        number = chance.choice((*ODD_NUMBERS, chance.uniform(-2, 20)))
        whole = chance.choice((*ODD_INTEGERS, chance.randrange(-2, 20)))
        length = chance.choice((0, 1, 3, 1000))
        return ParameterValue(
            type=kind,
            bool_value=chance.random() < 0.5,
            integer_value=whole,
            double_value=number,
            string_value=text(chance),
            byte_array_value=[bytes([chance.randrange(256)])] * length,
            bool_array_value=[True] * length,
            integer_array_value=array('q', [whole] * length),
            double_array_value=array('d', [number] * length),
            string_array_value=texts(chance),
        )

    def fitting_value(self, name: str) -> ParameterValue:
        """Return a value in the parameter's type, most often within its limits."""
        spec = next((spec for spec in self.specs if spec.name == name), None)
        if spec is None or spec.takes_effect is not TakesEffect.AT_ONCE:
            return self.value()
        value: Any = spec.default
        if spec.choices:
            value = self.chance.choice(spec.choices)
        elif spec.low is not None and spec.high is not None:
            value = self.chance.uniform(spec.low, spec.high)
            value = value if isinstance(spec.default, float) else int(value)
        elif isinstance(value, bool):
            value = self.chance.random() < 0.5
        return Parameter(name, value=value).to_parameter_msg().value

    def parameters(self) -> Any:
        messages = []
        for _ in range(self.chance.choice((0, 1, 1, 1, 1, 3))):
            name = self.name()
            value = self.fitting_value(name) if self.chance.random() < 0.3 else self.value()
            messages.append(ParameterMessage(name=name, value=value))
        service, kind = self.chance.choice(
            (
                ('set_parameters', SetParameters),
                ('set_parameters_atomically', SetParametersAtomically),
            )
        )
        return self.call(kind, f'speech_recognizer/{service}', kind.Request(parameters=messages))

    def audio(self) -> Audio:
        chance = self.chance
        channels = chance.choice((0, 1, 1, 2, 3, 255))
        length = chance.choice((0, 1, 2, 511, 512, 8_000))
        audio = Audio(sample_rate=chance.choice(RATES), channels=channels)
        audio.header.frame_id = text(chance)
        audio.header.stamp.sec = chance.choice((0, -(2**31), 2**31 - 1))
        audio.header.stamp.nanosec = chance.choice((0, 2**32 - 1))
        audio.data = array('h', [chance.choice((0, 32767, -32768))] * length)
        return audio

    def odd(self, value: Any, usual: Any) -> Any:
        """Return a value in one of four cases, else the usual one."""
        return value if self.chance.random() < 0.25 else usual

    def options(self) -> dict[str, Any]:
        chance = self.chance
        return {
            'language': self.odd(text(chance), ''),
            'task': self.odd(chance.choice(('transcribe', 'translate', text(chance))), ''),
            'prompt': self.odd(text(chance), ''),
            'hotwords': self.odd(texts(chance), []),
            'commands': self.odd(texts(chance), []),
        }

    def transcription(self) -> Any:
        request = Transcribe.Request(audio=self.audio(), **self.options())
        return self.call(Transcribe, 'speech/transcribe', request)

    def goal(self) -> Any:
        """Send a goal; return the future of its result."""
        chance, numbers = self.chance, (*ODD_NUMBERS[:4], *ODD_NUMBERS[5:], float('nan'))
        goal = Listen.Goal(
            start_timeout=self.odd(chance.choice(numbers), 0.0),
            end_silence=self.odd(chance.choice(numbers), 0.0),
            turn_detection=self.odd(text(chance), ''),
            turn_threshold=self.odd(chance.choice(numbers), 0.0),
            max_pause=self.odd(chance.choice(numbers), 0.0),
            max_duration=self.odd(chance.choice(numbers), 0.0),
            partial_results=chance.random() < 0.5,
            **self.options(),
        )
        sent: Any = self.listener.send_goal_async(goal)
        wait_for(sent.done, 30, f'the acceptance of {str(goal)[:500]}')
        result = sent.result().get_result_async()
        return self.checker.expect(f'the result of {str(goal)[:500]}', result, 60.0)

    def restore(self) -> None:
        """Set each parameter that changes at once to its default."""
        for spec in self.specs:
            if spec.takes_effect is TakesEffect.AT_ONCE:
                kind = None if spec.default != [] else Parameter.Type.STRING_ARRAY
                message = Parameter(spec.name, kind, spec.default).to_parameter_msg()
                request = SetParameters.Request(parameters=[message])
                name = 'speech_recognizer/set_parameters'
                result = self.client.call(SetParameters, name, request).results[0]
                assert result.successful, result.reason
        self.client.set_parameter('use_sim_time', False)


@pytest.fixture(scope='module')
def node(recording) -> Iterator[tuple[Client, Checker]]:
    parameters: dict[str, Any] = {'audio__source': 'file', 'audio__file': str(recording)}
    with robot(**parameters, requests__queue_length=50) as (client, process):
        client.wait_state('ready')
        with Checker(client, process) as checker:
            yield client, checker


@pytest.mark.timeout(240 + CASES)
def test_random_requests(node):
    client, checker = node
    fuzz = Fuzz(client, checker, SEED)
    for number in range(1, CASES + 1):
        kind = fuzz.chance.choices(
            (fuzz.parameters, fuzz.transcription, fuzz.goal), (7, 2, 1)
        )[0]  # fmt: skip
        answer = kind()
        wait_for(answer.done, 60, f'the answer of case {number} with seed {SEED}')
        if number % LOOK == 0:
            assert client.lifecycle_state() == 'active', number
            fuzz.restore()
            checker.check()
        if FULL and number % 1000 == 0:
            print(f'{number} of {CASES} cases', file=sys.__stderr__, flush=True)
    fuzz.restore()
    checker.check()
    reply = client.trigger('record')
    assert reply.success and reply.message == SENTENCE, reply


CHANGES = {
    'configure': Transition.TRANSITION_CONFIGURE,
    'activate': Transition.TRANSITION_ACTIVATE,
    'deactivate': Transition.TRANSITION_DEACTIVATE,
    'cleanup': Transition.TRANSITION_CLEANUP,
}


class Walk(Fuzz):
    """Takes random steps over the whole interface, in a room with a microphone."""

    def __init__(
        self, client: Client, checker: Checker, seed: int, room: VirtualMicrophone
    ) -> None:
        super().__init__(client, checker, seed)
        self.room = room

    def step(self) -> str:
        """Take one step without waiting for its reply; return its name."""
        steps = {
            'record': 4,
            'cancel': 2,
            'stop': 2,
            'mute': 2,
            'unmute': 3,
            'hands free': 1,
            'no hands free': 2,
            'listen': 2,
            'transcribe': 2,
            'parameters': 1,
            'activate': 4,
            'deactivate': 1.5,
            'configure': 2,
            'cleanup': 0.7,
            'speak': 1,
        }
        name = self.chance.choices(list(steps), list(steps.values()))[0]
        if name in ('record', 'cancel', 'stop'):
            self.call(Trigger, f'speech/{name}', Trigger.Request())
        elif name in ('mute', 'unmute'):
            self.call(SetBool, 'speech/mute', SetBool.Request(data=name == 'mute'))
        elif name in ('hands free', 'no hands free'):
            on = name == 'hands free'
            self.call(SetBool, 'speech/hands_free', SetBool.Request(data=on))
        elif name == 'listen':
            self.goal()
        elif name == 'transcribe':
            self.transcription()
        elif name == 'parameters':
            self.parameters()
        elif name == 'speak':
            if not self.room.speaking():
                self.room.say(WORDS, wait=False)
        else:
            request = ChangeState.Request()
            request.transition.id = CHANGES[name]
            self.call(ChangeState, 'speech_recognizer/change_state', request)
        return name

    def home(self) -> None:
        """Make the node ready, from any state, on the microphone that it began with."""
        self.room.hush()
        self.client.change_state(CHANGES['deactivate'])
        for spec in self.specs:
            if spec.takes_effect is TakesEffect.ACTIVATE:
                assert self.client.set_parameter(spec.name, spec.default) == '', spec.name
        for change in ('configure', 'activate'):
            self.client.change_state(CHANGES[change])
        assert self.client.lifecycle_state() == 'active'
        assert self.client.switch('mute', False).success
        assert self.client.switch('hands_free', False).success
        while self.client.trigger('cancel').success:
            pass
        self.restore()
        self.client.wait_state('ready')


@pytest.mark.timeout(240 + 2 * STEPS)
def test_a_random_walk(room):
    """The node hears a microphone, so that the checker sees a capture while it is muted."""
    with robot(environment=room.environment) as (client, process):
        client.wait_state('ready')
        with Checker(client, process, room.listeners) as checker:
            walk = Walk(client, checker, SEED, room)
            steps: list[str] = []
            try:
                for number in range(1, STEPS + 1):
                    steps.append(walk.step())
                    # Long enough to come into each state, and often too short for a reply.
                    (pause,) = walk.chance.choices((0.0, 0.05, 0.2, 1.0), (66, 20, 11, 3))
                    time.sleep(pause)
                    if number % 50 == 0:
                        checker.check()
                        walk.restore()  # a wide beam would make all that follows slow
                    if FULL and number % 1000 == 0:
                        print(f'{number} of {STEPS} steps', file=sys.__stderr__, flush=True)
                checker.check()
                walk.home()
                record = client.start_trigger('record')
                client.wait_state('waiting')
                room.say(WORDS, wait=False)
                wait_for(record.done, 30, 'the reply')
                reply = record.result()
                assert reply.success and reply.message.startswith('Go forward'), reply
                assert 'muted' in {state.label for state in client.states}
                checker.check()
            except Exception as error:
                pytest.fail(f'{error}\nseed {SEED}, the last steps: {steps[-30:]}')
