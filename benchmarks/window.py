"""How much silence must be encoded behind an utterance: the word error rate by margin.

    python benchmarks/window.py [--model models/tiny.en] [--quick]

The smallest margin with which the word error rate does not rise is the one for this size of model:
set it as `model.window_margin`.
"""

import argparse
import statistics
import sys
import time

import jiwer
from robot import MODEL
from utterances import utterances
from whisper_normalizer.english import EnglishTextNormalizer

from distil_whisper_ros.settings import ModelSettings
from distil_whisper_ros.transcriber import Transcriber
from distil_whisper_ros.transcript import Utterance

MARGINS = (30.0, 10.0, 7.0, 5.0, 3.0, 2.0)  # s; with 30, the whole window is encoded


def main() -> None:
    parser = argparse.ArgumentParser(description='The word error rate by window margin.')
    parser.add_argument('--model', default=str(MODEL), help='a folder, or a name on the hub')
    parser.add_argument('--dtype', default='auto', help='as model.dtype')
    parser.add_argument('--quick', action='store_true', help='6 utterances')
    arguments = parser.parse_args()
    clips = utterances()[:6] if arguments.quick else utterances()
    normal = EnglishTextNormalizer()
    transcriber = Transcriber(ModelSettings(id=arguments.model, dtype=arguments.dtype))
    print(f'{arguments.model}, {len(clips)} utterances')
    print(f'{"margin s":>9}{"WER":>8}{"median s":>10}{"redone":>8}')
    for margin in MARGINS:
        settings = ModelSettings(
            id=arguments.model, language='en', window_margin=margin, word_times=False
        )
        texts, times, redone = [], [], 0
        for number, (samples, _) in enumerate(clips, 1):
            started = time.perf_counter()
            hypothesis = transcriber(Utterance.whole(samples), settings)
            times.append(time.perf_counter() - started)
            texts.append(hypothesis.text)
            redone += hypothesis.redone
            print(f'\r{margin} s: {number} of {len(clips)} ', end='', file=sys.stderr)
        print('\r', end='', file=sys.stderr)
        rate = jiwer.wer([normal(text) for _, text in clips], [normal(text) for text in texts])
        print(f'{margin:9.1f}{rate:8.3f}{statistics.median(times):10.3f}' f'{redone:8}')


if __name__ == '__main__':
    main()
