"""The child process that holds the microphone: PortAudio in, blocks on standard output.

PortAudio's ALSA code can hang for ever when a USB device is unplugged, and it never notices new
devices. In a process of its own it can be killed and started again, and this one does nothing
else: `microphone.py` starts it and reads it.

    python -m distil_whisper_ros.audio.capture_process '{"device": "default", ...}'

Messages are a header (HEADER: kind, seconds, count, payload length) and a payload:
OPENED with the stream's description as JSON, BLOCK with float32 samples, the capture time of the
first one in seconds of time.monotonic(), which all processes of a machine share, and the
overflows so far, FAILED and GONE with a sentence.
"""

import ctypes
import json
import os
import signal
import struct
import sys
import threading
import time

HEADER = struct.Struct('<cdII')
OPENED, BLOCK, FAILED, GONE = b'O', b'B', b'F', b'G'
BLOCK_DURATION = 0.032  # s
LATE = 10.0  # s that the parent may be late, besides the capacity of the pipe
MOST_REAL_CHANNELS = 16  # of microphone arrays; a sound server offers 32 and more
PREFERRED_RATE = 16_000  # Hz
PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>


def describe(devices):
    """Return the input devices of sounddevice's list as one line."""
    names = [
        f'{d["index"]} "{d["name"]}"' for d in devices if d['max_input_channels'] > 0
    ]  # fmt: skip
    return ', '.join(names) if names else 'there are none'


def find_device(sounddevice, wanted):
    """Return the description of the wanted input device, or raise a ValueError for people."""
    devices = list(sounddevice.query_devices())
    inputs = [d for d in devices if d['max_input_channels'] > 0]
    hint = f'microphones here: {describe(devices)}'
    if not inputs:
        raise ValueError(
            'there is no microphone: plug one in; in a container, pass /dev/snd and the audio '
            'group; `arecord -l` lists the devices that ALSA sees'
        )
    if wanted in ('', 'default'):
        try:
            return sounddevice.query_devices(kind='input')
        except (sounddevice.PortAudioError, ValueError):
            return inputs[0]
    if wanted.isdecimal():
        found = [d for d in inputs if d['index'] == int(wanted)]
    else:
        found = [d for d in inputs if d['name'].lower() == wanted.lower()]
        found = found or [d for d in inputs if wanted.lower() in d['name'].lower()]
    if not found:
        raise ValueError(f'microphone.device is {wanted!r}, but there is no such device; {hint}')
    return found[0]


def choose_format(sounddevice, device, sample_rate, channels, channel=-1):
    """Return the (sample rate, channels) that the device supports, nearest to 16 kHz mono.

    `channel` is the one to use, from 0, or -1 for all; it must be among those that are opened.
    """
    own_rate, own_channels = int(device['default_samplerate']), device['max_input_channels']
    rates = [sample_rate] if sample_rate else [PREFERRED_RATE, own_rate, 48_000, 44_100, 32_000]
    if channels and channel >= channels:
        raise ValueError(
            f'microphone.channel is {channel}, but microphone.channels opens {channels} (the '
            'first is 0)'
        )
    if channel >= own_channels:
        raise ValueError(
            f'microphone.channel is {channel}, but the microphone "{device["name"]}" has no '
            f'channel beyond {own_channels - 1} (the first is 0)'
        )
    counts = [channels] if channels else [1, 2, own_channels]
    if channel >= 0 and not channels:
        # Where a device has many, as of a sound server, they are copies: the least that hold it.
        counts = [own_channels] if own_channels <= MOST_REAL_CHANNELS else []
        counts += [count for count in (channel + 1, own_channels) if count not in counts]
    refusal = None
    for count in counts:
        for rate in rates:
            try:
                sounddevice.check_input_settings(
                    device=device['index'], channels=count, samplerate=rate, dtype='float32'
                )
                return rate, count
            except (sounddevice.PortAudioError, ValueError) as error:
                refusal = error
    raise ValueError(
        f'the microphone "{device["name"]}" refuses '
        + (f'{sample_rate} Hz' if sample_rate else 'every common rate')
        + (f' with {channels} channels' if channels else '')
        + f' ({reason(refusal)}); it supports {own_rate} Hz with {own_channels} channels at '
        'most, and only one program can use it unless PulseAudio or dsnoop shares it'
    )


def reason(error):
    """Return PortAudio's words for an error, without its numbers."""
    first = error.args[0] if error is not None and error.args else error
    return str(first).split(' [PaErrorCode')[0]


class Writer:
    """Writes messages to the parent; a parent that is gone ends this process."""

    def __init__(self):
        """Take standard output for messages alone, so that no library's print ends up there."""
        self._pipe = os.dup(1)
        self._unsent = bytearray()
        os.dup2(2, 1)

    def offer(self, kind, payload, seconds, count, most):
        """Write a message and those that wait, as far as the pipe takes them at once.

        Return whether it was taken: no, if more than `most` bytes wait for the parent.
        """
        if len(self._unsent) > most:
            self._write(blocking=False)
            return False
        self._unsent += HEADER.pack(kind, seconds, count, len(payload)) + payload
        self._write(blocking=False)
        return True

    def send(self, kind, payload):
        """Write a message and those that wait."""
        self._unsent += HEADER.pack(kind, 0.0, 0, len(payload)) + payload
        self._write(blocking=True)

    def _write(self, blocking):
        os.set_blocking(self._pipe, blocking)
        try:
            while self._unsent:
                del self._unsent[: os.write(self._pipe, self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            os._exit(0)


def run(wanted, writer):
    """Open the microphone and send blocks until it is gone."""
    import sounddevice  # PortAudio lists the devices once, on import

    overflows = 0
    ended = threading.Event()

    def callback(data, _frames, clock, status):
        # An exception here would end the stream without a message, and waiting would lose samples:
        # it only offers the block. It wakes no other thread, because that costs more.
        nonlocal overflows
        overflows += status.input_overflow
        delay = clock.currentTime - clock.inputBufferAdcTime
        captured = time.monotonic() - (delay if 0 < delay < 1 else BLOCK_DURATION)
        if not writer.offer(BLOCK, bytes(data), captured, overflows, most):
            overflows += 1

    device = find_device(sounddevice, wanted['device'])
    rate, channels = choose_format(
        sounddevice, device, wanted['sample_rate'], wanted['channels'], wanted['channel']
    )
    most = round(LATE * rate) * channels * 4
    opened = {'name': device['name'], 'sample_rate': rate, 'channels': channels}
    try:
        stream = sounddevice.RawInputStream(
            samplerate=rate,
            blocksize=round(rate * BLOCK_DURATION),
            device=device['index'],
            channels=channels,
            dtype='float32',
            callback=callback,
            finished_callback=ended.set,
        )
        writer.send(OPENED, json.dumps(opened).encode())
        stream.start()
    except sounddevice.PortAudioError as error:
        raise ValueError(
            f'the microphone "{device["name"]}" cannot be opened ({reason(error)}): another '
            'program may be using it, or this user may not use it: add the user to the audio group'
        ) from error
    ended.wait()
    gone = (
        f'the microphone "{device["name"]}" is gone: plug it in, the node opens it again by itself'
    )
    writer.send(GONE, gone.encode())


def die_with_parent(parent):
    """Let the kernel kill this process when the parent dies, even while it is stopped or hangs.

    The parent's thread that started this process counts as the parent.
    """
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError):  # not Linux; standard input still tells
        return
    if os.getppid() != parent:  # it died before
        os._exit(0)


def end_with_parent():
    """End this process, also while PortAudio hangs, when the parent closes standard input."""
    sys.stdin.buffer.read()
    os._exit(0)


def main():
    """Run as the child process."""
    # Ctrl-C reaches the whole process group; the parent decides when the microphone is released.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wanted = json.loads(sys.argv[1])
    die_with_parent(wanted['parent'])
    writer = Writer()
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        run(wanted, writer)
    except ValueError as error:
        writer.send(FAILED, str(error).encode())
    except OSError as error:  # sounddevice without PortAudio
        writer.send(FAILED, f'{error}: install libportaudio2'.encode())
    except Exception as error:  # PortAudio cannot start, or anything unexpected
        text = reason(error) or type(error).__name__
        writer.send(FAILED, f'PortAudio fails: {text}'.encode())
    os._exit(0)  # PortAudio's own exit can hang on a device that is gone


if __name__ == '__main__':
    main()
