"""Ten minutes of speech: the word error rate, loops, time and memory.

    python benchmarks/long.py [--minutes 10]

People and espeak-ng, one sentence after the other, with pauses from 0.3 to 2 s, as one recording:
ours (segments cut at pauses) and faster-whisper (its own method for long audio), each in a process
of its own. A loop is a run of words that comes 4 times in a row. Memory: the maximum of the
process, after 2 minutes of speech and after all.
"""

import argparse
from pathlib import Path
import tempfile

from engines import ENGINES
import jiwer
from latency import Engine
import numpy as np
from robot import RATE
from utterances import short
from word_errors import normal

COMPARED = ('ours', 'fw-int8', 'fw-float32')
LOOP, LONGEST = 4, 12  # times, words


def recording(minutes: float) -> tuple[np.ndarray, str]:
    """Return the samples and the text."""
    random = np.random.default_rng(0)
    clips = short()
    parts, texts, length = [], [], 0
    while length < minutes * 60 * RATE:
        samples, text = clips[random.integers(len(clips))]
        pause = random.normal(0, 3e-4, int(random.uniform(0.3, 2.0) * RATE))
        parts += [samples, pause.astype(np.float32)]
        texts.append(text)
        length += len(samples) + len(pause)
    return np.concatenate(parts), ' '.join(texts)


def loops(text: str) -> int:
    """Return how many runs of up to 12 words come 4 times in a row."""
    words, count, index = text.split(), 0, 0
    while index < len(words):
        for length in range(1, LONGEST + 1):
            run = words[index : index + length]
            if len(run) == length and words[index : index + LOOP * length] == run * LOOP:
                count += 1
                index += LOOP * length
                break
        else:
            index += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description='Ten minutes of speech.')
    parser.add_argument('--minutes', type=float, default=10.0)
    arguments = parser.parse_args()
    samples, reference = recording(arguments.minutes)
    print(f'{len(samples) / RATE / 60:.1f} minutes, {len(normal(reference).split())} words')
    head = f'{"":42}{"s":>7}{"of speech":>11}{"WER":>7}{"loops":>7}{"MB at 2 min":>13}{"MB":>6}'
    print(head + '\n' + '-' * len(head))
    with tempfile.TemporaryDirectory() as folder:
        audio = Path(folder, 'audio.npz')
        np.savez(audio, warm=short()[0][0], begin=samples[: 120 * RATE], all=samples)
        for name in COMPARED:
            engine = Engine(name, audio)
            engine.transcribe('begin')
            engine.transcribe('all')
            engine.close()
            begin, whole = engine.clips
            text = normal(whole['text'])
            print(
                f'{ENGINES[name]:42}{whole["time"]:7.1f}'
                f'{whole["time"] / (len(samples) / RATE):11.3f}'
                f'{jiwer.wer(normal(reference), text):7.3f}{loops(text):7}'
                f'{begin["memory"]:13.0f}{whole["memory"]:6.0f}',
                flush=True,
            )


if __name__ == '__main__':
    main()
