"""A set of 156 utterances of people and of espeak-ng, from 1 s to 28 s, clean and in noise."""

from itertools import chain

import numpy as np
from robot import RATE, spoken
from sounds import speech, with_noise
from word_timestamps import SENTENCES

RATIOS = (None, 15, 5)  # dB of signal to noise
NOISIER = (20, 10, 3)
BREATH = np.zeros(RATE // 2, np.float32)

Said = tuple[np.ndarray, str]


def utterances() -> list[Said]:
    """Return the samples and the text of each: first what is short, then what is long."""
    return [
        (samples if ratio is None else with_noise(samples, ratio, number), text)
        for number, (samples, text) in enumerate([*short(), *long()])
        for ratio in RATIOS
    ]


def more_in_noise() -> list[Said]:
    """Return 312 others: the same sentences, each in six other noises."""
    said = [*short(), *long()]
    return [
        (with_noise(samples, ratio, seed), text)
        for seed, (samples, text) in enumerate(said * 2, len(said))
        for ratio in NOISIER
    ]


def short() -> list[Said]:
    """Return people's recordings, and sentences of espeak-ng, of up to 7.1 s."""
    return [*speech().values()] + [
        (spoken(text, 'en-us', speed), text) for text in SENTENCES for speed in (130, 170)
    ]


def long() -> list[Said]:
    """Return several sentences in one breath, of up to 28 s.

    Those of people follow each other in the book that they are read from.
    """
    people = list(speech().items())
    book = [said for name, said in people if name.startswith('librivox')]
    cards = [said for name, said in people if name.startswith('cards')]
    groups = [book[:2], book[1:3], book[1:4], book[2:5], book, book[::-1], cards, cards[::-1]]
    machine = [(spoken(text, 'en-us', 150), text) for text in SENTENCES]
    groups += [machine[:2], machine[2:4], machine[4:7], machine[7:10], machine[::2], machine[1::2]]
    groups += [machine[:9], machine[3:]]
    return [joined(group) for group in groups]


def joined(group: list[Said]) -> Said:
    """Return sentences one after the other, half a second apart."""
    parts = chain.from_iterable((BREATH, samples) for samples, _ in group)
    return np.concatenate([*parts][1:]), ' '.join(text for _, text in group)
