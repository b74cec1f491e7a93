"""Barge-in: words of the robot that are published, and words of people that are lost.

    python benchmarks/barge_in.py [--speech FOLDER]

Everything is read from memory, faster than real time, through the node's own parts: voice
activity, endpointer, tiny.en, the robot's words taken out, and the hallucination filter.

- The robot alone: espeak-ng says STORIES in VOICES. What an echo canceller leaves of it is made in
  six ways: fainter by 30 and by 42 dB, with gaps as on a busy machine (a tenth and a quarter of
  it), with the weak parts of the spectrum gone, and with only a few seconds of it.
- A person beside it: recordings of people, with the robot 20 and 30 dB below them. `--speech` adds
  a folder of recordings with their texts (the layouts are in benchmarks/corpus.py).
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
import sys

from corpus import corpus
import numpy as np
from robot import MODEL, RATE, spoken
from sounds import speech
from wake import heard

from distil_whisper_ros.audio.recordings import read_recording
from distil_whisper_ros.core.settings import Settings
from distil_whisper_ros.core.types import Hypothesis, Utterance
from distil_whisper_ros.speech.command_matcher import plain
from distil_whisper_ros.speech.hallucination_filter import rejection
from distil_whisper_ros.speech.own_voice import persons_part
from distil_whisper_ros.speech.own_words import keys
from distil_whisper_ros.whisper.transcriber import Transcriber

STORIES = (
    'The museum was built in eighteen ninety by a merchant who loved clocks. He bought them in '
    'every town he visited, and none of them shows the right time. Please follow me upstairs.',
    'I am driving to the kitchen now. The battery is at forty percent, so I will be back in ten '
    'minutes. Would you like me to bring anything?',
    'Welcome to the library. The books on this floor are about history and geography. If you '
    'look for novels, take the stairs on your left and turn right at the window.',
    'I have found three open parcels in the hall. One of them is addressed to you, and the other '
    'two belong to your neighbours. Shall I carry them upstairs?',
    'Today it will be cloudy with some rain in the afternoon. The highest temperature is twelve '
    'degrees. Take an umbrella with you when you leave the house.',
    'My arm can lift two kilograms, and my camera sees in the dark. I was made by students of '
    'the university, who taught me to play chess and to water the plants.',
    'Please put the red cup on the table. I will wait until you are ready, and then I will fill '
    'it with tea. Be careful, because the water is very hot.',
    'Sorry, the way is blocked by a chair. I am looking for another way around it. It may take '
    'a few seconds, so please be patient and do not move.',
)
VOICES = (
    ('en', 150),
    ('en-us', 140),
    ('en-us+f3', 160),
    ('en-gb-scotland', 145),
    ('en-gb+m3', 165),
)
ECHO, FAINT = 0.03, 0.008  # of the robot's voice
GAP = 0.05  # s that are lost at once
ROOM, SILENCE = 3e-4, 1.0  # amplitude of the noise; s around the speech
LOUDNESS = 0.1  # root mean square of a person
BELOW = (20, 30)  # dB


class Ear:
    """The model, and what the microphone knows of the robot's voice."""

    def __init__(self) -> None:
        self._settings = Settings()
        self._transcriber = Transcriber(
            self._settings.model.replaced(id=str(MODEL), language='en')
        )
        self._random = np.random.default_rng(5)
        self.echo: float | None = None
        """The level of the robot's words in the latest utterance that had some, in dBFS."""

    def texts(self, samples: np.ndarray, story: str) -> Iterator[tuple[str, str]]:
        """Yield what is published of each utterance, and all that the model heard in it."""
        length = len(samples) + 2 * round(SILENCE * RATE)
        room = self._random.normal(0, ROOM, length).astype(np.float32)
        begin = round(SILENCE * RATE)
        room[begin : begin + len(samples)] += samples
        for utterance in heard(room):
            hypothesis = self._transcriber(utterance, self._transcriber.settings)
            yield self._published(hypothesis, utterance, story), hypothesis.text

    def _published(self, hypothesis: Hypothesis, utterance: Utterance, story: str) -> str:
        part = persons_part(hypothesis, keys(story), (), utterance.samples, self.echo)
        self.echo = self.echo if part.echo is None else part.echo
        rest = part.hypothesis
        if not rest.segments or rejection(rest, utterance, self._settings.hallucination_filter):
            return ''
        return rest.text


def with_gaps(samples: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Return samples without a share of their pieces."""
    size = round(GAP * RATE)
    pieces = [samples[at : at + size] for at in range(0, len(samples), size)]
    return np.concatenate([piece for piece in pieces if random.random() >= share])


def gated(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return speech without the weak parts of its spectrum, and unevenly loud."""
    window, step = np.hanning(513)[:-1], 128
    found = np.zeros(len(samples) + 512)
    for at in range(0, len(samples) - 512, step):
        spectrum = np.fft.rfft(samples[at : at + 512] * window)
        size = np.abs(spectrum)
        gain = size / (size + 2 * np.percentile(size, 80) + 1e-9)
        gain *= random.uniform(0.1, 1.0, gain.shape)
        found[at : at + 512] += np.fft.irfft(spectrum * gain) * window
    return (found[: len(samples)] / 1.5).astype(np.float32)


def echoes(story: str, random: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what a canceller may leave of a story in each voice, with the name of the way."""
    for voice, speed in VOICES:
        said = spoken(story, voice, speed)
        yield 'fainter by 30 dB', ECHO * said
        yield 'fainter by 42 dB', FAINT * said
        yield 'a tenth is lost', ECHO * with_gaps(said, 0.1, random)
        yield 'a quarter is lost', ECHO * with_gaps(said, 0.25, random)
        yield 'weak parts are lost', 0.1 * gated(said, random)
        begin = random.integers(len(said) - RATE)
        yield 'a few seconds of it', ECHO * said[begin : begin + random.integers(RATE, 4 * RATE)]


def beside(
    person: np.ndarray, story: str, below: float, random: np.random.Generator
) -> np.ndarray:
    """Return a person's sentence beside a part of the story, which is `below` dB softer."""
    said = spoken(story, *VOICES[random.integers(len(VOICES))])
    begin = random.integers(0, max(1, len(said) - len(person)))
    robot = said[begin : begin + len(person) + RATE]
    robot = robot * LOUDNESS * 10 ** (-below / 20) / loudness(robot)
    both = np.zeros(len(person) + RATE, np.float32)
    both[: len(robot)] += robot
    both[RATE // 2 : RATE // 2 + len(person)] += person * LOUDNESS / loudness(person)
    return both


def loudness(samples: np.ndarray) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(samples**2))) + 1e-9


def robot_alone(ear: Ear, verbose: bool) -> None:
    """Print how many utterances of the robot alone are published in part."""
    random = np.random.default_rng(5)
    count, wrong = Counter[str](), Counter[str]()
    for number, story in enumerate(STORIES, 1):
        for way, samples in echoes(story, random):
            for text, all_of_it in ear.texts(samples, story):
                count[way] += 1
                wrong[way] += bool(text)
                if text and verbose:
                    print(f'\r{text!r} of {all_of_it!r}')
        print(f'\rthe robot alone: {number} of {len(STORIES)} texts ', end='', file=sys.stderr)
    print(f'\r{"the robot alone":26}utterances  published')
    for way, all_of_them in count.items():
        print(f'{way:26}{all_of_them:10}{wrong[way]:11}')


def person_beside(ear: Ear, people: list[tuple[np.ndarray, str]], verbose: bool) -> None:
    """Print how many words of people come through beside the robot's."""
    print(f'{"a person beside it":26}     words  heard  published  robot\'s words')
    for below in BELOW:
        random = np.random.default_rng(below)
        words = understood = published = own = 0
        for number, (samples, reference) in enumerate(people):
            story = STORIES[random.integers(len(STORIES))]
            found = [*ear.texts(beside(samples, story, below, random), story)]
            wanted = Counter(keys(reference))
            texts = ' '.join(text for text, _ in found)
            words += wanted.total()
            understood += (wanted & Counter(keys(' '.join(each for _, each in found)))).total()
            published += (wanted & Counter(keys(texts))).total()
            robots = {key for key in keys(story) if len(key) > 3} - {*wanted}
            own += len(robots & {*keys(texts)})
            if verbose:
                print(f'\r{plain(reference)!r}: {found}')
            print(f'\r{below} dB: {number + 1} of {len(people)} ', end='', file=sys.stderr)
        label = f'the robot {below} dB below'
        print(f'\r{label:26}{words:10}{understood:7}{published:11}{own:15}')


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description='Words of the robot, and people beside it.')
    parser.add_argument('--speech', type=Path, help='more recordings of people with their texts')
    parser.add_argument('--verbose', action='store_true', help='print the texts')
    options = parser.parse_args()
    people = [*speech().values()]
    if options.speech is not None:
        people += [(read_recording(str(path)), text) for path, text in corpus(options.speech)]
    ear = Ear()
    robot_alone(ear, options.verbose)
    person_beside(ear, people, options.verbose)


if __name__ == '__main__':
    main()
