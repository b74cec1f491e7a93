"""More invented names, and sentences in which nobody says them, by other voices and in noise.

The bonus and the share of letters in `decoding/hotwords.py` were chosen on the names and sentences
of `chosen()`, and tried on `held_out()`; its limit by doubt was chosen on `held_out()`.
"""

from collections.abc import Sequence
from itertools import cycle, product

import numpy as np
from robot import spoken
from sounds import with_noise

Voice = tuple[str, int]
Said = tuple[np.ndarray, str, str]
"""The samples, the text, and the name in it or ''."""

NAMES = (
    *('Zelvarin', 'Oktamar', 'Fenwick', 'Bralonia', 'Dorimund'),
    *('Ilvesto', 'Carquin', 'Thessandra', 'Polwick', 'Wendrake'),
)
OTHER_NAMES = (
    *('Harvinel', 'Tolmeric', 'Jessapine', 'Gromwell'),
    *('Sandrivar', 'Mikelund', 'Vespertine', 'Ludovar'),
)
UNSAID = ('Velkor', 'Tamsin', 'Grindelow', 'Pexaro', 'Ansley', 'Merrivale', 'Stanwick', 'Borealis')
ALIKE = ('Kinect', 'Zora', 'Mira', 'Rhett', 'Clay', 'Robb', 'Nell', 'Chara', 'Dorian', 'Watterson')
"""Names that are like words of OTHER_SENTENCES."""
PATTERNS = (
    'Go to {} and wait there.',
    'Give the green book to {}.',
    '{} wants a glass of water.',
    'Where is {} today?',
    'I think that {} is at the door.',
    'Please ask {} to come here, and then close the window.',
)
OTHER_PATTERNS = (
    'The keys belong to {}.',
    '{} will be back in ten minutes.',
    'Can you find {} for me?',
    'My friend {} likes to cook.',
    'We have to call {} before lunch.',
    'Bring this letter to {} as soon as you can.',
)
VOICES = (('en-us', 140), ('en-gb', 150), ('en-gb-scotland', 140), ('en-us+f3', 150))
OTHER_VOICES = (('en-029', 140), ('en-gb-x-rp', 150), ('en-us-nyc', 145), ('en-gb+f2', 140))
SENTENCES = (
    'the weather is nice in the garden today',
    'bring me a glass of cold water please',
    'where did you put the green umbrella',
    'the children are playing in front of the house',
    'I would like a cup of coffee with milk',
    'we need more paper for the printer in the office',
    'the train to the city leaves at half past nine',
    'please clean the floor under the big table',
    'there are three apples and two pears in the basket',
    'go back to your charging station now',
    'how long does it take to get to the airport',
    'the lamp in the hallway is broken again',
    'my brother has a new job in a small town',
    'put the plates and the knives in the dishwasher',
    'she told me that the meeting starts at ten',
    'can you carry this heavy bag to the car',
    'the dog is sleeping behind the old sofa',
    'look to the right and tell me what you see',
    'it will rain in the afternoon and snow at night',
    'the doctor said that I should walk more often',
    'lift the lid slowly and look inside',
    'we met a friend of yours at the market yesterday',
    'play some quiet music in the bedroom',
    'the answer to your question is on the last page',
    'count the chairs that stand around the long desk',
)
OTHER_SENTENCES = (
    'connect the cable to the back of the screen',
    'there is a mirror above the sink in the bathroom',
    'the floor is wet so walk carefully',
    'she made a pot of clay and painted it blue',
    'somebody robbed the bank at the corner',
    'I can smell fresh bread in the kitchen',
    'the chair is too low for this table',
    'open the door in the middle of the corridor',
    'the water in the glass is warm',
    'we saw a zebra and a lion at the zoo',
    'play the song again but not so loud',
    'he sold his car and bought a bicycle',
    'tell her that the parcel is near the gate',
    'I read the letter twice and laughed',
    'a small bell rings when the cake is ready',
    'the robot should wait at the end of the ramp',
    'my knee hurts when I climb the stairs',
    'do not leave the ladder out in the rain',
    'they moved the meeting to Wednesday morning',
    'the cat jumped over the wall and ran away',
    'fill the bucket and carry it to the barn',
    'nine people are waiting for the next bus',
    'turn the handle to the left and pull',
    'the story was about a king and his daughter',
    'clear the shelf and dust it with a cloth',
)
QUIET, NOISY = (None, None, 20, 10), (None, 20, 10, 5, 15, 3)  # dB of signal to noise


def chosen() -> list[tuple[Sequence[str], list[Said]]]:
    """Return hotwords, and what is said with them: 60 names, and 150 sentences without any."""
    return [
        (NAMES, _named(NAMES, PATTERNS, VOICES)),
        (NAMES, _plain(SENTENCES, VOICES)[::2]),
        (UNSAID, _plain(SENTENCES, VOICES)[1::2]),
    ]


def held_out() -> list[tuple[Sequence[str], list[Said]]]:
    """Return the same with other voices: 48 other names, and 150 other sentences.

    Half of the hotwords of the sentences are like words in them.
    """
    return [
        (OTHER_NAMES, _named(OTHER_NAMES, OTHER_PATTERNS, OTHER_VOICES)),
        (ALIKE, _plain(OTHER_SENTENCES, OTHER_VOICES)[::2]),
        ((*NAMES, *UNSAID, *OTHER_NAMES), _plain(OTHER_SENTENCES, OTHER_VOICES)[1::2]),
    ]


def _named(names: Sequence[str], patterns: Sequence[str], voices: Sequence[Voice]) -> list[Said]:
    said = []
    for number, (name, pattern) in enumerate(product(names, patterns)):
        text = pattern.format(name)
        voice = voices[(number + number // len(patterns)) % len(voices)]
        said.append((_said(text, voice, QUIET[number * 7 % 4], number), text, name))
    return said


def _plain(sentences: Sequence[str], voices: Sequence[Voice]) -> list[Said]:
    turns = cycle(voices)
    return [
        (_said(text, next(turns), ratio, number), text, '')
        for number, (text, ratio) in enumerate(product(sentences, NOISY))
    ]


def _said(text: str, voice: Voice, ratio: float | None, seed: int) -> np.ndarray:
    samples = spoken(text, *voice)
    return samples if ratio is None else with_noise(samples, ratio, seed)
