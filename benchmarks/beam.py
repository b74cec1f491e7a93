"""Beam search: its time against transformers', and where greedy decoding leaves doubts.

    python benchmarks/beam.py [--model models/tiny.en] [--quick] [--every N] [--more] [--only A,B]
    python benchmarks/beam.py --speech FOLDER
    python benchmarks/beam.py --search [--every N]

Word error rate, median time of an utterance and how many were searched, for each value of
`model.beam_width`, and for the model card's pipeline, which has a beam of 5 in float32. The
utterances are the 156 of latency.py, with `--more` 312 others in more noise, or with `--speech`
a folder's recordings (the layouts are in benchmarks/corpus.py), as they are and in noise. All
take turns at each utterance, so that a machine that becomes slower does so for all; ratios are
medians of the ratios of an utterance. "less card" is the word error rate minus that of the card's
pipeline, as a 95 % interval. `--search` compares the search alone with transformers' `generate`:
float32, 30 s, from the same encoder states, one thread, processor time, and whether the tokens
are the same.
"""

import argparse
from pathlib import Path
import statistics
import sys
import time
from typing import Any

from audio_context import clips_of
from engines import card
import numpy as np
from robot import MODEL
import torch
from utterances import more_in_noise, utterances
from word_errors import difference, mistakes

from distil_whisper_ros.core.scheduler import JobContext
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.audio_context import FULL_CONTEXT
from distil_whisper_ros.whisper.decoding.types import DecodingOptions
from distil_whisper_ros.whisper.transcriber import Transcriber

ROWS: dict[str, tuple[str, float, int, str]] = {
    'greedy': ('auto', -1.0, 1, 'auto'),
    'in doubt': ('auto', -1.0, 0, 'auto'),
    'beam 5': ('auto', -1.0, 5, 'auto'),
    'float32, 30 s, beam 5': ('float32', 30.0, 5, 'auto'),
    'float32, 30 s, generate': ('float32', 30.0, 5, 'transformers'),
}
"""By name: `model.dtype`, `model.audio_context_margin`, `model.beam_width`, `model.engine`."""
CARD = "the model card's pipeline"


def main() -> None:
    parser = argparse.ArgumentParser(description='Beam search: words and time.')
    parser.add_argument('--model', default=str(MODEL), help='a folder, or a name on the hub')
    parser.add_argument('--quick', action='store_true', help='6 utterances')
    parser.add_argument('--every', type=int, default=1, help='take each N-th utterance')
    parser.add_argument('--more', action='store_true', help='312 utterances in more noise too')
    parser.add_argument('--speech', type=Path, help='a folder of recordings with their texts')
    parser.add_argument('--search', action='store_true', help="the search alone, and generate's")
    parser.add_argument('--only', default=','.join([*ROWS, CARD]), help='rows, with commas')
    arguments = parser.parse_args()
    clean, noisy = clips_of(arguments.speech) if arguments.speech else (utterances(), [])
    clips = [*clean, *noisy, *(more_in_noise() if arguments.more else [])]
    clips = clips[:6] if arguments.quick else clips[:: arguments.every]
    if arguments.search:
        compare_searches(arguments.model, [samples for samples, _ in clips])
        return
    names = arguments.only.split(',')
    runs: dict[str, Any] = {
        name: ours(arguments.model, *ROWS[name]) for name in names if name in ROWS
    }
    if CARD in names:
        pipeline = card(arguments.model)
        runs[CARD] = lambda samples: (pipeline(samples)[0], False)
    texts: dict[str, list[str]] = {name: [] for name in runs}
    times: dict[str, list[float]] = {name: [] for name in runs}
    searched = dict.fromkeys(runs, 0)
    for number, (samples, _) in enumerate(clips, 1):
        for name, run in runs.items():
            started = time.perf_counter()
            text, doubtful = run(samples)
            times[name].append(time.perf_counter() - started)
            texts[name].append(text)
            searched[name] += doubtful
        print(f'\r{number} of {len(clips)} ', end='', file=sys.stderr)
    print(f'\r{Path(arguments.model).name}, {len(clips)} utterances')
    print(
        f'{"":26}{"WER":>7}{"less card, 95 %":>19}{"median s":>10}{"of card":>9}{"searched":>10}'
    )
    found = {
        name: mistakes([text for _, text in clips], texts[name], arguments.speech is not None)
        for name in runs
    }
    for name, (wrong, words) in found.items():
        interval, ratio = '', float('nan')
        if CARD in found:
            low, high = difference(wrong, found[CARD][0], words)
            interval = f'{low:+.3f} to {high:+.3f}'
            ratio = statistics.median(np.divide(times[name], times[CARD]).tolist())
        print(
            f'{name:26}{wrong.sum() / words.sum():7.3f}{interval:>19}'
            f'{statistics.median(times[name]):10.3f}{ratio:9.2f}{searched[name]:10}'
        )


def ours(model: str, dtype: str, margin: float, beam_width: int, engine: str):
    settings = ModelSettings(
        id=model,
        dtype=dtype,
        audio_context_margin=margin,
        beam_width=beam_width,
        engine=engine,
        language='en',
        word_timestamps=False,
    )
    transcriber = Transcriber(settings)

    def run(samples: np.ndarray) -> tuple[str, bool]:
        hypothesis = transcriber(Utterance.whole(samples))
        return hypothesis.text, hypothesis.searched

    return run


def compare_searches(model: str, clips: list[np.ndarray]) -> None:
    """Print our search's time as a share of transformers', and how many texts are the same."""
    transcriber = Transcriber(ModelSettings(id=model, dtype='float32'))
    whisper = transcriber._whisper
    prefix = whisper.special_tokens.prefix('en', 'transcribe')
    language = 'en' if transcriber.multilingual else ''
    options = DecodingOptions([], prefix, language, 'transcribe', 128, 5, return_attention=False)
    decoders = whisper.decoders.beam, whisper.decoders.transformers
    assert decoders[0] is not None, 'this model has no search of our own'
    torch.set_num_threads(1)
    times, same = [], 0
    for number, samples in enumerate(clips, 1):
        with torch.inference_mode():
            states = whisper.encode(whisper.features([samples], FULL_CONTEXT))
            tokens, took = [], []
            for decoder in decoders:
                started = time.thread_time()
                (result,) = decoder.decode(states, options, JobContext())
                took.append(time.thread_time() - started)
                tokens.append(result.tokens)
        times.append(took)
        same += tokens[0] == tokens[1]
        print(f'\r{number} of {len(clips)} ', end='', file=sys.stderr)
    ours_took, theirs = np.array(times).T
    print(f'\r{Path(model).name}, float32, 30 s, beam 5, the search alone, one thread:')
    print(f'{same} of {len(clips)} texts are the same')
    print(
        f'ours takes {np.median(ours_took / theirs):.2f} of the time of generate (median), '
        f'{ours_took.sum() / theirs.sum():.2f} of the sum'
    )


if __name__ == '__main__':
    main()
