"""A name to listen to: misses, false alarms in an hour of talk, and the processor time of talk.

    python benchmarks/wake.py [--speech FOLDER] [--minutes 60] [--names prompt]

Everything is read from memory, faster than real time, through the node's own parts: voice
activity, endpointer, the decode of the first seconds, and the comparison with the name.

- Misses: espeak-ng says NAMES before COMMANDS, in VOICES. No recording of people has such a name
  in it, so the first two words of each of their sentences are the name. Clean and in noise.
- False alarms: people's and espeak-ng's sentences in random order, at several paces and in several
  noises, make `--minutes` of talk, in which nobody says a name of NAMES. `--speech` adds a folder
  of recordings with their texts (the layouts are in benchmarks/corpus.py).
- Processor time for that talk: if all is decoded, and with the first seconds alone. `--every 4`
  decodes a quarter of the utterances both ways.

`--names` compares how the model is told the names: in the prompt, as the node does, as hotwords,
or not at all.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
import sys
import time

from audio_context import activity
from corpus import corpus
import numpy as np
from robot import MODEL, RATE, spoken
from sounds import speech, with_noise
import soxr
from utterances import utterances

from distil_whisper_ros.audio.recordings import read_recording
from distil_whisper_ros.core.audio_format import Frame, frame_count, FRAME_DURATION, FRAME_LENGTH
from distil_whisper_ros.core.scheduler import JobContext
from distil_whisper_ros.core.settings import HandsFreeSettings, ModelSettings, Settings
from distil_whisper_ros.core.types import Ending, Hypothesis, Utterance
from distil_whisper_ros.speech.attention import Attention, name_end
from distil_whisper_ros.speech.command_matcher import plain
from distil_whisper_ros.speech.endpointer import Endpointer
from distil_whisper_ros.speech.name_first import FirstWords, NameFirst
from distil_whisper_ros.speech.request import Request
from distil_whisper_ros.speech.utterance_buffer import UtteranceBuffer
from distil_whisper_ros.whisper.transcriber import Transcriber

NAMES = ('hey robot', 'okay computer', 'hello jarvis')
COMMANDS = ('go forward ten meters.', 'stop!', 'what time is it in the kitchen?')
VOICES = (
    ('en', 150),
    ('en-us', 130),
    ('en-us+f3', 160),
    ('en-gb-scotland', 140),
    ('en-gb+m3', 170),
)
RATIOS = (None, 10, 5)  # dB of signal to noise
PACES = (0.92, 1.0, 1.08)
TALK_RATIOS = (None, 20, 10)
LONGEST = 20.0  # s of one recording of the talk
ROOM = 1.0  # s of silence around a sentence


class Ear:
    """The model, and how it is told the names."""

    def __init__(self, model: str, names: str) -> None:
        self._transcriber = Transcriber(Settings().model.replaced(id=model, language='en'))
        self._told = names

    def request(self, names: list[str]) -> Request:
        """Return an utterance's request, hands-free with names."""
        settings = Settings(
            model=self._transcriber.settings, hands_free=HandsFreeSettings(wake_phrases=names)
        )
        return Request(1, settings, implicit=True)

    def model(self, request: Request) -> ModelSettings:
        """Return the model's settings with the names."""
        model = request.settings.model
        if self._told == 'prompt':
            return request.with_names(model)
        capitals = [f'{name[:1].upper()}{name[1:]}' for name in request.wake_phrases]
        return replace(model, hotwords=capitals) if self._told == 'hotwords' else model

    def decode(self, utterance: Utterance, model: ModelSettings, _: object = None) -> Hypothesis:
        """Transcribe."""
        return self._transcriber(utterance, model)

    def hear(self, request: Request, utterance: Utterance, first: NameFirst) -> str:
        """Return the text if the name was heard, else nothing."""
        hypothesis = first(request, utterance, self.model(request), JobContext())
        named = name_end(hypothesis.text, request.wake_phrases) > 0
        return hypothesis.text if named and not isinstance(hypothesis, FirstWords) else ''

    def first(self) -> NameFirst:
        """Return what decodes the first seconds."""
        return NameFirst(self.decode, Attention())


def heard(samples: np.ndarray) -> Iterator[Utterance]:
    """Yield the utterances of audio as the node hears them hands-free."""
    settings = Settings()
    pre_roll = settings.microphone.pre_roll
    endpointer = Endpointer(settings.utterance, pre_roll, True)
    buffer = UtteranceBuffer(frame_count(pre_roll))
    for index, probability in enumerate(activity(samples)):
        begin = index * FRAME_LENGTH
        frame = Frame(samples[begin : begin + FRAME_LENGTH], index * FRAME_DURATION)
        ending = endpointer.step(probability)
        buffer.push(frame, probability, endpointer.speaking)
        if ending is not None:
            yield buffer.utterance(endpointer, ending, '')
            endpointer = Endpointer(settings.utterance, pre_roll, True)
            buffer = UtteranceBuffer(frame_count(pre_roll))
    if endpointer.speaking:
        yield buffer.utterance(endpointer, Ending.SOURCE_ENDED, '')


def in_a_room(samples: np.ndarray, ratio: float | None, seed: int) -> np.ndarray:
    """Return speech with silence around it, and noise in all of it."""
    quiet = np.random.default_rng(seed).normal(0, 1e-4, round(ROOM * RATE)).astype(np.float32)
    whole = np.concatenate([quiet, samples, quiet])
    return whole if ratio is None else with_noise(whole, ratio, seed)


def sentences_with_names() -> dict[str, list[tuple[np.ndarray, str]]]:
    """Return sentences, and the name with which each begins, by who says them."""
    machine = [
        (spoken(f'{name}, {command}', voice, speed), name)
        for name in NAMES
        for command in COMMANDS
        for voice, speed in VOICES
    ]
    people = []
    for samples, text in speech().values():
        first = ' '.join(plain(text).split()[:2])
        if len(first) > 6:
            people.append((samples, first))
    return {'espeak-ng': machine, 'people': people}


def misses(ear: Ear) -> None:
    """Print how often the name is missed."""
    print(f'{"name heard, of":24}' + ''.join(f'{label(ratio):>12}' for ratio in RATIOS))
    for who, said in sentences_with_names().items():
        row = ''
        for ratio in RATIOS:
            found = 0
            for seed, (samples, name) in enumerate(said):
                request, first = ear.request([name]), ear.first()
                pieces = heard(in_a_room(samples, ratio, seed))
                found += any(ear.hear(request, each, first) for each in pieces)
                print(f'\r{who} {label(ratio)} {seed + 1}/{len(said)} ', end='', file=sys.stderr)
            row += f'{found:>6} of {len(said):<3}'
        print(f'\r{who:24}{row}')


def label(ratio: float | None) -> str:
    return 'clean' if ratio is None else f'{ratio} dB'


def talk(minutes: float, folder: Path | None) -> Iterator[np.ndarray]:
    """Yield recordings of talk, of a minute each."""
    known = [samples for samples, _ in utterances() if len(samples) < LONGEST * RATE]
    if folder is not None:
        known += [read_recording(str(path)) for path, _ in corpus(folder)]
    random = np.random.default_rng(1)
    for number in range(round(minutes)):
        parts: list[np.ndarray] = []
        while sum(map(len, parts)) < 60 * RATE:
            samples = known[random.integers(len(known))]
            paced = soxr.resample(samples, RATE * PACES[random.integers(len(PACES))], RATE)
            gap = np.zeros(round(random.uniform(0.1, 1.5) * RATE), np.float32)
            parts += [paced.astype(np.float32), gap]
        whole = np.concatenate(parts)[: 60 * RATE]
        ratio = TALK_RATIOS[number % len(TALK_RATIOS)]
        yield whole if ratio is None else with_noise(whole, ratio, number)


def alarms(ear: Ear, minutes: float, every: int, folder: Path | None) -> None:
    """Print the false alarms in talk, and the processor time for it."""
    request = ear.request(list(NAMES))
    count = found = both = 0
    whole = first_alone = hearing = 0.0
    for number, minute in enumerate(talk(minutes, folder), 1):
        begun = time.process_time()
        pieces = list(heard(minute))
        hearing += time.process_time() - begun
        for utterance in pieces:
            count += 1
            first = ear.first()
            begun = time.process_time()
            text = ear.hear(request, utterance, first)
            spent = time.process_time() - begun
            if text:
                found += 1
                print(f'\rfalse alarm: {text}')
            if count % every == 0:
                both += 1
                first_alone += spent
                begun = time.process_time()
                ear.decode(utterance, ear.model(request))
                whole += time.process_time() - begun
        print(f'\r{number} of {minutes:g} minutes, {found} false alarms ', end='', file=sys.stderr)
    hours = minutes / 60
    print(f'\r{found} false alarms in {hours:g} h of talk, {count} utterances')
    share = count / both * 100 / (hours * 3600)
    print(
        f'processor time, % of one core: voice activity {hearing / (hours * 36):.1f}, '
        f'all decoded {whole * share:.1f}, the first seconds {first_alone * share:.1f} '
        f'({first_alone / whole:.2f} of it)'
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description='Misses, false alarms and cost of a name.')
    parser.add_argument('--model', default=str(MODEL), help='a folder, or a name on the hub')
    parser.add_argument('--speech', type=Path, help='more recordings of talk with their texts')
    parser.add_argument('--minutes', type=float, default=60, help='of talk; 0 for none')
    parser.add_argument('--every', type=int, default=4, help='compare the time on each so many')
    parser.add_argument('--names', choices=('prompt', 'hotwords', 'none'), default='prompt')
    options = parser.parse_args()
    ear = Ear(options.model, options.names)
    misses(ear)
    if options.minutes:
        alarms(ear, options.minutes, options.every, options.speech)


if __name__ == '__main__':
    main()
