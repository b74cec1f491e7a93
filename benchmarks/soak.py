"""Listen to an hour of audio in a few minutes, and check that the node leaks nothing.

    python benchmarks/soak.py [--minutes 60]

The node, in its own process, hears a recording hands-free as fast as it can: people's sentences,
one each 15 s, in a room's noise. Its memory, threads and open files are read after each
sentence. Memory settles in the first third (the allocator and the caches fill), and must not grow
after that. Writes benchmarks/results/soak.png.
"""

import argparse
from pathlib import Path
import tempfile
import time

import numpy as np
from robot import RATE, robot
import soundfile
from sounds import speech

RESULTS = Path(__file__).resolve().parent / 'results'
PERIOD = 15  # s from sentence to sentence
MAX_GROWTH = 40e6  # bytes, in the last third: pages that the allocator keeps


def recording(path: Path, minutes: float) -> int:
    """Write the recording; return how many sentences are in it."""
    sentences = [samples for samples, _ in speech().values()]
    noise = np.random.default_rng(0)
    count = int(minutes * 60 / PERIOD)
    with soundfile.SoundFile(path, 'w', RATE, 1, 'PCM_16') as file:
        for number in range(count):
            block = noise.normal(0, 3e-4, PERIOD * RATE)
            samples = sentences[number % len(sentences)]
            block[RATE : RATE + len(samples)] += samples
            file.write(block)
    return count


def usage(process: int) -> tuple[float, int, int]:
    """Return a process's resident bytes, threads, and open files."""
    status = Path(f'/proc/{process}/status').read_text()
    values = dict(line.split(':', 1) for line in status.splitlines())
    files = len(list(Path(f'/proc/{process}/fd').iterdir()))
    return int(values['VmRSS'].split()[0]) * 1024.0, int(values['Threads']), files


def soak(minutes: float, show=lambda text: None) -> tuple[np.ndarray, int, int]:
    """Return (bytes, threads, files) after each transcript, the transcripts, and the sentences."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'hour.wav')
        count = recording(path, minutes)
        with robot(audio__source='file', audio__file=str(path)) as (client, process):
            client.wait_state('ready')
            client.switch('hands_free', True)
            usages, seen, quiet = [], 0, time.monotonic()
            while client.states[-1].hands_free or time.monotonic() - quiet < 5:
                time.sleep(0.1)
                if len(client.transcripts) != seen:
                    seen, quiet = len(client.transcripts), time.monotonic()
                    usages.append(usage(process.process.pid))
                    show(f'{seen} of {count} sentences, {usages[-1][0] / 1e6:.0f} MB')
            return np.array(usages), len(client.transcripts), count


def growth(usages: np.ndarray) -> tuple[float, int, int]:
    """Return by how much memory, threads and files grew from the second third to the last.

    Of memory the floor counts: a transcription takes some, and gives it back.
    """
    third = len(usages) // 3
    middle, last = usages[third : 2 * third], usages[2 * third :]
    grown = np.median(last, axis=0) - np.median(middle, axis=0)
    floor = last[:, 0].min() - middle[:, 0].min()
    return float(floor), int(grown[1]), int(grown[2])


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description='Listen for an hour, and look for leaks.')
    parser.add_argument('--minutes', type=float, default=60.0)
    minutes = parser.parse_args().minutes
    began = time.monotonic()
    usages, transcripts, sentences = soak(minutes, lambda text: print(f'\r{text}', end=''))
    memory, threads, files = growth(usages)
    print(f'\n{minutes:.0f} minutes in {time.monotonic() - began:.0f} s: {sentences} sentences, ')
    print(
        f'{transcripts} transcripts; from the second third to the last: {memory / 1e6:+.1f} MB, '
    )
    print(f'{threads:+d} threads, {files:+d} open files')
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4))
    axes.plot(usages[:, 0] / 1e6)
    axes.set(xlabel='sentence', ylabel='resident memory (MB)', ylim=(0, None))
    figure.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / 'soak.png', dpi=110)
    print(f'wrote {RESULTS / "soak.png"}')


if __name__ == '__main__':
    main()
