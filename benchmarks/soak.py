"""Hear 10,000 utterances hands-free, and check that the node loses, keeps and slows nothing.

    python benchmarks/soak.py [--utterances 10000] [--source file] [--seconds 0] [--speed 10]

The node, in its own process, hears people's short utterances again and again: from a recording, as
fast as it can read, or through PulseAudio, PortAudio and the capture process (`--source
microphone`). The clock of that microphone runs `--speed` times as fast as the wall clock, so that
10,000 utterances take about an hour and not 8. `--seconds` ends it early. After each transcript
the node's own memory, threads and open files are read. Checked are:

- every utterance is published once;
- after the first SETTLED utterances memory stays within 5 %, files are constant, and so are
  threads, but for those that rclpy's executor starts when it needs them;
- the last tenth takes as long to process as the first.

Writes benchmarks/results/soak-SOURCE.png, and exits with 1 if a check fails.
"""

import argparse
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
import queue
import sys
import tempfile
import threading
import time

import numpy as np
from robot import Client, RATE, robot, VirtualMicrophone, wait_for
import soundfile
from sounds import speech

RESULTS = Path(__file__).resolve().parent / 'results'
NAMES = ('goforward', 'something', 'cards/001', 'cards/003')  # 1 to 3 s each
PAUSE = 1.2  # s after each utterance; it ends after 0.7 s
ROUND = 100  # utterances of the recording, which is played again and again
SHORTEST = 20  # utterances of a part that is compared
SETTLED = 100  # utterances until the allocator and the caches are full
LAZY_THREADS = 5  # rclpy's executor starts its 6 threads one by one, as it needs them
MAX_GROWTH = 0.05  # of the memory
MAX_SLOWER = 0.25  # of the processing time: other programs use the processor, too
TIMEOUT = 60.0  # s for the next transcript
BLOCK = 0.02  # s of audio that the fast microphone writes at once


class FastMicrophone(VirtualMicrophone):
    """A microphone whose clock runs faster: PulseAudio takes its samples from a pipe.

    Between utterances it hears a quiet room, as fast.
    """

    def __init__(self, speed: float) -> None:
        """`speed` is how many seconds of audio come in one second."""
        super().__init__(noise=-200)
        self._speed = speed
        self._pipe = self._folder / 'samples'
        self._waiting: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._writer = threading.Thread(target=self._write, name='fast microphone')

    def plug_in(self) -> None:
        """Make the microphone exist."""
        arguments = f'file={self._pipe}', 'format=s16le', f'rate={RATE}', 'channels=1'
        self._control('load-module', 'module-pipe-source', 'source_name=robot_mic', *arguments)
        self._control('set-default-source', 'robot_mic')
        self._writer.start()

    def say(self, samples: np.ndarray, wait: bool = True) -> None:
        """Let the microphone hear samples (16 kHz mono float32); `wait` has no effect."""
        self._waiting.put(samples)

    def _write(self) -> None:
        with suppress(BrokenPipeError):  # the end of PulseAudio
            self._write_blocks()

    def _write_blocks(self) -> None:
        size = int(BLOCK * RATE)
        room = np.random.default_rng(0).normal(0, 3e-4, 60 * RATE)
        spoken, place, next_block = np.zeros(0), 0, time.monotonic()
        with self._pipe.open('wb', buffering=0) as pipe:
            while not self._ended.is_set():
                if not len(spoken) and not self._waiting.empty():
                    spoken = self._waiting.get()
                block = room[place : place + size].copy()
                place = (place + size) % (len(room) - size)
                block[: len(spoken[:size])] += spoken[:size]
                spoken = spoken[size:]
                pipe.write((block * 32767).astype(np.int16).tobytes())
                next_block = max(next_block + BLOCK / self._speed, time.monotonic() - BLOCK)
                self._ended.wait(max(0.0, next_block - time.monotonic()))

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        super().__exit__(*error)  # without a listener PulseAudio does not read: a write ends here
        self._writer.join()


@dataclass
class Soak:
    """A soak's figures."""

    utterances: int = 0
    """How many were spoken."""
    ids: list[str] = field(default_factory=list)
    """Of the transcripts, in the order of their arrival."""
    usages: list[tuple[float, int, int]] = field(default_factory=list)
    """Bytes, threads and files after each transcript."""
    times: list[float] = field(default_factory=list)
    """The processing time of each transcript in seconds."""

    def _parts(self, settled: int) -> tuple[slice, slice]:
        """Return the first and the last tenth after the first `settled` transcripts.

        A soak that was cut short settles in its first half.
        """
        settled = min(settled, len(self.ids) // 2)
        tenth = max(min(SHORTEST, len(self.ids) // 3), (len(self.ids) - settled) // 10)
        return slice(settled, settled + tenth), slice(-tenth, None)

    def growth(self, settled: int = SETTLED) -> tuple[float, int, int]:
        """Return by how much memory (0.05 is 5 %), threads and files grew.

        Free pages go back to the system every 15 s, and memory falls by 5 % for some utterances:
        a median falls into such a gap, or not. The upper quartile does not.
        """
        first, last = self._parts(settled)
        usages = np.array(self.usages)
        memory, threads, files = usages.T
        return (
            float(np.percentile(memory[last], 75) / np.percentile(memory[first], 75) - 1),
            int(np.median(threads[last]) - threads[: first.stop].max()),
            int(np.median(files[last]) - np.median(files[first])),
        )

    def slower(self, settled: int = SETTLED) -> float:
        """Return by how much the median processing time grew; 0.05 is 5 %."""
        first, last = self._parts(settled)
        return float(np.median(self.times[last]) / np.median(self.times[first]) - 1)

    def problems(self, settled: int = SETTLED) -> list[str]:
        """Return a sentence for each check that failed, but for the processing time."""
        memory, threads, files = self.growth(settled)
        found = []
        if len(self.ids) != self.utterances:
            found.append(f'{self.utterances} utterances have {len(self.ids)} transcripts')
        if len(set(self.ids)) != len(self.ids):
            found.append(f'{len(self.ids) - len(set(self.ids))} transcripts came twice')
        if memory > MAX_GROWTH:
            found.append(f'memory grew by {memory:+.1%}')
        if threads > LAZY_THREADS:
            found.append(f'{threads} threads were added')
        if files > 0:
            found.append(f'{files} files were left open')
        return found


@cache
def sentences() -> dict[str, np.ndarray]:
    """Return the utterances by name."""
    return {name: samples for name, (samples, _) in speech().items() if name in NAMES}


def recording(count: int, first: int = 0) -> np.ndarray:
    """Return `count` utterances in a room's noise, each followed by PAUSE."""
    parts = [
        part
        for number in range(first, first + count)
        for part in (sentences()[NAMES[number % len(NAMES)]], np.zeros(int(PAUSE * RATE)))
    ]
    samples = np.concatenate([np.zeros(RATE // 2), *parts])
    noise = np.random.default_rng(0).normal(0, 3e-4, len(samples))
    return (samples + noise).astype(np.float32)


def usage(process: int) -> tuple[float, int, int]:
    """Return a process's own bytes, its threads, and its open files.

    Pages of files do not count: the kernel takes them when it needs memory, and reads them again.
    """
    status = Path(f'/proc/{process}/status').read_text()
    values = dict(line.split(':', 1) for line in status.splitlines())
    files = len(list(Path(f'/proc/{process}/fd').iterdir()))
    own = sum(int(values[key].split()[0]) for key in ('RssAnon', 'VmSwap'))
    return own * 1024.0, int(values['Threads']), files


def soak(
    utterances: int,
    source: str = 'file',
    seconds: float = 0.0,
    speed: float = 10.0,
    show: Callable[[str], None] = lambda text: None,
) -> Soak:
    """Let the node hear the utterances, or as many as fit into `seconds` if that is not 0.

    `speed` is that of the microphone's clock; a file is read as fast as the node can hear.
    """
    result, began = Soak(), time.monotonic()
    with ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory()), 'round.wav')
        parameters, environment, room = {}, {}, None
        if source == 'file':
            parameters = {'audio__source': 'file', 'audio__file': str(path)}
        else:
            room = stack.enter_context(FastMicrophone(speed))
            environment = room.environment
        write_round(path, ROUND)
        client, process = stack.enter_context(robot(environment=environment, **parameters))
        client.wait_state('ready')
        if room is not None:
            client.switch('hands_free', True)
        while result.utterances < utterances and process.process.poll() is None:
            if seconds and time.monotonic() - began > seconds:
                break
            count = min(ROUND, utterances - result.utterances)
            if count < ROUND:
                write_round(path, count)
                if room is None:  # the file is read when the node is activated
                    client.change_state(4)  # deactivate
                    client.change_state(3)  # activate
            if room is None:
                result.utterances += count
                client.wait_state('ready')  # after the end of the recording
                client.switch('hands_free', True)
                follow(client, process.process.pid, result)
            else:
                for number in range(count):
                    result.utterances += 1
                    room.say(sentences()[NAMES[number % len(NAMES)]])  # the quiet room goes on
                    follow(client, process.process.pid, result)
            memory = result.usages[-1][0] / 1e6
            show(
                f'{len(result.ids)} transcripts of {result.utterances} utterances, '
                f'{memory:.0f} MB, {time.monotonic() - began:.0f} s'
            )
        time.sleep(3)  # for one too many
        take(client, process.process.pid, result)
    return result


def write_round(path: Path, count: int) -> None:
    soundfile.write(path, recording(count), RATE, subtype='PCM_16')


def take(client: Client, process: int, result: Soak) -> None:
    """Note the transcripts that have arrived."""
    while len(client.transcripts) > len(result.ids):
        transcript = client.transcripts[len(result.ids)]
        result.ids.append(transcript.id)
        result.times.append(transcript.processing_time)
        result.usages.append(usage(process))


def follow(client: Client, process: int, result: Soak) -> None:
    """Note transcripts until each utterance has one; a lost one ends it after TIMEOUT."""

    def wait_next() -> bool:
        known = len(result.ids)
        try:
            wait_for(lambda: len(client.transcripts) > known, TIMEOUT, 'the next transcript')
        except TimeoutError:
            return False
        take(client, process, result)
        return True

    while len(result.ids) < result.utterances and wait_next():
        pass


def draw(result: Soak, path: Path) -> None:
    """Draw memory and processing time over the utterances."""
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 5), sharex=True)
    above.plot(np.array(result.usages)[:, 0] / 1e6)
    above.set(ylabel='own memory (MB)', ylim=(0, None))
    width = max(1, len(result.times) // 100)
    whole = len(result.times) // width * width
    medians = np.median(np.reshape(result.times[:whole], (-1, width)), axis=1)
    below.plot(np.arange(len(medians)) * width, medians)
    below.set(xlabel='utterance', ylabel='processing time (s)', ylim=(0, None))
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description='Listen for long, and look for leaks.')
    parser.add_argument('--utterances', type=int, default=10_000)
    parser.add_argument('--source', choices=('file', 'microphone'), default='file')
    parser.add_argument('--seconds', type=float, default=0.0, help='end after so long')
    parser.add_argument('--speed', type=float, default=10.0, help="of the microphone's clock")
    options = parser.parse_args()
    began = time.monotonic()
    result = soak(
        options.utterances,
        options.source,
        options.seconds,
        options.speed,
        lambda text: print(text, flush=True),
    )
    if len(result.ids) < 10:
        sys.exit(f'failed: {result.utterances} utterances have {len(result.ids)} transcripts')
    memory, threads, files = result.growth()
    slower, problems = result.slower(), result.problems()
    if slower > MAX_SLOWER:
        problems.append(f'the last tenth took {slower:+.0%} more processing time than the first')
    print(
        f'{result.utterances} utterances from the {options.source} in '
        f'{time.monotonic() - began:.0f} s: {len(result.ids)} transcripts; memory {memory:+.1%}, '
        f'threads {threads:+d}, files {files:+d}, median processing time '
        f'{np.median(result.times):.3f} s, {slower:+.1%} from the first to the last tenth'
    )
    path = RESULTS / f'soak-{options.source}.png'
    draw(result, path)
    print(f'wrote {path}')
    if problems:
        sys.exit('failed: ' + '; '.join(problems))


if __name__ == '__main__':
    main()
