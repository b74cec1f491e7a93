"""Latency from the end of speech to the text, compared with other engines.

    python benchmarks/latency.py [--quick] [--only NAME,NAME]

Part 1, real time: the node in its own process hears people and espeak-ng through the virtual
microphone; the time from the last sample of speech to the text's arrival on /speech/text.
Part 2, the same audio and weights, 156 utterances from 1 s to 28 s, clean and in noise: ours as it
is by default on a CPU, with a beam search in doubt, and with all 30 s encoded, in int8 and in
float32; the model card's pipeline as written; faster-whisper in int8 and float32 and with a beam
of 5; and whisper.cpp where pywhispercpp is installed. Each has a process of its own; they work in
turns of 12 utterances, so that a machine that becomes slower does so for all.
Results: tables of ratios, and benchmarks/results/latency.json and latency.png.
"""

import argparse
from importlib.util import find_spec
import json
import os
from pathlib import Path
import platform
import statistics
import subprocess
import sys
import time
from typing import Any

from engines import ENGINES
import numpy as np
from robot import MODEL, RATE, robot, ROOT, TURN_MODEL, VirtualMicrophone, wait_for
from sounds import speech
from utterances import Clip, short, utterances
from word_errors import difference, mistakes

RESULTS = Path(__file__).parent / 'results'
TURN = 12  # utterances of an engine in a row
PEER = 'fw-int8'
SHORT = 10.0  # s: most commands are shorter
CLASSES = ((0.0, SHORT), (SHORT, 30.0))  # s, lengths of utterances


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def in_real_time(clips: list[Clip], **parameters: Any) -> list[dict]:
    """Return for each clip the latency and its parts, through the microphone and DDS.

    `parameters` are those of the node, with two underscores for a dot.
    """
    rows = []
    with VirtualMicrophone() as room:
        parameters = {'utterance__turn_model': str(TURN_MODEL), **parameters}
        with robot(environment=room.environment, **parameters) as (client, _):
            from std_msgs.msg import String

            arrivals: list[float] = []
            client.node.create_subscription(
                String, 'speech/text', lambda _: arrivals.append(time.time()), 10
            )
            client.wait_state('ready')
            for count, (samples, _) in enumerate(clips, 1):
                client.transcripts.clear()
                arrivals.clear()
                future = client.start_trigger('record')
                client.wait_state('waiting', 'hearing')
                room.say(samples, wait=False)
                wait_for(future.done, 60, 'the reply')
                print(f'\rreal time: {count} of {len(clips)}', end='', file=sys.stderr)
                if not future.result().success:
                    print(f'\n{count}: {future.result().message}', file=sys.stderr)
                    continue
                wait_for(lambda: client.transcripts and arrivals, 5, 'the text')
                transcript = client.transcripts[0]
                spoken = transcript.end_of_speech.sec + transcript.end_of_speech.nanosec / 1e9
                total = arrivals[0] - spoken
                (ended,) = [m for m in client.states if m.label == 'transcribing'][-1:]
                endpoint = ended.stamp.sec + ended.stamp.nanosec / 1e9 - spoken
                rows.append(
                    {
                        'total': total,
                        'endpoint': endpoint,
                        'processing': transcript.latency - endpoint,
                        'DDS': total - transcript.latency,
                        'text': transcript.text,
                    }
                )
                room.quiet()
                time.sleep(0.3)
    print(file=sys.stderr)
    return rows


class Engine:
    """An engine's process; see benchmarks/engines.py."""

    def __init__(self, name: str, audio: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / 'engines.py'), name, audio, MODEL],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, 'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'},
        )
        self.start = self.read()
        self.clips: list[dict] = []

    def read(self) -> dict:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f'an engine ended with {self.process.wait()}')
        return json.loads(line)

    def transcribe(self, name: object) -> None:
        assert self.process.stdin is not None
        print(name, file=self.process.stdin, flush=True)
        self.clips.append(self.read())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measure(clips: list[Clip], names: list[str]) -> dict[str, dict]:
    """Return the results of each engine: its start, and each clip."""
    RESULTS.mkdir(exist_ok=True)
    audio = RESULTS / 'audio.npz'
    arrays: Any = {str(number): samples for number, (samples, _) in enumerate(clips)}
    np.savez(audio, **arrays)
    engines = {}
    for name in names:
        print(f'\rstarting {ENGINES[name]} {"":30}', end='', file=sys.stderr)
        engines[name] = Engine(name, audio)
    for begin in range(0, len(clips), TURN):
        numbers = range(begin, min(begin + TURN, len(clips)))
        for name, engine in engines.items():
            print(f'\r{numbers[-1] + 1} of {len(clips)}: {name:40}', end='', file=sys.stderr)
            time.sleep(0.3)  # the threads of the engine before still spin
            for number in numbers:
                engine.transcribe(number)
    print(file=sys.stderr)
    for engine in engines.values():
        engine.close()
    return {name: {**engine.start, 'clips': engine.clips} for name, engine in engines.items()}


def show_real_time(rows: list[dict]) -> None:
    totals = [row['total'] for row in rows]
    print(f'\nFrom the end of speech to the text on the topic ({len(rows)} utterances, s):')
    print(f'{"":12}{"5 %":>8}{"median":>8}{"95 %":>8}{"most":>8}')
    split = {'total': totals} | {
        title: [row[key] for row in rows]
        for title, key in (('endpoint', 'endpoint'), ('after it', 'processing'), ('DDS', 'DDS'))
    }
    for name, values in split.items():
        print(
            f'{name:12}{percentile(values, 0.05):8.3f}{statistics.median(values):8.3f}'
            f'{percentile(values, 0.95):8.3f}{max(values):8.3f}'
        )


def show_parts(engine: dict) -> None:
    print('\nStages of ours (s per utterance):')
    print(f'{"":22}{"median":>8}{"95 %":>8}')
    for name in ('features', 'encoder', 'decoder', 'words', 'hallucination filter'):
        values = [clip['parts'].get(name, 0.0) for clip in engine['clips']]
        print(f'{name:22}{statistics.median(values):8.4f}{percentile(values, 0.95):8.4f}')


def show_engines(engines: dict[str, dict], clips: list[Clip]) -> None:
    """Print times, ratios to ours and to the peer, and word error rates."""
    for shortest, longest in CLASSES:
        chosen = [
            number
            for number, (samples, _) in enumerate(clips)
            if shortest <= len(samples) / RATE < longest
        ]
        if not chosen:
            continue
        print(f'\n{len(chosen)} utterances from {shortest:g} to {longest:g} s (medians):')
        head = f'{"":42}{"s":>7}{"of " + PEER:>12}{"of card":>9}'
        print(head + '\n' + '-' * len(head))
        for name, engine in engines.items():
            times = [engine['clips'][number]['time'] for number in chosen]
            print(f'{ENGINES[name]:42}{statistics.median(times):7.3f}', end='')
            for other, width in ((PEER, 12), ('card', 9)):
                ratio = float('nan')
                if other in engines:
                    ratio = statistics.median(
                        time / engines[other]['clips'][number]['time']
                        for number, time in zip(chosen, times)
                    )
                print(f'{ratio:{width}.2f}', end='')
            print()
    print(f'\nAll {len(clips)} utterances (WER: word error rate; less: ours minus it, 95 %):')
    head = f'{"":42}{"WER":>7}{"less":>20}{"load s":>8}{"warm s":>8}{"MB":>7}'
    print(head + '\n' + '-' * len(head))
    references = [text for _, text in clips]
    found = {
        name: mistakes(references, [clip['text'] for clip in engine['clips']])
        for name, engine in engines.items()
    }
    for name, engine in engines.items():
        wrong, words = found[name]
        interval = ''
        if name != 'ours' and 'ours' in engines:
            low, high = difference(found['ours'][0], wrong, words)
            interval = f'{low:+.3f} to {high:+.3f}'
        memory = max(clip['memory'] for clip in engine['clips'])
        rate = wrong.sum() / words.sum()
        print(
            f'{ENGINES[name]:42}{rate:7.3f}{interval:>20}{engine["load"]:8.2f}'
            f'{engine["warm"]:8.2f}{memory:7.0f}'
        )


def plot(rows: list[dict], engines: dict[str, dict], clips: list[Clip]) -> Path:
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout='constrained')
    for key, title in (('endpoint', 'endpoint decided'), ('total', 'text on the topic')):
        times = sorted(row[key] for row in rows)
        shares = [(index + 1) / len(times) for index in range(len(times))]
        left.step(times, shares, where='post', label=title)
    left.set_xlabel('s after the end of speech, through the microphone')
    left.set_ylabel('share of the utterances')
    left.legend()
    lengths = [len(samples) / RATE for samples, _ in clips]
    for name, engine in engines.items():
        times = [clip['time'] for clip in engine['clips']]
        right.scatter(lengths, times, s=8, label=ENGINES[name])
    right.set_xlabel('length of the utterance, s')
    right.set_ylabel('time to transcribe it, s')
    right.set_yscale('log')
    right.legend()
    path = RESULTS / 'latency.png'
    figure.savefig(path, dpi=110)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description='Latency from the end of speech to the text.')
    parser.add_argument('--quick', action='store_true', help='three utterances')
    parser.add_argument('--only', default=','.join(ENGINES), help='engines, separated by commas')
    arguments = parser.parse_args()
    names = arguments.only.split(',')
    if find_spec('pywhispercpp') is None and any(name.startswith('wcpp') for name in names):
        print('whisper.cpp is left out: tools/with_ros pip install pywhispercpp==1.5.1')
        names = [name for name in names if not name.startswith('wcpp')]
    clips = utterances()
    spoken = short()
    if arguments.quick:
        clips, spoken = clips[:3], [*speech().values()][:3]
    engines = measure(clips, names)
    rows = in_real_time(spoken)
    (RESULTS / 'latency.json').write_text(json.dumps({'node': rows, 'engines': engines}, indent=1))
    import torch
    import transformers

    print(
        f'\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python '
        f'{platform.python_version()}, torch {torch.__version__}, transformers '
        f'{transformers.__version__}, model {MODEL.name}'
    )
    show_real_time(rows)
    if 'ours' in engines:
        show_parts(engines['ours'])
    show_engines(engines, clips)
    print(f'\nplot: {plot(rows, engines, clips).relative_to(ROOT)}')


if __name__ == '__main__':
    main()
