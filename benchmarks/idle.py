"""What it costs to listen while nobody speaks.

    python benchmarks/idle.py [--seconds 30]

The node, in its own process, hears a quiet room through the virtual microphone: at rest, and
hands-free, when each frame of 32 ms goes through the voice activity. Counted is the processor time
of the node and of the process that holds the microphone, as the kernel has it. Behind it a
profile: what each part of a frame's path takes by itself, as a share of the 32 ms.
"""

import argparse
from pathlib import Path
import subprocess
import time

import numpy as np
from robot import robot, VirtualMicrophone

from distil_whisper_ros.audio.framing import Framer
from distil_whisper_ros.audio.levels import LevelMeter
from distil_whisper_ros.core.audio_format import Frame, FRAME_DURATION, FRAME_LENGTH
from distil_whisper_ros.core.settings import UtteranceSettings
from distil_whisper_ros.speech.endpointer import Endpointer
from distil_whisper_ros.speech.utterance_buffer import UtteranceBuffer
from distil_whisper_ros.speech.voice_activity import VoiceActivity


def processor_time(process: int) -> float:
    """Return the seconds of processor time that a process took so far, from the scheduler."""
    threads = Path(f'/proc/{process}/task').iterdir()
    return sum(int((each / 'schedstat').read_text().split()[0]) for each in threads) / 1e9


def whole(seconds: float) -> None:
    """Print the shares of the node, at rest and hands-free."""
    print('share of one core         node  microphone     sum')
    with VirtualMicrophone() as room, robot(environment=room.environment) as (client, process):
        client.wait_state('ready')
        node = process.process.pid
        command = ['pgrep', '-P', str(node), '-f', 'distil_whisper_ros.audio.capture_process']
        child = int(subprocess.run(command, capture_output=True, text=True).stdout.split()[0])
        for name, hands_free in (('ready, pre-roll kept', False), ('hands-free, quiet', True)):
            client.switch('hands_free', hands_free)
            time.sleep(3)
            before = processor_time(node), processor_time(child)
            time.sleep(seconds)
            shares = [
                (now - then) / seconds
                for now, then in zip((processor_time(node), processor_time(child)), before)
            ]
            print(f'{name:22}{shares[0]:8.1%}{shares[1]:12.1%}{sum(shares):8.1%}')


def parts(frames: int = 2000) -> None:
    """Print the time of each stage of a frame's path."""
    noise = np.random.default_rng(0).normal(0, 3e-4, frames * FRAME_LENGTH).astype(np.float32)
    blocks = noise.reshape(frames, FRAME_LENGTH)
    framer, meter, activity = Framer(), LevelMeter(), VoiceActivity()
    endpointer, heard = Endpointer(UtteranceSettings(wait_for_speech=1e9)), UtteranceBuffer(10)

    def keep(block: np.ndarray) -> None:
        endpointer.step(0.0)
        heard.push(Frame(block, 0.0), 0.0, False)

    print('\na frame of 32 ms          ms   share of one core')
    for name, work in (
        ('framing', lambda block: list(framer.push(block, 0.0))),
        ('level', meter.push),
        ('voice activity', activity),
        ('endpoint, pre-roll', keep),
    ):
        began = time.process_time()
        for block in blocks:
            work(block)
        took = (time.process_time() - began) / frames
        print(f'{name:22}{took * 1e3:6.3f}{took / FRAME_DURATION:20.2%}')


def main() -> None:
    parser = argparse.ArgumentParser(description='What it costs to listen.')
    parser.add_argument('--seconds', type=float, default=30.0, help='how long to look')
    arguments = parser.parse_args()
    whole(arguments.seconds)
    parts()


if __name__ == '__main__':
    main()
