""" "Stop" in the middle of the robot's sentence: how soon it acts, and what acts that nobody said.

    python benchmarks/interrupt.py [--speech FOLDER] [--cases 40] [--alone 240] [--verbose]

Everything is read from memory through the node's own parts: voice activity, the pieces in which
urgent commands are heard while the robot speaks, tiny.en, and the robot's words taken out. The
clock is the audio's: each draft takes DRAFT seconds, as on an idle processor, so that a busy one
changes nothing in the numbers.

- A person beside it: espeak-ng is the robot, and says the STORIES of barge_in.py without a pause.
  Other voices of espeak-ng, and the recordings of `--speech` whose text is an urgent command, say
  "stop" or "halt" at any place in it, once or again and again. The robot is 10, 20 and 30 dB below
  them, or a canceller has left pieces of it. Counted from the end of the first word: acted within
  0.4 s, within 1 s, later, or never.
  The row of a silent robot tells what the model makes of the words at all.
- The robot alone: SENTENCES and the stories in all voices, as loud as a person and less. Nothing
  must act, not even where the robot says the word itself. Then the same without
  `self_speech.text_topic`, where a robot that says the word stops itself.
- People who say something else beside the robot: sentences that have the word, and words that are
  like it.
"""

import argparse
from collections import Counter
from dataclasses import dataclass
import heapq
import itertools
from pathlib import Path
import sys

from audio_context import activity
from barge_in import gated, loudness, STORIES, VOICES
from corpus import corpus
import numpy as np
from robot import MODEL, RATE, spoken
from urgent import word_end

from distil_whisper_ros.audio.recordings import read_recording
from distil_whisper_ros.core.audio_format import Frame, FRAME_DURATION, FRAME_LENGTH
from distil_whisper_ros.core.scheduler import Job, Priority
from distil_whisper_ros.core.settings import CommandSettings, DecodingSettings, Settings
from distil_whisper_ros.core.types import Hypothesis, Utterance
from distil_whisper_ros.speech.command_matcher import plain
from distil_whisper_ros.speech.own_voice import OwnVoice
from distil_whisper_ros.speech.self_speech import SelfSpeechGate
from distil_whisper_ros.speech.urgent import UrgentWatch
from distil_whisper_ros.speech.urgent_ear import UrgentEar
from distil_whisper_ros.whisper.transcriber import Transcriber

URGENT = ('stop', 'halt')
PEOPLE = (
    ('en-us+m7', 150),
    ('en-gb-x-rp+f2', 140),
    ('en-029', 150),
    ('en-us+f5', 170),
    ('en-gb-x-gbclan', 150),
)
SAID = ('Stop!', 'Halt!', 'Stop! Stop!', 'Stop! Stop! Stop!')
AGAIN = 0.15  # s between two recordings of a word
SILENT = 120.0  # dB
ECHOES = (10.0, 20.0, 30.0, None, SILENT)  # dB below; None is what a canceller leaves
LEFT = 15.0  # dB of that below the person
LOUDNESS = 0.1  # root mean square of a person
ROOM, BEFORE, BEHIND = 3e-4, 0.5, 2.5  # noise; s before the robot, and behind the person's word
DRAFT = 0.2  # s that the model takes for a draft
SENTENCES = (
    'The bus stop is behind the house.',
    'I will stop at the door and wait for you.',
    'Please do not stop the motor while I am moving.',
    'If you say stop, I stop at once.',
    'The guard called halt, and everybody stood still.',
    'We stop here. Is this the right room?',
    'Stop signs are red in most countries.',
    'Nothing can stop us now.',
    'The train comes to a halt in every village.',
    'Next stop, the central station.',
    'The shop on the corner sells stamps and postcards.',
    'He put the salt on top of the cupboard.',
    'Your laptop is on the desk in the study.',
    'It is hot outside, so drink a lot of water.',
    'What a lot of dots on that map!',
    'I spotted a small spot on the carpet.',
    'The old man told a tall story about gold.',
    'Half of the hall is under water.',
    'Hold the handle and turn it to the left.',
    'The top floor is closed today.',
    'Start the washing machine at eight.',
    'There are steps in front of you.',
    'Shall I chop the onions for the soup?',
    'You have got a new message from Bob.',
    'Good morning. I hope that you slept well.',
    'The door of the garage is still open.',
    'I cannot find the charger.',
    'Lunch is ready in the kitchen.',
    'My name is Sam, and I am here to help you.',
    'Would you like to hear the news?',
)
NO_STOP = (
    "Don't stop!",
    'Never stop.',
    'Do not stop now.',
    'I will never stop.',
    'The bus stop is there.',
)
LIKE_IT = (
    'Top!',
    'Shop.',
    'Stock.',
    'Step.',
    'Start!',
    'Stamp.',
    'Drop it.',
    'Hold it.',
    'Salt.',
    'Hot.',
)


@dataclass(frozen=True)
class Acted:
    """What came of one recording."""

    moment: float | None
    """When a draft acted, in seconds of the recording; None if none did."""
    texts: tuple[str, ...]
    """Of all drafts."""


class Ear:
    """The node's parts that hear urgent commands while the robot speaks, on the audio's clock."""

    def __init__(self, model: str, transcriber: Transcriber | None = None) -> None:
        """Load a model, or use one."""
        self._transcriber = transcriber or Transcriber(
            Settings().model.replaced(id=model, language='en')
        )
        self._settings = Settings(
            model=self._transcriber.settings, commands=CommandSettings(urgent=[*URGENT])
        )

    def hear(self, samples: np.ndarray, story: str) -> Acted:
        """Hear the robot say a story from the first sample on, and perhaps a person."""
        now, texts, count = 0.0, list[str](), itertools.count()
        waiting: list[tuple[float, int, Job, Hypothesis]] = []
        gate = SelfSpeechGate(lambda: now)
        own_voice = OwnVoice(gate, lambda: now)
        gate.begin('benchmark')
        own_voice.add(story)

        def submit(priority: Priority, utterance: Utterance, model: DecodingSettings) -> Job:
            job = Job(priority, lambda context: None)
            hypothesis = self._transcriber(utterance, model)
            texts.append(f'{now:.2f} {hypothesis.text}')
            begin = max([now, *(each[0] for each in waiting)])
            heapq.heappush(waiting, (begin + DRAFT, next(count), job, hypothesis))
            return job

        def idle() -> bool:
            return all(each[2].aborted for each in waiting)

        ear = UrgentEar(
            self._settings,
            lambda alone: UrgentWatch(self._settings, submit, idle, own_voice, alone=alone),
        )
        samples = samples[: len(samples) // FRAME_LENGTH * FRAME_LENGTH]
        for index, probability in enumerate(activity(samples)):
            frame = samples[index * FRAME_LENGTH : (index + 1) * FRAME_LENGTH]
            now = (index + 1) * FRAME_DURATION
            while waiting and waiting[0][0] <= now:
                _, _, job, hypothesis = heapq.heappop(waiting)
                if not job.aborted:
                    job.finish(hypothesis)
            ear.take(Frame(frame, now - FRAME_DURATION), probability)
            if ear.found() is not None:
                return Acted(now, tuple(texts))
        return Acted(None, tuple(texts))


def trimmed(samples: np.ndarray) -> np.ndarray:
    """Return a word without the silence around it."""
    begin = len(samples) / RATE - word_end(samples[::-1])
    return samples[round(begin * RATE) : round(word_end(samples) * RATE)]


def people(folder: Path | None) -> list[tuple[str, np.ndarray, float]]:
    """Return urgent commands that somebody says, and where the first word ends, in seconds."""
    found = []
    for text in SAID:
        for voice, speed in PEOPLE:
            word = trimmed(spoken(text.split()[0], voice, speed))
            whole = trimmed(spoken(text, voice, speed))
            found.append((f'{text} {voice}', whole, len(word) / RATE))
    for path, text in corpus(folder) if folder is not None else ():
        if plain(text) in URGENT:
            word, gap = trimmed(read_recording(str(path))), np.zeros(round(AGAIN * RATE))
            again = np.concatenate([word, gap, word, gap, word]).astype(np.float32)
            for whole in (word, again):
                name = f'{text}{" again" if whole is again else ""} {path.stem}'
                found.append((name, whole, len(word) / RATE))
    return found


def in_a_room(robot: np.ndarray, seed: int) -> np.ndarray:
    """Return the robot's voice behind a little silence, in a quiet room."""
    silence = np.zeros(round(BEFORE * RATE), np.float32)
    whole = np.concatenate([silence, robot, silence])
    noise = np.random.default_rng(seed).normal(0, ROOM, len(whole))
    return (whole + noise).astype(np.float32)


def case(story: str, voice: tuple[str, int], below: float | None, seed: int) -> np.ndarray:
    """Return what the microphone hears of the robot, so many dB below a person."""
    random = np.random.default_rng(seed)
    robot = spoken(story, *voice)
    robot = gated(robot, random) if below is None else robot
    gain = LOUDNESS * 10 ** (-(LEFT if below is None else below) / 20) / loudness(robot)
    return in_a_room(robot * gain, seed)


def person_beside(ear: Ear, said: list, cases: int, verbose: bool) -> None:
    """Print when "stop" acts, by how loud the robot is."""
    print(f'{"the robot":26}   cases  in 0.4 s  in 1 s  later  never  before the word')
    for below in ECHOES:
        random, times = np.random.default_rng(7), Counter[str]()
        order = random.permutation(cases) * len(said) // cases
        for number, which in enumerate(order):
            name, samples, end = said[which]
            story, voice = STORIES[random.integers(len(STORIES))], VOICES[number % len(VOICES)]
            heard = case(story, voice, below, number)
            latest = len(heard) / RATE - BEFORE - len(samples) / RATE - 0.5
            place = BEFORE + random.uniform(0.3, min(7.0, latest))
            heard = with_person(heard, samples, place)
            acted = ear.hear(heard, story)
            late = None if acted.moment is None else acted.moment - place - end
            kind = _kind(late, end)
            times[kind] += 1
            if verbose and kind in ('never', 'later', 'before'):
                print(f'\r{below} {name} at {place:.2f}..{place + end:.2f}: {kind} {late}')
                print('     ' + '\n     '.join(acted.texts))
            print(f'\r{below} dB: {number + 1} of {cases} ', end='', file=sys.stderr)
        label = _label(below)
        counts = [times['0.4'], times['0.4'] + times['1'], times['later'], times['never']]
        print(
            f'\r{label:26}{cases:8}{counts[0]:10}{counts[1]:8}{counts[2]:7}{counts[3]:7}'
            f'{times["before"]:17}'
        )


def _label(below: float | None) -> str:
    if below is None:
        return 'what a canceller leaves'
    return 'silent' if below == SILENT else f'{below:g} dB below the person'


def with_person(heard: np.ndarray, samples: np.ndarray, place: float) -> np.ndarray:
    """Return what the microphone hears with a person at a place in seconds, to a little behind."""
    begin = round(place * RATE)
    heard = heard[: begin + len(samples) + round(BEHIND * RATE)].copy()
    samples = samples[: len(heard) - begin]
    heard[begin : begin + len(samples)] += samples * LOUDNESS / loudness(samples)
    return heard


def others_beside(ear: Ear, verbose: bool) -> None:
    """Print what acts of what people say that is no urgent command."""
    beside = ECHOES[:-1]
    for title, texts, levels in (
        ('it has the word', NO_STOP, beside),
        ('it is like the word', LIKE_IT, beside[1:2]),
    ):
        cases = [*itertools.product(texts, PEOPLE, levels)]
        wrong = Counter[float | None]()
        for number, (text, (voice, speed), below) in enumerate(cases):
            story, robot = STORIES[number * 3 % len(STORIES)], VOICES[number % len(VOICES)]
            samples = trimmed(spoken(text, voice, speed))
            acted = ear.hear(with_person(case(story, robot, below, number), samples, 2.5), story)
            wrong[below] += acted.moment is not None
            if verbose and acted.moment is not None:
                print(f'\r{below} {text!r} {voice} at 2.5: {acted.moment:.2f}')
                print('     ' + '\n     '.join(acted.texts))
            print(f'\r{title}: {number + 1} of {len(cases)} ', end='', file=sys.stderr)
        counts = ', '.join(f'{_label(below)}: {wrong[below]}' for below in levels)
        print(f'\ra person, {title}: of {len(cases) // len(levels)} each act {counts}')


def _kind(late: float | None, duration: float) -> str:
    if late is None:
        return 'never'
    if late < -duration:
        return 'before'
    return '0.4' if late <= 0.4 else '1' if late <= 1.0 else 'later'


def robot_alone(ear: Ear, most: int, known: bool, verbose: bool) -> None:
    """Print how often something acts while nobody but the robot speaks."""
    cases = [
        (text, voice, below, seed)
        for seed, (below, voice, text) in enumerate(
            itertools.product((0.0, *ECHOES[1:-1]), VOICES, (*SENTENCES, *STORIES))
        )
    ]
    chosen = np.random.default_rng(3).permutation(len(cases))[:most]
    count, wrong, drafts = Counter[bool](), Counter[bool](), 0
    for number, which in enumerate(chosen, 1):
        text, voice, below, seed = cases[which]
        acted = ear.hear(case(text, voice, below, seed), text if known else '')
        own = bool({*URGENT} & {*plain(text).split()})
        count[own] += 1
        wrong[own] += acted.moment is not None
        drafts += len(acted.texts)
        if verbose and acted.moment is not None:
            print(f'\r{text!r} {voice} {below}:\n     ' + '\n     '.join(acted.texts))
        print(f'\rthe robot alone: {number} of {len(chosen)} ', end='', file=sys.stderr)
    for own, label in ((False, 'without the word'), (True, 'with the word')):
        label = f'{label}, its text {"known" if known else "unknown"}'
        print(f'\rthe robot alone, {label}: {count[own]} times, {wrong[own]} act')
    print(f'{drafts / max(1, len(chosen)):.1f} drafts each')


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description='"Stop" while the robot speaks.')
    parser.add_argument('--model', default=str(MODEL), help='a folder, or a name on the hub')
    parser.add_argument('--speech', type=Path, help='recordings of people with their texts')
    parser.add_argument('--cases', type=int, default=40, help='words of people at each level')
    parser.add_argument('--alone', type=int, default=240, help='texts of the robot alone')
    parser.add_argument('--verbose', action='store_true', help='print the drafts of what is wrong')
    options = parser.parse_args()
    ear = Ear(options.model)
    if options.cases:
        person_beside(ear, people(options.speech), options.cases, options.verbose)
        others_beside(ear, options.verbose)
    if options.alone:
        robot_alone(ear, options.alone, True, options.verbose)
        robot_alone(ear, options.alone // 2, False, options.verbose)


if __name__ == '__main__':
    main()
