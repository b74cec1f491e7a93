"""Urgent commands: from the end of the word to the text, and how often one acts that nobody said.

    python benchmarks/urgent.py --speech FOLDER [--sounds FOLDER] [--rounds 3]

The node in its own process hears people and espeak-ng through the virtual microphone, in real
time, with `commands.urgent: [stop]`. `--speech` is a folder of recordings with their texts (the
layouts are in benchmarks/corpus.py); those whose text is "stop" are said `--rounds` times, and
with them espeak-ng's. Where the word ends is known from its samples, which are found in the audio
that the node saves. The other recordings, espeak-ng's sentences with the word in them, and
`--sounds`, a folder of sounds without words, are then read from memory: of each, all drafts are
made that a fast machine makes, and none must act.
"""

import argparse
import os
from pathlib import Path
import statistics
import sys
import tempfile
import time

from audio_context import activity
from corpus import corpus
from distil_whisper_msgs.msg import Transcript
from latency import percentile
import numpy as np
from robot import MODEL, RATE, robot, spoken, TURN_MODEL, VirtualMicrophone, wait_for
import soundfile

from distil_whisper_ros.audio.recordings import read_recording
from distil_whisper_ros.core.audio_format import (
    Frame,
    frame_count,
    FRAME_DURATION,
    FRAME_LENGTH,
)
from distil_whisper_ros.core.scheduler import Job, Priority
from distil_whisper_ros.core.settings import CommandSettings, DecodingSettings, Settings
from distil_whisper_ros.core.types import Ending, Utterance
from distil_whisper_ros.speech.command_matcher import plain
from distil_whisper_ros.speech.endpointer import Endpointer
from distil_whisper_ros.speech.urgent import UrgentWatch
from distil_whisper_ros.speech.utterance_buffer import UtteranceBuffer
from distil_whisper_ros.whisper.transcriber import Transcriber

SAID = {
    'espeak-ng en': ('Stop!', 'en', 150),
    'espeak-ng en-us': ('Stop!', 'en-us', 130),
    'espeak-ng repeated': ('Stop! Stop! Stop!', 'en', 150),
}
OTHERS = (
    "Don't stop.",
    'Do not stop now.',
    'The bus stop is there.',
    'I will never stop learning.',
    'Where is the next bus stop?',
    'Please go to the shop.',
    'Start the engine.',
)
FADED = 30.0  # dB below the loudest part of a word, where it ends
STEP = RATE // 100


def word_end(samples: np.ndarray) -> float:
    """Return where a word ends, in seconds."""
    count = len(samples) // STEP
    power = (samples[: count * STEP].reshape(count, STEP) ** 2).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-FADED / 10))
    return (loud[-1] + 1) * STEP / RATE


def offset(heard: np.ndarray, samples: np.ndarray) -> float:
    """Return where in the audio that was heard the samples begin, in seconds; it may have less."""
    size = 2 ** int(np.ceil(np.log2(len(heard) + len(samples))))
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(samples, size))
    place = int(np.argmax(np.fft.irfft(product)))
    return (place if place < len(heard) else place - size) / RATE


class Ear:
    """A node with the urgent command, and what it publishes."""

    def __init__(self, room: VirtualMicrophone, client, folder: Path) -> None:
        """Take the room, the node's client and the folder of the audio that it saves."""
        from std_msgs.msg import String

        self.room, self.client, self.folder = room, client, folder
        self.arrivals: list[tuple[float, str]] = []
        client.node.create_subscription(
            String, 'speech/text', lambda m: self.arrivals.append((time.time(), m.data)), 10
        )

    def hear(self, samples: np.ndarray) -> Transcript:
        """Ask for an utterance, say the samples, and return what came of it."""
        self.client.transcripts.clear()
        self.arrivals.clear()
        future = self.client.start_trigger('record')
        self.client.wait_state('waiting', 'hearing')
        self.room.say(samples, wait=False)
        wait_for(future.done, 30, 'the reply')
        wait_for(lambda: self.client.transcripts, 5, 'the transcript')
        self.room.quiet()
        return self.client.transcripts[-1]

    def latency(self, transcript: Transcript, samples: np.ndarray) -> float:
        """Return the time from the end of the word to the text, in seconds."""
        wait_for(lambda: any(self.folder.glob('*.wav')), 5, 'the audio')
        newest = max(self.folder.glob('*.wav'), key=lambda path: path.stat().st_mtime)
        heard, _ = soundfile.read(newest, dtype='float32')
        begun = transcript.header.stamp.sec + transcript.header.stamp.nanosec / 1e9
        return self.arrivals[0][0] - (begun + offset(heard, samples) + word_end(samples))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description='Latency and false actions of urgent commands.')
    parser.add_argument('--model', default=str(MODEL), help='a folder, or a name on the hub')
    parser.add_argument('--speech', type=Path, required=True, help='words with their texts')
    parser.add_argument('--sounds', type=Path, help='sounds without words')
    parser.add_argument('--rounds', type=int, default=3, help='how often each "stop" is said')
    options = parser.parse_args()
    known = [(path, plain(text)) for path, text in corpus(options.speech)]
    stops = {path.stem: read_recording(str(path)) for path, text in known if text == 'stop'}
    stops |= {name: spoken(*how) for name, how in SAID.items()}
    others = {text: spoken(text) for text in OTHERS}
    others |= {
        f'{path.stem}: {text}': read_recording(str(path)) for path, text in known if text != 'stop'
    }
    sounds = sorted(options.sounds.glob('*.flac')) if options.sounds is not None else []
    quiet = {path.stem: read_recording(str(path)) for path in sounds}
    with tempfile.TemporaryDirectory() as folder, VirtualMicrophone() as room:
        parameters = {
            'model__id': options.model,
            'commands__urgent': ['stop'],
            'save_audio_directory': folder,
            'utterance__turn_model': str(TURN_MODEL),
        }
        with robot(environment=room.environment, **parameters) as (client, _):
            client.wait_state('ready')
            ear = Ear(room, client, Path(folder))
            measure(ear, stops, options.rounds)
    transcriber = Transcriber(Settings().model.replaced(id=options.model, language='en'))
    for title, clips in (('speech', others), ('sounds', quiet)):
        false_actions(transcriber, title, clips)


def measure(ear: Ear, stops: dict[str, np.ndarray], rounds: int) -> None:
    """Print the latency of each "stop"."""
    times: list[float] = []
    missed = 0
    for _ in range(rounds):
        for name, samples in stops.items():
            single = samples if 'repeated' not in name else samples[: len(samples) // 3]
            transcript = ear.hear(samples)
            if transcript.command != 'stop' or not ear.arrivals:
                missed += 1
                print(f'{name}: {transcript.text!r} {transcript.reason}')
                continue
            latency = ear.latency(transcript, single)
            times.append(latency)
            early = transcript.ending == Transcript.ENDING_COMMAND
            print(f'{name:24}{latency:7.3f}  {"" if early else "at the end of the turn"}')
    print(f'\nload {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {missed} missed')
    print(
        f'{len(times)} times "stop", from its end to the text (s): median '
        f'{statistics.median(times):.3f}, 95 % {percentile(times, 0.95):.3f}, '
        f'most {max(times):.3f}'
    )


def false_actions(transcriber: Transcriber, title: str, clips: dict[str, np.ndarray]) -> None:
    """Print which clips have a draft that acts, of all that a fast machine makes, and the cost."""
    settings = Settings(model=transcriber.settings, commands=CommandSettings(urgent=['stop']))
    acted = drafts = 0
    for number, (name, samples) in enumerate(clips.items(), 1):
        print(f'\r{title}: {number} of {len(clips)} ', end='', file=sys.stderr)
        texts = drafts_of(transcriber, settings, samples)
        drafts += len(texts)
        if texts and texts[-1].startswith('acts'):
            acted += 1
            print(f'{title}: {name}: {texts[-1]}')
    if clips:
        print(f'\n{title}: {acted} of {len(clips)} act; {drafts / len(clips):.1f} drafts each')


def drafts_of(transcriber: Transcriber, settings: Settings, samples: np.ndarray) -> list[str]:
    """Return the texts of the drafts, the last one marked if it acts."""
    texts: list[str] = []

    def submit(priority: Priority, utterance: Utterance, model: DecodingSettings) -> Job:
        job = Job(priority, lambda context: None)
        hypothesis = transcriber(utterance, model)
        texts.append(hypothesis.text)
        job.finish(hypothesis)
        return job

    pre_roll = settings.microphone.pre_roll
    endpointer = Endpointer(settings.utterance, pre_roll, True)
    buffer = UtteranceBuffer(frame_count(pre_roll))
    watch = UrgentWatch(settings, submit, lambda: True)
    for index, probability in enumerate(activity(samples)):
        frame = Frame(
            samples[index * FRAME_LENGTH : (index + 1) * FRAME_LENGTH], index * FRAME_DURATION
        )
        spoke, ending = endpointer.speaking, endpointer.step(probability)
        buffer.push(frame, probability, endpointer.speaking)
        if ending is not None:
            break
        if endpointer.speaking != spoke:
            watch = UrgentWatch(settings, submit, lambda: True)
        watch.follow(endpointer, lambda: buffer.utterance(endpointer, Ending.SILENCE, ''))
        if watch.found() is not None:
            texts[-1] = f'acts on {texts[-1]!r}'
            break
    return texts


if __name__ == '__main__':
    main()
