"""A robot on this machine: a microphone without a sound card, the node, and a client of it.

Used by `make run`, the tests and the benchmarks; everything in it is real (PulseAudio, PortAudio,
DDS, the node in its own process) but the room, which is a loudspeaker's monitor.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
import fcntl
import io
import os
from pathlib import Path
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from distil_whisper_msgs.action import Listen
from distil_whisper_msgs.msg import Audio, RecognizerState, Transcript
from distil_whisper_msgs.srv import Transcribe
from lifecycle_msgs.srv import ChangeState, GetState
import numpy as np
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
import rclpy
from rclpy.action.client import ActionClient
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.utilities import try_shutdown
import soundfile
import soxr
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / 'models' / 'tiny.en'
TURN_MODEL = ROOT / 'models' / 'smart-turn-v3'
RECORDINGS = Path('/usr/share/pocketsphinx/test/data')
RATE = 16_000
# Each robot gets another domain: two that are alive must not hear each other. Ports of the domains
# above 101 are those that the system gives to any program.
DOMAINS = range(1, 102)
AT_REST = 12  # domains of this process that have ended, before the first one is used again
DOMAIN_LOCKS = Path(tempfile.gettempdir()) / 'distil_whisper_ros_domains'


class Domains:
    """ROS domains that no other test or benchmark on this machine uses: each is a locked file."""

    def __init__(self, locks: Path = DOMAIN_LOCKS) -> None:
        """`locks` is the folder of the files."""
        self._locks, self._one_at_a_time = locks, threading.Lock()
        self._free = random.SystemRandom().sample(DOMAINS, len(DOMAINS))
        self._ended: list[int] = []  # locked by this process, the oldest first

    def take(self) -> int:
        """Return a domain, which is this process's until it ends; raise RuntimeError for none."""
        with self._one_at_a_time:
            domain = self._lock_one() if len(self._ended) < AT_REST else None
            if domain is None and self._ended:
                domain = self._ended.pop(0)
            if domain is None:
                raise RuntimeError(f'all ROS domains are in use: see {self._locks}')
            return domain

    def end(self, domain: int) -> None:
        """Let a domain be taken again by this process, later: a stranger may linger in it."""
        with self._one_at_a_time:
            self._ended.append(domain)

    def _lock_one(self) -> int | None:
        self._locks.mkdir(mode=0o777, exist_ok=True)
        while self._free:
            domain = self._free.pop()
            with suppress(OSError):  # another process, or another user, has it
                lock = os.open(self._locks / str(domain), os.O_CREAT | os.O_RDWR, 0o666)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    os.close(lock)
                    raise
                return domain
        return None


_domains = Domains()


def isolation() -> dict[str, str]:
    """Return an environment in which ROS reaches only its own processes on this machine."""
    # By UDP: ROS_LOCALHOST_ONLY and its successor would add shared memory.
    return {
        'ROS_DOMAIN_ID': str(_domains.take()),
        'FASTRTPS_DEFAULT_PROFILES_FILE': str(ROOT / 'tools/loopback.xml'),
    }


def goforward() -> np.ndarray:
    """Return a person saying "go forward ten meters"."""
    return raw(RECORDINGS / 'goforward.raw')


def raw(path: Path) -> np.ndarray:
    """Return a headerless recording, 16 kHz mono 16-bit, as float32."""
    return np.fromfile(path, '<i2').astype(np.float32) / 32768


def spoken(text: str, voice: str = 'en', speed: int = 150) -> np.ndarray:
    """Return a text spoken by espeak-ng, in the recordings' format."""
    command = ['espeak-ng', '-v', voice, '-s', str(speed), '--stdout', text]
    wav = subprocess.run(command, capture_output=True, check=True).stdout
    samples, rate = soundfile.read(io.BytesIO(wav), dtype='float32')
    return soxr.resample(samples, rate, RATE)


def fill_cache(cache: Path, name: str, model: Path = MODEL) -> Path:
    """Put a model into a hub's cache as a download would, under the name `name`."""
    folder = cache / 'hub' / f'models--{name.replace("/", "--")}'
    snapshot = folder / 'snapshots' / ('a' * 40)
    shutil.copytree(model, snapshot, dirs_exist_ok=True)
    (folder / 'refs').mkdir(exist_ok=True)
    (folder / 'refs' / 'main').write_text('a' * 40)
    return snapshot


def wait_for(condition: Callable[[], object], timeout: float, what: str) -> None:
    """Wait until `condition()` is true, or raise a TimeoutError.

    `timeout` (seconds) is what a quiet machine needs; a busy one is given four times as much.
    """
    timeout *= 4
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f'{what} did not happen within {timeout:g} s')
        time.sleep(0.01)


class VirtualMicrophone:
    """A PulseAudio of its own: a loudspeaker `speaker`, and `robot_mic`, which hears it."""

    def __init__(self, noise: float = -70.0, parent: Path | None = None) -> None:
        """`noise` is the room's level in dBFS; `parent` holds the folder with the socket."""
        self._noise = noise
        self._folder = Path(tempfile.mkdtemp(prefix='microphone-', dir=parent))
        (self._folder / '.asoundrc').write_text(
            'pcm.!default { type pulse }\nctl.!default { type pulse }\n'
        )
        socket = self._folder / 'pulse.socket'
        self.environment = {
            'HOME': str(self._folder),
            'XDG_RUNTIME_DIR': str(self._folder),
            'PULSE_SERVER': f'unix:{socket}',
        }
        self._socket = socket
        self._server: subprocess.Popen | None = None
        self._players: list[subprocess.Popen] = []
        self._room: subprocess.Popen | None = None

    def __enter__(self) -> 'VirtualMicrophone':
        self._start_server()
        return self

    def _start_server(self) -> None:
        self._server = subprocess.Popen(
            [
                *('pulseaudio', '-n', '--daemonize=no', '--exit-idle-time=-1'),
                *('--use-pid-file=no', '--disallow-exit', '--realtime=no', '--high-priority=no'),
                *('-L', f'module-native-protocol-unix socket={self._socket} auth-anonymous=1'),
            ],
            env={**os.environ, **self.environment},
            stderr=subprocess.DEVNULL,
        )
        wait_for(lambda: self._control('info', check=False), 10, 'the start of PulseAudio')
        self.plug_in()

    def restart(self) -> None:
        """Kill PulseAudio, and start it again."""
        for process in (self._server, self._room):
            if process is not None:
                process.kill()
                process.wait()
        self._socket.unlink(missing_ok=True)
        self._start_server()

    def __exit__(self, *_error: object) -> None:
        for process in [*self._players, self._room, self._server]:
            if process is not None:
                process.kill()
                process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _control(self, *words: str, check: bool = True) -> bool:
        run = subprocess.run(
            ['pactl', *words],
            env={**os.environ, **self.environment},
            capture_output=True,
            check=check,
        )
        return run.returncode == 0

    def plug_in(self) -> None:
        """Make the microphone exist, in a room with its noise."""
        self._control('load-module', 'module-null-sink', 'sink_name=speaker', f'rate={RATE}')
        self._control(
            'load-module', 'module-remap-source', 'master=speaker.monitor', 'source_name=robot_mic'
        )
        self._control('set-default-source', 'robot_mic')
        if self._noise > -120:
            noise = np.random.default_rng(0).normal(0, 10 ** (self._noise / 20), 600 * RATE)
            self._room = self._player(noise.astype(np.float32), 'room')

    def unplug(self) -> None:
        """Make the microphone disappear."""
        self._control('unload-module', 'module-remap-source')
        self._control('unload-module', 'module-null-sink')
        if self._room is not None:
            self._room.kill()
            self._room.wait()
            self._room = None

    def say(self, samples: np.ndarray, wait: bool = True) -> None:
        """Play samples (16 kHz mono float32) in real time, as a person in the room."""
        player = self._player(samples, f'speech{len(self._players)}')
        self._players.append(player)
        if wait:
            player.wait()

    def speaking(self) -> bool:
        """Tell whether somebody still speaks."""
        return any(player.poll() is None for player in self._players)

    def hush(self) -> None:
        """Let nobody speak any more."""
        for player in self._players:
            player.kill()
        self.quiet()

    def listeners(self) -> int:
        """Return the number of streams that record from this PulseAudio."""
        run = subprocess.run(
            ['pactl', 'list', 'short', 'source-outputs'],
            env={**os.environ, **self.environment},
            capture_output=True,
            check=False,
            text=True,
        )
        return sum('module-remap-source' not in line for line in run.stdout.splitlines())

    def quiet(self) -> None:
        """Wait until the recording is over."""
        for player in self._players:
            player.wait()
        time.sleep(0.8)  # until it is not in the next utterance's pre-roll either

    def _player(self, samples: np.ndarray, name: str) -> subprocess.Popen:
        path = self._folder / f'{name}.wav'
        soundfile.write(path, samples, RATE, subtype='PCM_16')
        return subprocess.Popen(
            ['paplay', '--latency-msec=50', '-d', 'speaker', str(path)],
            env={**os.environ, **self.environment},
        )


class RecognizerProcess:
    """The node in a process of its own, started as a user starts it."""

    def __init__(
        self,
        environment: dict[str, str],
        *arguments: str,
        launcher: Sequence[str] = (),
        **parameters: object,
    ) -> None:
        """Parameters are named with `__` for the dot: `model__id`.

        `launcher` is a command that the node's command follows, as `setpriv`.
        """
        self.output = tempfile.TemporaryFile('w+')
        # The node shares the place in the file with this process, which reads it meanwhile.
        flags = fcntl.fcntl(self.output, fcntl.F_GETFL)
        fcntl.fcntl(self.output, fcntl.F_SETFL, flags | os.O_APPEND)
        command = [*launcher, str(executable('speech_recognizer')), '--ros-args', *arguments]
        for name, value in {'model__id': str(MODEL), **parameters}.items():
            command += ['-p', f'{name.replace("__", ".")}:={yaml(value)}']
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **environment, 'RCUTILS_LOGGING_BUFFERED_STREAM': '0'},
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )

    def log(self, begin: int = 0) -> str:
        """Return the output of the node so far, from the byte `begin` on."""
        length = os.fstat(self.output.fileno()).st_size
        return os.pread(self.output.fileno(), length - begin, begin).decode(errors='replace')

    def interrupt(self, timeout: float = 20.0) -> int:
        """Press Ctrl-C; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout)

    def __enter__(self) -> 'RecognizerProcess':
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            try:
                self.interrupt()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def executable(name: str) -> Path:
    """Return a ROS executable of this package, as `ros2 run` finds it."""
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(':'):
        path = Path(prefix, 'lib', 'distil_whisper_ros', name)
        if path.is_file():
            return path
    sys.exit(f'{name} is not installed: colcon build, and source install/setup.bash')


def yaml(value: object) -> str:
    """Return a parameter's value as the ROS command line wants it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else str(value)


class Client:
    """A robot's own node: it calls the services and keeps what it hears."""

    def __init__(self, environment: dict[str, str], namespace: str = '') -> None:
        """Join the domain of `environment`."""
        os.environ.update(
            {k: v for k, v in environment.items() if k.startswith(('ROS_', 'FASTRTPS_'))}
        )
        self.domain = int(environment['ROS_DOMAIN_ID'])
        self._context = Context()
        rclpy.init(context=self._context, domain_id=self.domain)
        self.node = Node('client', context=self._context, namespace=namespace)
        self.texts: list[str] = []
        self.transcripts: list[Transcript] = []
        self.states: list[RecognizerState] = []
        self.diagnostics: list[DiagnosticArray] = []
        latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(String, 'speech/text', self._on_text, 10)
        self.node.create_subscription(
            Transcript, 'speech/transcript', self.transcripts.append, 10
        )  # fmt: skip
        self.node.create_subscription(
            RecognizerState, 'speech/state', self.states.append, latched
        )  # fmt: skip
        self.node.create_subscription(
            DiagnosticArray, '/diagnostics', self.diagnostics.append, 10
        )  # fmt: skip
        self._clients: dict[str, Any] = {}
        self._listener: Any = None
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _on_text(self, message: Any) -> None:
        self.texts.append(message.data)

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except (ExternalShutdownException, Exception):
            if self._context.ok():
                raise

    def __enter__(self) -> 'Client':
        return self

    def __exit__(self, *_error: object) -> None:
        try_shutdown(context=self._context)
        self._thread.join(5)
        self.node.destroy_node()

    def start_call(self, kind, name: str, request=None) -> Any:
        """Call a service without waiting; return the future."""
        client = self._clients.get(name)
        if client is None:
            deep = QoSProfile(depth=1000)  # with 10, the replies of a burst are lost here
            client = self._clients[name] = self.node.create_client(kind, name, qos_profile=deep)
        if not client.wait_for_service(40):
            raise TimeoutError(f'there is no service {name}')
        return client.call_async(request or kind.Request())

    def call(self, kind, name: str, request=None, timeout: float = 30.0) -> Any:
        """Call a service and return its response."""
        future = self.start_call(kind, name, request)
        wait_for(future.done, timeout, f'the answer of {name}')
        return future.result()

    def trigger(self, name: str, timeout: float = 30.0) -> Trigger.Response:
        """Call speech/record, speech/stop or speech/cancel."""
        return self.call(Trigger, f'speech/{name}', timeout=timeout)

    def start_trigger(self, name: str) -> Any:
        """Call speech/record and the like without waiting."""
        return self.start_call(Trigger, f'speech/{name}')

    @property
    def state(self) -> str:
        """The label of the newest state."""
        return self.states[-1].label if self.states else ''

    def wait_state(self, *labels: str, timeout: float = 60.0) -> None:
        """Wait until the newest state is one of these."""
        try:
            wait_for(lambda: self.state in labels, timeout, f'the state {labels}')
        except TimeoutError as error:
            seen = [(m.label, m.detail) for m in self.states]
            raise TimeoutError(f'{error}; seen: {seen}') from None

    def switch(self, name: str, on: bool) -> SetBool.Response:
        """Call speech/hands_free or speech/mute."""
        return self.call(SetBool, f'speech/{name}', SetBool.Request(data=on))

    def listen(self, **options: object) -> 'Listening':
        """Send a goal to speech/listen; return its result."""
        if self._listener is None:
            self._listener = GoalClient(self.node, Listen, 'speech/listen')
        if not self._listener.wait_for_server(40):
            raise TimeoutError('there is no action speech/listen')
        return Listening(self._listener, Listen.Goal(**options))

    def read_along(self) -> list[str]:
        """Subscribe to speech/partial; return the list that its texts come to."""
        partials: list[str] = []

        def take(message: Any) -> None:
            partials.append(message.data)

        self.node.create_subscription(String, 'speech/partial', take, 10)
        return partials

    def transcribe(self, samples: np.ndarray, rate: int, **more: object) -> Any:
        """Send audio of shape (samples,) or (samples, channels) to speech/transcribe."""
        channels = samples.shape[1] if samples.ndim > 1 else 1
        audio = Audio(sample_rate=rate, channels=channels)
        data = (samples.clip(-1, 1) * 32767).astype('<i2')
        audio.data = array('h', data.tobytes())
        request = Transcribe.Request(audio=audio, **more)
        return self.start_call(Transcribe, 'speech/transcribe', request)

    def set_parameter(self, name: str, value: object) -> str:
        """Set one of the node's parameters; return the reason if that is refused."""
        message = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[message])
        response = self.call(SetParameters, 'speech_recognizer/set_parameters', request)
        return '' if response.results[0].successful else response.results[0].reason

    def get_parameter(self, name: str) -> ParameterValue:
        """Return one of the node's parameters."""
        request = GetParameters.Request(names=[name])
        return self.call(GetParameters, 'speech_recognizer/get_parameters', request).values[0]

    def change_state(self, transition: int, timeout: float = 60.0) -> bool:
        """Ask for a transition of lifecycle_msgs/Transition; return whether it succeeded."""
        request = ChangeState.Request()
        request.transition.id = transition
        name = 'speech_recognizer/change_state'
        return self.call(ChangeState, name, request, timeout).success

    def lifecycle_state(self) -> str:
        """Return the lifecycle's state."""
        return self.call(GetState, 'speech_recognizer/get_state').current_state.label


class GoalClient(ActionClient):
    """An ActionClient for a thread that is not the executor's.

    rclpy sends a request, and then notes that it waits for the reply. If the reply comes between
    the two, the executor's thread ignores it as unexpected, and the future never ends.
    """

    def __init__(self, *arguments: Any, **more: Any) -> None:
        """Take what an ActionClient takes."""
        self._sending = threading.RLock()
        super().__init__(*arguments, **more)

    def send_goal_async(self, *arguments: Any, **more: Any) -> Any:
        """Send a goal; return the future of its handle."""
        with self._sending:
            return super().send_goal_async(*arguments, **more)

    def _get_result_async(self, goal_handle: Any) -> Any:
        with self._sending:
            return super()._get_result_async(goal_handle)

    def _cancel_goal_async(self, goal_handle: Any) -> Any:
        with self._sending:
            return super()._cancel_goal_async(goal_handle)

    async def execute(self, taken_data: Any) -> None:
        """Take replies and feedback."""
        with self._sending:
            await super().execute(taken_data)


class Listening:
    """A goal of speech/listen under way."""

    def __init__(self, client: Any, goal: Listen.Goal) -> None:
        """Send the goal."""
        self.feedback: list[tuple[float, Listen.Feedback]] = []
        self._sent = client.send_goal_async(goal, feedback_callback=self._on_feedback)
        wait_for(self._sent.done, 10, 'the acceptance of the goal')
        self._handle = self._sent.result()
        self._result = self._handle.get_result_async()

    def _on_feedback(self, message: Any) -> None:
        self.feedback.append((time.monotonic(), message.feedback))

    @property
    def done(self) -> bool:
        """Whether the result is there."""
        return self._result.done()

    def result(self, timeout: float = 30.0) -> tuple[int, Transcript]:
        """Wait for the result; return the goal's status and the transcript."""
        wait_for(self._result.done, timeout, 'the result of the goal')
        answer = self._result.result()
        return answer.status, answer.result.transcript

    def cancel(self) -> Any:
        """Ask to cancel the goal."""
        return self._handle.cancel_goal_async()


@contextmanager
def robot(
    *arguments: str,
    environment: dict[str, str] | None = None,
    launcher: Sequence[str] = (),
    **parameters: object,
) -> Iterator[tuple[Client, RecognizerProcess]]:
    """Start the node and a client of it, in a domain of their own."""
    alone = isolation()
    surroundings = {**alone, **(environment or {})}
    try:
        with (
            RecognizerProcess(
                surroundings, *arguments, launcher=launcher, **parameters
            ) as process,
            Client(surroundings) as client,
        ):
            yield client, process
    finally:
        _domains.end(int(alone['ROS_DOMAIN_ID']))
