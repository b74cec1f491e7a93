"""A set of 156 utterances of people and of espeak-ng, from 1 s to 28 s, clean and in noise."""

from itertools import chain
import os

import numpy as np
from robot import RATE, spoken
from sounds import speech, with_noise
from word_timestamps import SENTENCES

RATIOS = (None, 15, 5)  # dB of signal to noise
NOISIER = (20, 10, 3)
BREATH = np.zeros(RATE // 2, np.float32)

Clip = tuple[np.ndarray, str]
"""The samples and the reference text."""


def utterances() -> list[Clip]:
    """Return all clips: first the short ones, then the long ones."""
    return [
        (samples if ratio is None else with_noise(samples, ratio, number), text)
        for number, (samples, text) in enumerate([*short(), *long()])
        for ratio in RATIOS
    ]


def every(step: int) -> list[Clip]:
    """Return each clip whose number `step` divides; all of them if `RELIABILITY` is full.

    With a step that 3 does not divide, clean and noisy clips stay as frequent as they are.
    """
    return utterances()[:: 1 if os.environ.get('RELIABILITY') == 'full' else step]


def more_in_noise() -> list[Clip]:
    """Return 312 others: the same sentences, each in six other noises."""
    clips = [*short(), *long()]
    return [
        (with_noise(samples, ratio, seed), text)
        for seed, (samples, text) in enumerate(clips * 2, len(clips))
        for ratio in NOISIER
    ]


def short() -> list[Clip]:
    """Return people's recordings, and sentences of espeak-ng, of up to 7.1 s."""
    return [*speech().values()] + [
        (spoken(text, 'en-us', speed), text) for text in SENTENCES for speed in (130, 170)
    ]


def long() -> list[Clip]:
    """Return several sentences in one breath, of up to 28 s.

    Those of people follow each other in the book that they are read from.
    """
    people = list(speech().items())
    book = [clip for name, clip in people if name.startswith('librivox')]
    cards = [clip for name, clip in people if name.startswith('cards')]
    groups = [book[:2], book[1:3], book[1:4], book[2:5], book, book[::-1], cards, cards[::-1]]
    machine = [(spoken(text, 'en-us', 150), text) for text in SENTENCES]
    groups += [machine[:2], machine[2:4], machine[4:7], machine[7:10], machine[::2], machine[1::2]]
    groups += [machine[:9], machine[3:]]
    return [joined(group) for group in groups]


def joined(group: list[Clip]) -> Clip:
    """Return sentences one after the other, half a second apart."""
    parts = chain.from_iterable((BREATH, samples) for samples, _ in group)
    return np.concatenate([*parts][1:]), ' '.join(text for _, text in group)
