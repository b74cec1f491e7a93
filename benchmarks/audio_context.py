"""The audio context margin: how much silence must be encoded after an utterance.

    python benchmarks/audio_context.py [--model models/tiny.en] [--quick]
    python benchmarks/audio_context.py --speech FOLDER [--margins 30 7 5] [--peer]

Word error rates over the 156 utterances of latency.py and 312 in more noise, or with `--speech`
over a folder of recordings with their texts (cli/reference_texts.py has the layouts), as they are
and in noise 10 dB below them: short words need such a folder. A margin is good for
`model.audio_context_margin` if the word error rate of all does not rise against 30 s, and no text
comes twice. A smaller margin is faster, but more texts fail and are decoded twice. Margins take
turns, so nothing is printed before the end.

`--zeros` puts rows with these margins before the others, with digital zeros behind all speech, as
Whisper's own code has. `--backgrounds` adds rows with noise of these levels behind all speech
(whisper/features.py), with the model's own margin; -0.7 is about digital silence. `--peer` adds
rows for faster-whisper (int8, beam 1, with and without its voice activity filter) on the weights
of tiny.en.
"""

import argparse
from collections.abc import Sequence
import math
from pathlib import Path
import statistics
import sys
import time

from corpus import corpus
from engines import faster_whisper
from robot import MODEL
from sounds import with_noise
from utterances import more_in_noise, utterances
from word_errors import difference, mistakes

from distil_whisper_ros.audio.framing import frames_of
from distil_whisper_ros.audio.recordings import read_recording
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.speech.voice_activity import VoiceActivity
from distil_whisper_ros.whisper import features
from distil_whisper_ros.whisper.calibration import measure
from distil_whisper_ros.whisper.decoding.fallback import is_repeated
from distil_whisper_ros.whisper.transcriber import Transcriber

MARGINS = [30.0, 10.0, 7.0, 5.0, 3.0, 2.0]  # s; with 30, the full audio context is encoded
OWN_MARGIN = -1.0
NOTHING = -1.0  # s: no clip is so short, so none has noise behind
RATIO = 10  # dB of signal to noise


def main() -> None:
    parser = argparse.ArgumentParser(description='The word error rate by audio context margin.')
    parser.add_argument('--model', default=str(MODEL), help='a folder, or a name on the hub')
    parser.add_argument('--dtype', default='auto', help='as model.dtype')
    parser.add_argument('--quick', action='store_true', help='6 utterances')
    parser.add_argument('--speech', type=Path, help='a folder of recordings with their texts')
    parser.add_argument('--margins', type=float, nargs='+', default=MARGINS, help='in seconds')
    parser.add_argument(
        '--backgrounds', type=float, nargs='+', default=[], help='see whisper/features.py'
    )
    parser.add_argument(
        '--zeros', type=float, nargs='+', default=[], help='margins with digital zeros behind'
    )
    parser.add_argument('--peer', action='store_true', help='measure faster-whisper, too')
    arguments = parser.parse_args()
    first, more = clips_of(arguments.speech) if arguments.speech else (utterances(), None)
    clips = first[:6] if arguments.quick else [*first, *(more or more_in_noise())]
    transcriber = Transcriber(ModelSettings(id=arguments.model, dtype=arguments.dtype))
    heard = [Utterance.whole(samples, activity(samples)) for samples, _ in clips]
    references = [text for _, text in clips]
    print(f'{arguments.model}, {len(clips)} utterances')
    print(
        f'{"margin s":>9}{"WER":>8}{f"of first {len(first)}":>14}{"less first row, 95 %":>22}'
        f'{"median s":>10}{"redone":>8}{"twice":>7}'
    )
    settings = ModelSettings(id=arguments.model, language='en', word_timestamps=False)
    baseline = None
    short, features.SHORT = features.SHORT, NOTHING
    rows = [
        (f'{row.margin:.1f}, 0', row.texts, row.times, row.redone)
        for row in measure(transcriber, heard, settings, arguments.zeros, tell)
    ]
    features.SHORT = short
    rows += [
        (f'{row.margin:.1f}', row.texts, row.times, row.redone)
        for row in measure(transcriber, heard, settings, arguments.margins, tell)
    ]
    for level in arguments.backgrounds:
        features.BACKGROUND, features.SHORT = level, math.inf
        (row,) = measure(transcriber, heard, settings, [OWN_MARGIN], tell)
        rows.append((f'{level:g}', row.texts, row.times, row.redone))
    if arguments.peer:
        rows += [peer(heard, False), peer(heard, True)]
    for name, texts, times, redone in rows:
        wrong, words = mistakes(references, texts, digits=arguments.speech is not None)
        baseline = wrong if baseline is None else baseline
        low, high = difference(wrong, baseline, words)
        rates = [part.sum() / words[: len(part)].sum() for part in (wrong, wrong[: len(first)])]
        twice = sum(
            is_repeated(text) and not is_repeated(reference)
            for text, reference in zip(texts, references)
        )
        print(
            f'{name:>9}{rates[0]:8.3f}{rates[1]:14.3f}{f"{low:+.3f} to {high:+.3f}":>22}'
            f'{statistics.median(times):10.3f}{redone:8}{twice:7}'
        )


def peer(heard: Sequence[Utterance], vad: bool) -> tuple[str, list[str], list[float], int]:
    """Return the row of faster-whisper; `vad` is its voice activity filter."""
    recognize = faster_whisper('int8', vad)
    texts, times = [], []
    for number, utterance in enumerate(heard, 1):
        started = time.perf_counter()
        texts.append(recognize(utterance.samples)[0])
        times.append(time.perf_counter() - started)
        tell(number, len(heard))
    return 'fw + VAD' if vad else 'fw', texts, times, 0


def tell(done: int, total: int) -> None:
    print(f'\r{done} of {total} ', end='', file=sys.stderr)


def clips_of(folder: Path) -> tuple[list, list]:
    """Return a folder's recordings with their texts, as they are and in noise."""
    clean = [(read_recording(str(path)), text) for path, text in corpus(folder)]
    noisy = [
        (with_noise(samples, RATIO, number), text) for number, (samples, text) in enumerate(clean)
    ]
    return clean, noisy


def activity(samples) -> tuple[float, ...]:
    """Return the probability of speech of each frame."""
    voice_activity = VoiceActivity()
    return tuple(voice_activity(frame) for frame in frames_of(samples))


if __name__ == '__main__':
    main()
