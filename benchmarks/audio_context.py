"""The audio context margin: how much silence must be encoded after an utterance.

    python benchmarks/audio_context.py [--model models/tiny.en] [--quick]

Word error rates over the 156 utterances of latency.py and 312 in more noise. A margin is good for
`model.audio_context_margin` if the word error rate of all does not rise against 30 s. A smaller
margin is faster, but more texts fail and are decoded twice.
"""

import argparse
import statistics
import sys
import time

from robot import MODEL
from utterances import more_in_noise, utterances
from word_errors import difference, mistakes

from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.transcriber import Transcriber

MARGINS = (30.0, 10.0, 7.0, 5.0, 3.0, 2.0)  # s; with 30, the full audio context is encoded


def main() -> None:
    parser = argparse.ArgumentParser(description='The word error rate by audio context margin.')
    parser.add_argument('--model', default=str(MODEL), help='a folder, or a name on the hub')
    parser.add_argument('--dtype', default='auto', help='as model.dtype')
    parser.add_argument('--quick', action='store_true', help='6 utterances')
    arguments = parser.parse_args()
    first = utterances()
    clips = first[:6] if arguments.quick else first + more_in_noise()
    transcriber = Transcriber(ModelSettings(id=arguments.model, dtype=arguments.dtype))
    print(f'{arguments.model}, {len(clips)} utterances')
    print(
        f'{"margin s":>9}{"WER":>8}{f"of first {len(first)}":>14}{"less 30 s, 95 %":>19}'
        f'{"median s":>10}{"redone":>8}'
    )
    baseline = None
    for margin in MARGINS:
        settings = ModelSettings(
            id=arguments.model, language='en', audio_context_margin=margin, word_timestamps=False
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
        wrong, words = mistakes([text for _, text in clips], texts)
        baseline = wrong if baseline is None else baseline
        low, high = difference(wrong, baseline, words)
        rates = [part.sum() / words[: len(part)].sum() for part in (wrong, wrong[: len(first)])]
        print(
            f'{margin:9.1f}{rates[0]:8.3f}{rates[1]:14.3f}{f"{low:+.3f} to {high:+.3f}":>19}'
            f'{statistics.median(times):10.3f}{redone:8}'
        )


if __name__ == '__main__':
    main()
