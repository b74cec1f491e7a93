"""The microphone: starts `capture_process.py`, and turns its blocks into frames.

The stream is open from `open` to `close`, and the last `pre_roll` seconds are kept, so that an
utterance begins before its request came. A device that hangs or disappears ends the utterance
with a DeviceError; its process is killed and started again until the device is back.
"""

from collections.abc import Callable
import json
import math
import os
from pathlib import Path
import select
import subprocess
import sys
import threading
import time

import numpy as np
import numpy.typing as npt

from ..core.audio_format import SAMPLE_RATE
from ..core.errors import AudioError, DeviceError
from ..core.settings import MicrophoneSettings
from .buffered_source import BufferedSource
from .capture_process import BLOCK, FAILED, GONE, HEADER, OPENED
from .channels import check_channel, Mixer
from .framing import Framer
from .limits import check_format, LONGEST_BLOCK
from .resampling import Resampler

OPENING = 15.0  # s until the device must deliver: PulseAudio takes 2 s, a busy Jetson more
SILENT = 3.0  # s without a block, which come each 0.032 s, after which the device hangs
ENDING = 2.0  # s that a process may take to end once it is killed, or a thread once it is told to
QUIET_PERIOD = 0.11  # s between reads of the pipe while nobody speaks: each wake-up costs
OVERFLOW_SHOWN = 10.0  # s for which an overflow is a problem to report
LONGEST_MESSAGE = 4 << 20  # bytes: 0.032 s of 64 channels at 384 kHz are 3.1 MB
LONGEST_DELAY = 60.0  # s between capture and arrival above which the capture time is ignored


class Microphone(BufferedSource):
    """An AudioSource from a real device."""

    knows_capture_times = True

    def __init__(
        self, settings: MicrophoneSettings, on_change: Callable[[str], None] = lambda problem: None
    ) -> None:
        """Call `on_change` with each new problem, and with '' when the last one is gone."""
        super().__init__(settings.device, settings.pre_roll, on_change)
        self._settings = settings
        self._opening_or_closing = threading.Lock()
        self._closers = 0  # threads in close(), for which an open() under way gives up
        self._closers_lock = threading.Lock()
        self._session: Session | None = None
        self._overflowed = -math.inf  # when, in seconds of time.monotonic()

    def open(self) -> None:
        """Start the stream, unless it is open; raise a DeviceError if the device refuses."""
        with self._opening_or_closing:
            if self._session is not None:
                return
            session = Session()
            with self._closers_lock:
                self._session = session
                if self._closers:
                    session.interrupt()
            with self._condition:
                self._working, self._device_problem = False, ''
            try:
                session.start(self._supervise)
                session.answered.wait(OPENING + 2 * ENDING)
                if not session.worked:
                    raise DeviceError(
                        session.problem
                        or (
                            'the microphone was closed while it was opened'
                            if session.closing.is_set()
                            else f'the microphone did not answer within {OPENING:g} s'
                        )
                    )
            except DeviceError as error:
                self._shut()
                self._device_problem = str(error)
                raise

    def close(self) -> None:
        """Stop the stream; when this returns, no capture process of this source is left."""
        with self._closers_lock:
            self._closers += 1
            if self._session is not None:
                self._session.interrupt()
        try:
            with self._opening_or_closing:
                self._shut()
        finally:
            with self._closers_lock:
                self._closers -= 1

    def _shut(self) -> None:
        """End the session; the caller holds the lock of opening and closing."""
        session, self._session = self._session, None
        if session is not None:
            session.close()
        with self._condition:
            self._frames.clear()
            self._working = False

    def _supervise(self, session: 'Session') -> None:
        """Keep the stream running until the session is closed, whatever goes wrong."""
        while not session.closing.is_set():
            problem = self._attempt(session)
            if session.closing.is_set():
                return
            if not session.worked:  # open() raises it
                session.problem = problem
                session.answered.set()
                return
            self.set_problem(problem)
            session.closing.wait(self._settings.reopen_period)
            self._restarts += not session.closing.is_set()

    def _attempt(self, session: 'Session') -> str:
        """Run the stream until it ends; return why, as one line."""
        try:
            self._stream(session)
            problem = ''
        except AudioError as error:
            problem = str(error)
        except Exception as error:
            problem = f'the microphone failed: {type(error).__name__}: {error}'
        finally:
            try:
                session.end_child()
            except Exception as error:  # it must not end the supervisor
                problem = f'the microphone failed: {type(error).__name__}: {error}'
        return ' '.join(problem.split()) or 'the microphone stopped without a reason'

    def _stream(self, session: 'Session') -> None:
        """Start a capture process and take its blocks until it fails."""
        messages = Messages(session.start_child(self._settings))
        framer, resampler = Framer(), Resampler(SAMPLE_RATE)
        stream: Description | None = None
        mixer: Mixer | None = None
        overflows, flows = 0, False
        deadline = time.monotonic() + OPENING
        while not session.closing.is_set():
            if flows and self._wait_for > 1 and not messages.ready:
                session.closing.wait(QUIET_PERIOD)
            kind, seconds, count, payload = messages.receive(
                SILENT if flows else deadline - time.monotonic()
            )
            if kind == OPENED:
                stream = Description(payload)
                channel = self._settings.channel
                check_channel('microphone.channel', channel, stream.channels, f'"{stream.name}"')
                mixer = Mixer(stream.sample_rate, stream.channels, channel)
                framer, resampler = Framer(), Resampler(stream.sample_rate, mixer)
                self._name, self._channels = stream.name, stream.channels
                self._sample_rate = stream.sample_rate
            elif kind == BLOCK:
                if stream is None:
                    raise DeviceError('the capture process sent audio before its format')
                block = stream.block(payload)
                if not flows:  # a device may open and yet deliver nothing for seconds
                    self.set_working()
                    session.worked = flows = True
                    session.answered.set()
                if count > overflows:
                    self._overflows += count - overflows
                    self._overflowed = time.monotonic()
                    overflows = count
                now = time.monotonic()
                if not 0 <= now - seconds < LONGEST_DELAY:
                    seconds = now - len(block) / stream.sample_rate
                samples = resampler.push(block)
                self._channel_problem = '' if mixer is None else mixer.problem
                self.add_frames(framer.push(samples, seconds))
            else:  # FAILED or GONE
                raise DeviceError(payload.decode(errors='replace'))

    @property
    def problem(self) -> str:
        """The device's problem, or the signal's, or ''."""
        problem = super().problem
        if not problem and time.monotonic() - self._overflowed < OVERFLOW_SHOWN:
            return (
                'the microphone overflowed and samples were lost: this machine is too busy, or '
                'the device too slow'
            )
        return problem


class Session:
    """The thread and the capture process from one `open` to its `close`."""

    def __init__(self) -> None:
        self.closing = threading.Event()
        self.answered = threading.Event()
        """Set when the first attempt worked or failed, or the session is interrupted."""
        self.worked = False
        self.problem = ''
        """Why the first attempt failed."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def child(self) -> 'subprocess.Popen[bytes] | None':
        """The capture process."""
        return self._child

    def start(self, supervise: Callable[['Session'], None]) -> None:
        """Start the thread, or raise a DeviceError."""
        # The kernel ends the capture process together with the thread that started it, so this
        # thread lives as long as the process.
        self._thread = threading.Thread(
            target=supervise, args=(self,), name='microphone', daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError as error:
            self._thread = None
            raise DeviceError(f'the microphone cannot be opened: {error}') from error

    def start_child(self, settings: MicrophoneSettings) -> 'subprocess.Popen[bytes]':
        """Start the capture process, or raise a DeviceError."""
        with self._lock:  # so that none is started behind close()
            if self.closing.is_set():
                raise DeviceError('the microphone is closed')
            try:
                self._child = start(settings)
            except OSError as error:
                raise DeviceError(
                    f'the capture process cannot be started ({error.strerror or error}): this '
                    'machine has too many processes, or too little memory'
                ) from error
            return self._child

    def end_child(self) -> None:
        """End the capture process; only the session's thread reads it, and may close its pipe."""
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            end(child)
            assert child.stdout is not None
            child.stdout.close()

    def interrupt(self) -> None:
        """Ask the session to end, and wake the threads that wait for its answer."""
        self.closing.set()
        self.answered.set()

    def close(self) -> None:
        """End the capture process and the thread."""
        self.interrupt()
        with self._lock:
            child, thread = self._child, self._thread
        if child is not None:
            end(child)
        if thread is not None and thread is not threading.current_thread():
            thread.join(2 * ENDING)  # an observer of the source may hold it up


class Description:
    """The stream as the capture process describes it, checked."""

    def __init__(self, payload: bytes) -> None:
        """Read an OPENED message; raise an AudioError if it is not right."""
        try:
            values = json.loads(payload)
            self.name = str(values['name'])
            self.sample_rate, self.channels = int(values['sample_rate']), int(values['channels'])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DeviceError('the capture process sent a format that cannot be read') from error
        check_format(self.sample_rate, self.channels, prefix='microphone.')

    def block(self, payload: bytes) -> npt.NDArray[np.float32]:
        """Return a BLOCK's samples, shape (samples, channels); raise an AudioError."""
        if len(payload) % 4:
            raise DeviceError('the capture process sent a part of a sample')
        samples = np.frombuffer(payload, np.float32)
        check_format(
            self.sample_rate,
            self.channels,
            len(samples),
            max_duration=LONGEST_BLOCK,
            prefix='microphone.',
        )
        if not np.isfinite(samples).all():
            samples = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
        return samples.reshape(-1, self.channels)


def start(settings: MicrophoneSettings) -> 'subprocess.Popen[bytes]':
    """Start the child process."""
    wanted = {
        'device': settings.device,
        'sample_rate': settings.sample_rate,
        'channels': settings.channels,
        'channel': settings.channel,
        'parent': os.getpid(),
    }
    package = Path(__file__).resolve().parents[1]
    path = os.pathsep.join(filter(None, (str(package.parent), os.environ.get('PYTHONPATH'))))
    return subprocess.Popen(
        [sys.executable, '-m', f'{package.name}.audio.capture_process', json.dumps(wanted)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # ALSA writes pages about devices that were not asked for.
        stderr=None if os.environ.get('DISTIL_WHISPER_ALSA_MESSAGES') else subprocess.DEVNULL,
        env={**os.environ, 'PYTHONPATH': path},
    )


class Messages:
    """The messages of a capture process."""

    def __init__(self, child: 'subprocess.Popen[bytes]') -> None:
        assert child.stdout is not None
        self._pipe = child.stdout
        self._data = b''

    @property
    def ready(self) -> bool:
        """Whether a whole message is here already."""
        if len(self._data) < HEADER.size:
            return False
        return len(self._data) >= HEADER.size + self._header()[3]

    def _header(self) -> tuple[bytes, float, int, int]:
        """Return the next message's header, checked; raise a DeviceError if it is not right."""
        kind, seconds, count, length = HEADER.unpack_from(self._data)
        if kind not in (OPENED, BLOCK, FAILED, GONE):
            raise DeviceError(f'the capture process sent an unknown message: {kind!r}')
        if length > LONGEST_MESSAGE:
            raise DeviceError(
                f'the capture process sent a message of {length} bytes; the limit is '
                f'{LONGEST_MESSAGE} bytes'
            )
        return kind, seconds, count, length

    def receive(self, timeout: float) -> tuple[bytes, float, int, bytes]:
        """Return the next message: kind, seconds, count, payload.

        Raise a DeviceError after `timeout` seconds, or if it is not right.
        """
        deadline = time.monotonic() + timeout
        while not self.ready:
            self._wait(deadline - time.monotonic())
        kind, seconds, count, length = self._header()
        size = HEADER.size + length
        payload, self._data = self._data[HEADER.size : size], self._data[size:]
        return kind, seconds, count, payload

    def _wait(self, timeout: float) -> None:
        ready, _, _ = select.select([self._pipe], [], [], max(0.0, timeout))
        if not ready:
            raise DeviceError(
                'the microphone does not answer: unplug it and plug it in again, or restart '
                'PulseAudio'
            )
        part = os.read(self._pipe.fileno(), 1 << 16)  # a message, as a rule
        if not part:
            raise DeviceError('the capture process of the microphone ended')
        self._data += part


def end(child: 'subprocess.Popen[bytes]') -> None:
    """End a capture process, also one that hangs."""
    assert child.stdin is not None
    try:
        child.stdin.close()  # asks it to end
        child.wait(0.5)
        return
    except (OSError, subprocess.TimeoutExpired):
        pass
    child.kill()
    try:
        child.wait(ENDING)
    except subprocess.TimeoutExpired:  # stuck in a driver; the kernel ends it when that returns
        pass
