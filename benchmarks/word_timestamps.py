"""Measure the times and confidences of words, and write benchmarks/results/words.png.

    python benchmarks/word_timestamps.py [--model FOLDER_OR_NAME]

Times: the starts of words in recordings of people, against forced alignment of the recording's
own text by CMU's PocketSphinx, which has acoustic models of its own; words that the model got
wrong are left out. Confidence: words of people and of espeak-ng, clean and in noise, right or
wrong by alignment with the reference; then how often words of a confidence are right. The error of
calibration is the mean distance of the two, weighted by the number of words.
"""

import argparse
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
from pocketsphinx import Decoder
from robot import MODEL, spoken
from sounds import speech, with_noise

from distil_whisper_ros.audio.framing import Framer
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance, Word
from distil_whisper_ros.speech.command_matcher import plain
from distil_whisper_ros.speech.voice_activity import VoiceActivity
from distil_whisper_ros.whisper.transcriber import Transcriber

RESULTS = Path(__file__).resolve().parent / 'results'
SENTENCES = (
    'please bring the red cup to the kitchen',
    'turn left at the end of the corridor',
    'the battery is almost empty',
    'follow me to the elevator on the second floor',
    'stop right there and wait for a minute',
    'what is the temperature in the living room',
    'open the window and close the door',
    'drive slowly around the table twice',
    'there is a box behind the yellow chair',
    'take the small bottle from the upper shelf',
    'my sister will arrive at the station tomorrow',
    'remember where you found the keys',
)
RATIOS = (None, 20, 10, 5, 0)  # dB of signal to noise
BINS = np.linspace(0, 1, 11)


def utterance(samples: np.ndarray) -> Utterance:
    """Return samples with their voice activity, as the recognizer would."""
    activity, framer = VoiceActivity(), Framer()
    frames = [*framer.push(samples, 0.0), *framer.flush()]
    return Utterance.whole(samples, tuple(activity(frame.samples) for frame in frames))


def spelled(words: list[Word]) -> list[tuple[str, Word]]:
    """Return the words in plain letters, numbers in words, each with the word it is of."""
    return [(part, word) for word in words for part in plain(word.text).split()]


def aligned(samples: np.ndarray, text: str) -> list[tuple[str, float]]:
    """Return each word's start in seconds, by forced alignment."""
    decoder = Decoder(loglevel='FATAL', lm=None)
    decoder.set_align_text(text)
    decoder.start_utt()
    decoder.process_raw((samples * 32767).astype('<i2').tobytes(), full_utt=True)
    decoder.end_utt()
    return [
        (part.word.split('(')[0], part.start_frame / 100)
        for part in decoder.seg() or ()
        if part.word[0] not in '<['
    ]


def matches(ours: list[str], theirs: list[str]) -> list[tuple[int, int]]:
    """Return the indices of words that are the same in both."""
    blocks = SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
    return [(b.a + i, b.b + i) for b in blocks for i in range(b.size)]


def time_errors(transcriber: Transcriber) -> dict[str, list[tuple[str, float, float]]]:
    """Return by recording (word, its start by alignment, how much later ours is)."""
    errors = {}
    for name, (samples, text) in speech().items():
        if name.startswith('cards'):
            continue  # cut so tightly that alignment puts every first word at 0
        hypothesis = transcriber(utterance(samples))
        ours = spelled([word for part in hypothesis.segments for word in part.words])
        theirs = aligned(samples, plain(text.replace('-', ' ')))
        pairs = matches([word for word, _ in ours], [word for word, _ in theirs])
        errors[name] = [
            (theirs[j][0], theirs[j][1], ours[i][1].start - theirs[j][1])
            for i, j in pairs
            if not i or ours[i][1] is not ours[i - 1][1]  # the second half of "cold-hearted"
        ]
    return errors


def confidences(transcriber: Transcriber) -> tuple[np.ndarray, np.ndarray]:
    """Return each word's confidence, and whether it is right."""
    clips = [*speech().values()]
    clips += [(spoken(text, 'en-us', speed), text) for text in SENTENCES for speed in (130, 170)]
    values, right = [], []
    for number, (samples, text) in enumerate(clips):
        print(f'\r{number + 1} of {len(clips)} texts', end='', flush=True)
        for ratio in RATIOS:
            noisy = samples if ratio is None else with_noise(samples, ratio, number)
            hypothesis = transcriber(utterance(noisy))
            ours = spelled([word for part in hypothesis.segments for word in part.words])
            theirs = plain(text.replace('-', ' ')).split()
            good = {i for i, _ in matches([word for word, _ in ours], theirs)}
            values += [word.confidence for _, word in ours]
            right += [index in good for index in range(len(ours))]
    print()
    return np.array(values), np.array(right)


def curve(values: np.ndarray, right: np.ndarray) -> tuple[list[tuple[float, float, int]], float]:
    """Return (mean confidence, share of right words, words) of each bin, and the error."""
    rows = []
    for low, high in zip(BINS, BINS[1:]):
        inside = (values >= low) & ((values < high) | (high == 1))
        if inside.sum():
            rows.append((values[inside].mean(), right[inside].mean(), int(inside.sum())))
    error = sum(n * abs(mean - share) for mean, share, n in rows) / len(values)
    return rows, float(error)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description='Times and confidences of words.')
    parser.add_argument('--model', default=str(MODEL))
    arguments = parser.parse_args()
    transcriber = Transcriber(ModelSettings(id=arguments.model))
    errors = np.array([e for rows in time_errors(transcriber).values() for *_, e in rows])
    print(f'{len(errors)} words of people; start of a word, ours minus forced alignment (s):')
    print(f'  median {np.median(errors):+.2f}, 95% within {np.quantile(abs(errors), 0.95):.2f}, ')
    print(f'  largest {abs(errors).max():.2f}')
    values, right = confidences(transcriber)
    rows, error = curve(values, right)
    print(f'{len(values)} words, {right.mean():.0%} right; error of calibration {error:.3f}')
    print(f'{"confidence":>12}{"right":>8}{"words":>8}')
    for mean, share, count in rows:
        print(f'{mean:>12.2f}{share:>8.2f}{count:>8}')
    draw(errors, rows)


def draw(errors: np.ndarray, rows: list[tuple[float, float, int]]) -> None:
    """Write the plot."""
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    left.hist(errors, bins=np.arange(-0.4, 0.42, 0.04))
    left.set(xlabel='start of a word, ours minus forced alignment (s)', ylabel='words')
    right.plot([0, 1], [0, 1], color='0.7')
    right.plot([row[0] for row in rows], [row[1] for row in rows], 'o-')
    for mean, share, count in rows:
        right.annotate(str(count), (mean, share), (0, 6), textcoords='offset points')
    right.set(xlabel='confidence of a word', ylabel='share of right words')
    figure.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / 'words.png', dpi=110)
    print(f'wrote {RESULTS / "words.png"}')


if __name__ == '__main__':
    main()
