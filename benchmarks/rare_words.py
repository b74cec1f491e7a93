"""Rare words: how many invented names are right with hotwords, and what they cost other words.

    python benchmarks/rare_words.py [--model models/tiny.en] [--bonus 0 5] [--every N] [--more]

Six invented names in three sentences by espeak-ng, without hotwords, and with them for each value
of `model.beam_width`; then the word error rate of the utterances of latency.py, in which none of
the names is spoken, with and without the hotwords. "worse" counts the utterances that have more
wrong words than with the prompt alone, which is a bonus of 0. `--bonus` tries other bonuses in the
beam. `--more` takes other names, sentences and voices, in noise: those that the limits of the
search were chosen on, and others.
"""

import argparse
from collections.abc import Sequence
import math
import sys

from more_names import chosen, held_out
import numpy as np
from robot import MODEL, spoken
from utterances import every
from word_errors import mistakes
from word_timestamps import utterance

from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.decoding import hotword_search, hotwords
from distil_whisper_ros.whisper.transcriber import Transcriber

NAMES = ('Zorblax', 'Quintavia', 'Brindlewick', 'Marvotek', 'Tessaly', 'Kovrin')
PATTERNS = (
    'Please bring the red cup to {}.',
    '{} is waiting in the kitchen.',
    'Tell {} that dinner is ready.',
)

Clip = tuple[Utterance, str, str, Sequence[str]]
"""The audio, the text, the name in it or '', and the hotwords."""


def main() -> None:
    parser = argparse.ArgumentParser(description='Rare words with hotwords.')
    parser.add_argument('--model', default=str(MODEL), help='a folder, or a name on the hub')
    parser.add_argument('--bonus', type=float, nargs='+', default=[0.0, hotwords.BONUS])
    parser.add_argument('--every', type=int, default=1, help='take each N-th utterance')
    parser.add_argument('--widths', type=int, nargs='+', default=[1, 0, 5], help='of the beam')
    parser.add_argument('--more', action='store_true', help='other names and sentences')
    parser.add_argument('--details', action='store_true', help='print the texts')
    options = parser.parse_args()
    transcriber = Transcriber(ModelSettings(id=options.model))
    if options.more:
        sets = {'chosen on': more(chosen()), 'held out': more(held_out())}
    else:
        sets = {'': usual(options.every)}
    for title, clips in sets.items():
        count = sum(bool(name) for _, _, name, _ in clips)
        print(f'{options.model}, {count} names, {len(clips) - count} other utterances', title)
        print(
            f'{"beam_width":>10}{"bonus":>7}{"names right":>13}{"WER of others":>15}{"worse":>7}'
        )
        for width in options.widths:
            measure(transcriber, width, clips, options)


def usual(step: int) -> list[Clip]:
    """Return the six names in their sentences, and the utterances of latency.py."""
    clips: list[Clip] = []
    for name in NAMES:
        for pattern in PATTERNS:
            text = pattern.format(name)
            clips.append((utterance(spoken(text, 'en-us', 140)), text, name, NAMES))
    return clips + [(Utterance.whole(samples), text, '', NAMES) for samples, text in every(step)]


def more(groups: list) -> list[Clip]:
    """Return what `more_names` has, as clips."""
    return [
        (utterance(samples), text, name, words)
        for words, said in groups
        for samples, text, name in said
    ]


def measure(
    transcriber: Transcriber, width: int, clips: list[Clip], options: argparse.Namespace
) -> None:
    """Print the rows of one value of `model.beam_width`."""
    before = None
    for bonus in (None, *(options.bonus if width != 1 else [0.0])):
        # Even without a bonus a text with a hotword may be the likelier one.
        hotword_search.BONUS = bonus or -math.inf
        found = []
        for number, (audio, _, _, words) in enumerate(clips, 1):
            settings = ModelSettings(
                id=options.model,
                beam_width=width,
                hotwords=[] if bonus is None else [*words],
                word_timestamps=False,
            )
            found.append(transcriber(audio, settings).text)
            print(f'\r{number} of {len(clips)} ', end='', file=sys.stderr)
        right = sum(
            bool(name) and name.lower() in text.lower()
            for (_, _, name, _), text in zip(clips, found)
        )
        others = np.array([not name for _, _, name, _ in clips])
        wrong, count = mistakes([text for _, text, _, _ in clips], found)
        worse = '' if before is None else (wrong > before)[others].sum()
        before = wrong if bonus == 0 else before
        rate = wrong[others].sum() / max(1, count[others].sum())
        told = 'none' if bonus is None else f'{bonus:g}'
        print(f'\r{width:10}{told:>7}{right:13}{rate:15.3f}{worse:>7}')
        if options.details:
            for (_, text, name, _), said, mistaken in zip(clips, found, wrong):
                if name or mistaken:
                    print(f'{mistaken:<4}{name:14}{text}\n{"":18}{said}')


if __name__ == '__main__':
    main()
