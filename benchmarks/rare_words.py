"""Rare words: how many invented names are right with hotwords, and what they cost other words.

    python benchmarks/rare_words.py [--model models/tiny.en] [--bonus 0 1 2 3] [--every N]

Six invented names in three sentences by espeak-ng, without hotwords, and with them for each value
of `model.beam_width`; then the word error rate of the utterances of latency.py, in which none of
the names is spoken, with and without the hotwords. `--bonus` tries other bonuses in the beam.
"""

import argparse
import sys

from robot import MODEL, spoken
from utterances import every
from word_errors import mistakes
from word_timestamps import utterance

from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.decoding import hotwords
from distil_whisper_ros.whisper.transcriber import Transcriber

NAMES = ('Zorblax', 'Quintavia', 'Brindlewick', 'Marvotek', 'Tessaly', 'Kovrin')
PATTERNS = (
    'Please bring the red cup to {}.',
    '{} is waiting in the kitchen.',
    'Tell {} that dinner is ready.',
)


def main() -> None:
    parser = argparse.ArgumentParser(description='Rare words with hotwords.')
    parser.add_argument('--model', default=str(MODEL), help='a folder, or a name on the hub')
    parser.add_argument('--bonus', type=float, nargs='+', default=[hotwords.BONUS], help='in nats')
    parser.add_argument('--every', type=int, default=1, help='take each N-th utterance')
    parser.add_argument('--widths', type=int, nargs='+', default=[1, 0, 5], help='of the beam')
    parser.add_argument('--details', action='store_true', help='print the texts')
    options = parser.parse_args()
    transcriber = Transcriber(ModelSettings(id=options.model))
    names = [
        (name, utterance(spoken(pattern.format(name), 'en-us', 140)))
        for name in NAMES
        for pattern in PATTERNS
    ]
    others = [(text, Utterance.whole(samples)) for samples, text in every(options.every)]
    print(f'{options.model}, {len(names)} names, {len(others)} other utterances')
    print(f'{"beam_width":>11}{"bonus":>7}{"names right":>13}{"WER of others":>15}')
    for width in options.widths:
        rows = [(0.0, ()), *((bonus, NAMES) for bonus in (options.bonus if width != 1 else [0.0]))]
        for bonus, words in rows:
            hotwords.BONUS = bonus
            settings = ModelSettings(
                id=options.model, beam_width=width, hotwords=list(words), word_timestamps=False
            )

            def heard(clips, settings=settings) -> list[str]:
                texts = []
                for number, (_, audio) in enumerate(clips, 1):
                    texts.append(transcriber(audio, settings).text)
                    print(f'\r{number} of {len(clips)} ', end='', file=sys.stderr)
                return texts

            found = heard(names)
            right = sum(name.lower() in text.lower() for (name, _), text in zip(names, found))
            again = heard(others)
            wrong, count = mistakes([text for text, _ in others], again)
            told = f'{bonus:g}' if words else 'none'
            rate = wrong.sum() / max(1, count.sum())
            print(f'\r{width:11}{told:>7}{right:13}{rate:15.3f}')
            if options.details:
                for (name, _), text in zip(names, found):
                    print(f'{name:14}{text}')
                for mistaken, (text, _), said in zip(wrong, others, again):
                    print(
                        f'{mistaken:<14}{text}\n{"":14}{said}' if mistaken else '',
                        end='\n' * bool(mistaken),
                    )


if __name__ == '__main__':
    main()
