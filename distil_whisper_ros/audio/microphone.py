"""The microphone: starts `capture.py` in a process of its own, and turns its blocks into frames.

The stream is open from `open` to `close`, and the last `pre_roll` seconds are kept, so that an
utterance begins before its request came. A device that hangs or disappears ends the utterance
with a DeviceError, is killed, and is opened again until it is back.
"""

from collections.abc import Callable
import json
import os
from pathlib import Path
import select
import subprocess
import sys
import threading
import time

import numpy as np

from ..core.audio_format import SAMPLE_RATE
from ..core.errors import DeviceError
from ..core.settings import MicrophoneSettings
from .buffered_source import BufferedSource
from .capture_process import BLOCK, FAILED, GONE, HEADER, OPENED
from .framing import Framer
from .resampling import Resampler

OPENING = 15.0  # s until the device must have answered: PulseAudio takes 2 s, a busy Jetson more
SILENT = 3.0  # s without a block, which come each 0.032 s, after which the device hangs
PATIENCE = 0.11  # s from look to look while nobody speaks: each wake-up costs
OVERFLOW_SHOWN = 10.0  # s for which an overflow is a problem to report


class Microphone(BufferedSource):
    """An AudioSource from a real device."""

    def __init__(
        self, settings: MicrophoneSettings, on_change: Callable[[str], None] = lambda problem: None
    ) -> None:
        """`on_change` is told each new problem, and '' when all is well again."""
        super().__init__(settings.device, settings.pre_roll, on_change)
        self._settings = settings
        self._closing = threading.Event()
        self._answered = threading.Event()
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._overflowed = -OVERFLOW_SHOWN  # when, on the monotonic clock

    def open(self) -> None:
        """Start the stream; raise a DeviceError if the device refuses."""
        self._closing.clear()
        self._answered.clear()
        self._working, self._device_problem = False, ''
        self._thread = threading.Thread(target=self._run, name='microphone', daemon=True)
        self._thread.start()
        self._answered.wait(OPENING + 1)
        if not self._working:
            problem = self._device_problem
            self.close()
            raise DeviceError(problem)

    def close(self) -> None:
        """Stop the stream and end the child process."""
        self._closing.set()
        child, thread = self._child, self._thread
        if child is not None:
            end(child)
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        with self._condition:
            self._frames.clear()
            self._working = False

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._stream()
            except DeviceError as error:
                if not self._closing.is_set():
                    self.set_problem(str(error))
                    self._answered.set()
            finally:
                if self._child is not None:
                    end(self._child)
            if not self._working:
                return  # it never worked: open() says why
            self._closing.wait(self._settings.reopen_period)
            self._restarts += not self._closing.is_set()

    def _stream(self) -> None:
        """Start a child and take its blocks until it fails."""
        child = self._child = start(self._settings)
        messages, framer, overflows, flows = Messages(child), Framer(), 0, False
        opened, resampler = {}, Resampler(SAMPLE_RATE)
        while not self._closing.is_set():
            if flows and self._wait_for > 1 and not messages.ready:
                self._closing.wait(PATIENCE)
            kind, seconds, count, payload = messages.receive(SILENT if flows else OPENING)
            if kind == OPENED:
                opened = json.loads(payload)
                resampler = Resampler(opened['sample_rate'])
            elif kind == BLOCK:
                if not flows:  # a device may open and yet deliver nothing for seconds
                    self._name, self._channels = opened['name'], opened['channels']
                    self._sample_rate = opened['sample_rate']
                    self.set_working()
                    self._answered.set()
                    flows = True
                block = np.frombuffer(payload, np.float32).reshape(-1, opened['channels'])
                if not np.isfinite(block).all():
                    block = np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0)
                if count != overflows:
                    self._overflows += count - overflows
                    self._overflowed = time.monotonic()
                    overflows = count
                self.add_frames(framer.push(resampler.push(block), seconds))
            elif kind in (FAILED, GONE):
                raise DeviceError(payload.decode())

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


def start(settings: MicrophoneSettings) -> 'subprocess.Popen[bytes]':
    """Start the child process."""
    wanted = {
        'device': settings.device,
        'sample_rate': settings.sample_rate,
        'channels': settings.channels,
    }
    package = Path(__file__).resolve().parents[1]
    path = os.pathsep.join(filter(None, (str(package.parent), os.environ.get('PYTHONPATH'))))
    return subprocess.Popen(
        [sys.executable, '-m', f'{package.name}.audio.capture_process', json.dumps(wanted)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # ALSA writes pages about devices that nobody asked for.
        stderr=None if os.environ.get('DISTIL_WHISPER_ALSA_MESSAGES') else subprocess.DEVNULL,
        env={**os.environ, 'PYTHONPATH': path},
    )


class Messages:
    """The messages of a child process."""

    def __init__(self, child: 'subprocess.Popen[bytes]') -> None:
        assert child.stdout is not None
        self._pipe = child.stdout
        self._data = b''

    @property
    def ready(self) -> bool:
        """Whether a whole message is here already."""
        if len(self._data) < HEADER.size:
            return False
        *_, length = HEADER.unpack_from(self._data)
        return len(self._data) >= HEADER.size + length

    def receive(self, timeout: float) -> tuple[bytes, float, int, bytes]:
        """Return the next message, or raise a DeviceError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not self.ready:
            self._wait(deadline - time.monotonic())
        kind, seconds, count, length = HEADER.unpack_from(self._data)
        size = HEADER.size + length
        payload, self._data = self._data[HEADER.size : size], self._data[size:]
        return kind, seconds, count, payload

    def _wait(self, timeout: float) -> None:
        ready, _, _ = select.select([self._pipe], [], [], max(0.0, timeout))
        if not ready:
            raise DeviceError('the microphone does not answer; it is opened anew')
        part = os.read(self._pipe.fileno(), 1 << 16)  # a message, as a rule
        if not part:
            raise DeviceError("the microphone's process ended; it is started anew")
        self._data += part


def end(child: 'subprocess.Popen[bytes]') -> None:
    """End the child process, also one that hangs."""
    assert child.stdin is not None
    try:
        child.stdin.close()  # asks it to end
        child.wait(0.5)
    except (OSError, subprocess.TimeoutExpired):
        child.kill()
        child.wait()
