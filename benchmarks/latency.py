"""How long after the end of speech the text comes, and how that compares.

    python benchmarks/latency.py [--repeats 3] [--quick]

Part 1, real time: the node in its own process hears recorded people through the virtual
microphone; the time from the last sample of speech to the text's arrival on /speech/text.
Part 2, the same audio and weights, each engine in a process of its own: ours as it is by default
on a CPU, ours with all 30 s encoded, in int8 and in float32, the model card's pipeline as written,
faster-whisper in int8 and float32.
Results: a table of ratios, and benchmarks/results/latency.json and latency.png.
"""

import argparse
import json
import os
from pathlib import Path
import platform
import statistics
import subprocess
import sys
import time

from engines import ENGINES
from robot import MODEL, robot, ROOT, VirtualMicrophone, wait_for
from sounds import speech

RESULTS = Path(__file__).parent / 'results'


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def in_real_time(clips: dict) -> list[dict]:
    """Return for each clip the latency and its parts, through the microphone and DDS."""
    rows = []
    with VirtualMicrophone() as room:
        with robot(environment=room.environment) as (client, _):
            from std_msgs.msg import String

            arrivals: list[float] = []
            client.node.create_subscription(
                String, 'speech/text', lambda _: arrivals.append(time.time()), 10
            )
            client.wait_state('ready')
            for count, (name, (samples, _)) in enumerate(clips.items(), 1):
                client.transcripts.clear()
                arrivals.clear()
                future = client.start_trigger('record')
                client.wait_state('waiting', 'hearing')
                room.say(samples, wait=False)
                wait_for(future.done, 60, 'the reply')
                print(f'\rreal time: {count} of {len(clips)}', end='', file=sys.stderr)
                if not future.result().success:
                    print(f'\n{name}: {future.result().message}', file=sys.stderr)
                    continue
                wait_for(lambda: client.transcripts and arrivals, 5, 'the text')
                transcript = client.transcripts[0]
                spoken = transcript.end_of_speech.sec + transcript.end_of_speech.nanosec / 1e9
                total = arrivals[0] - spoken
                (ended,) = [m for m in client.states if m.label == 'transcribing'][-1:]
                endpoint = ended.stamp.sec + ended.stamp.nanosec / 1e9 - spoken
                rows.append(
                    {
                        'name': name,
                        'total': total,
                        'endpoint': endpoint,
                        'processing': transcript.latency - endpoint,
                        'DDS': total - transcript.latency,
                        'text': transcript.text,
                    }
                )
                time.sleep(0.5)
    print(file=sys.stderr)
    return rows


def measure(clips: dict, repeats: int) -> dict[str, dict]:
    """Return what benchmarks/engines.py prints for each engine."""
    import numpy as np

    RESULTS.mkdir(exist_ok=True)
    audio = RESULTS / 'audio.npz'
    np.savez(audio, **{name: samples for name, (samples, _) in clips.items()})
    found = {}
    for engine in ENGINES:
        run = subprocess.run(
            [
                *(sys.executable, str(Path(__file__).parent / 'engines.py')),
                *(engine, str(audio), str(MODEL), str(repeats)),
            ],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, 'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'},
        )
        found[engine] = json.loads(run.stdout)
    return found


def word_error_rate(texts: dict[str, str], clips: dict) -> float:
    """Return the word error rate over all clips, normalized as OpenAI does."""
    import jiwer
    from whisper_normalizer.english import EnglishTextNormalizer

    normal = EnglishTextNormalizer()
    return jiwer.wer(
        [normal(clips[name][1]) for name in texts], [normal(text) for text in texts.values()]
    )


def show(rows: list[dict], engines: dict[str, dict], clips: dict) -> None:
    totals = [row['total'] for row in rows]
    print(f'\nFrom the end of speech to the text on the topic ({len(rows)} utterances, s):')
    print(f'{"":12}{"median":>8}{"95th percentile":>18}')
    parts = engines['ours']['clips'].values()
    split = {
        'total': totals,
        'endpoint': [row['endpoint'] for row in rows],
        'after it': [row['processing'] for row in rows],
        'features': [clip['parts']['features'] for clip in parts],
        'encoder': [clip['parts']['encoder'] for clip in parts],
        'decoder': [clip['parts']['decoder'] for clip in parts],
        'words': [clip['parts']['words'] for clip in parts],
        'guard': [clip['parts']['guard'] for clip in parts],
        'DDS': [row['DDS'] for row in rows],
    }
    for name, values in split.items():
        print(f'{name:12}{statistics.median(values):8.3f}{percentile(values, 0.95):18.3f}')
    print('\nThe same audio and weights (time: median s an utterance; ratio: time over ours):')
    head = f'{"":42}{"time":>7}{"ratio":>7}{"load s":>8}{"warm s":>8}{"MB":>7}{"WER":>8}'
    print(head + '\n' + '-' * len(head))
    for engine, title in ENGINES.items():
        found = engines[engine]
        times = [clip['time'] for clip in found['clips'].values()]
        ratios = [
            found['clips'][name]['time'] / engines['ours']['clips'][name]['time'] for name in clips
        ]
        wer = word_error_rate({n: c['text'] for n, c in found['clips'].items()}, clips)
        print(
            f'{title:42}{statistics.median(times):7.3f}{statistics.median(ratios):7.2f}'
            f'{found["load"]:8.2f}{found["warm"]:8.2f}{found["memory"]:7.0f}{wer:8.3f}'
        )


def plot(rows: list[dict], engines: dict[str, dict], clips: dict) -> Path:
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout='constrained')
    names = [row['name'] for row in rows]
    left.barh(names, [row['endpoint'] for row in rows], label='endpoint', color='#bbbbbb')
    start = [row['endpoint'] for row in rows]
    left.barh(
        names,
        [row['processing'] for row in rows],
        left=start,
        label='what is left of the transcription',
    )
    left.set_xlabel('s after the end of speech, through the microphone')
    left.legend()
    for engine, title in ENGINES.items():
        points = [
            (len(samples) / 16000, engines[engine]['clips'][name]['time'])
            for name, (samples, _) in clips.items()
        ]
        right.plot(*zip(*sorted(points)), 'o-', label=title, markersize=4)
    right.set_xlabel('length of the utterance, s')
    right.set_ylabel('time to transcribe it, s')
    right.set_ylim(bottom=0)
    right.legend()
    path = RESULTS / 'latency.png'
    figure.savefig(path, dpi=110)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        description='How long after the end of speech the text comes.'
    )
    parser.add_argument(
        '--repeats', type=int, default=3, help='runs of each clip; the median counts'
    )
    parser.add_argument('--quick', action='store_true', help='three clips, once')
    arguments = parser.parse_args()
    clips = speech()
    if arguments.quick:
        clips = dict(list(clips.items())[:3])
        arguments.repeats = 1
    rows = in_real_time(clips)
    engines = measure(clips, arguments.repeats)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / 'latency.json').write_text(json.dumps({'node': rows, 'engines': engines}, indent=1))
    import torch
    import transformers

    print(
        f'\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python '
        f'{platform.python_version()}, torch {torch.__version__}, transformers '
        f'{transformers.__version__}, model {MODEL.name}'
    )
    show(rows, engines, clips)
    print(f'\nplot: {plot(rows, engines, clips).relative_to(ROOT)}')


if __name__ == '__main__':
    main()
