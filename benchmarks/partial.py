"""The cost of partial text: latency of the final text, and CPU time.

    python benchmarks/partial.py [--rounds 2]

The node in its own process hears recorded people through the virtual microphone; in turns
without and with a subscriber to speech/partial. Writes benchmarks/results/partial.png.
"""

import argparse
import os
from pathlib import Path
import statistics
import sys
import time

from robot import robot, VirtualMicrophone, wait_for
from sounds import speech
from std_msgs.msg import String

RESULTS = Path(__file__).resolve().parent / 'results'
TICKS = os.sysconf('SC_CLK_TCK')


def processor_time(process: int) -> float:
    """Return the CPU time that a process has used, in seconds."""
    fields = Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(rounds: int) -> dict[bool, list[dict]]:
    """Return the rows with and without a subscriber."""
    clips = {name: clip for name, clip in speech().items() if not name.startswith('cards')}
    rows: dict[bool, list[dict]] = {False: [], True: []}
    with VirtualMicrophone() as room, robot(environment=room.environment) as (client, process):
        client.wait_state('ready')
        for number in range(rounds * 2):
            read = bool(number % 2)
            partials: list[float] = []

            def on_partial(_message: String, partials=partials) -> None:
                partials.append(time.time())

            subscription = None
            if read:
                subscription = client.node.create_subscription(
                    String, 'speech/partial', on_partial, 10
                )
                time.sleep(1)
            for name, (samples, _) in clips.items():
                client.transcripts.clear()
                partials.clear()
                future = client.start_trigger('record')
                client.wait_state('waiting', 'hearing')
                before = processor_time(process.process.pid)
                room.say(samples, wait=False)
                wait_for(future.done, 60, 'the reply')
                wait_for(lambda: client.transcripts, 5, 'the transcript')
                (transcript,) = client.transcripts
                begun = transcript.header.stamp.sec + transcript.header.stamp.nanosec / 1e9
                rows[read].append(
                    {
                        'name': name,
                        'latency': transcript.latency,
                        'load': (processor_time(process.process.pid) - before)
                        / (time.time() - begun),
                        'partials': len(partials),
                        'first': partials[0] - begun if partials else float('nan'),
                    }
                )
                print(f'\rround {number + 1} of {rounds * 2}: {name:16}', end='', file=sys.stderr)
                time.sleep(0.5)
            if subscription is not None:
                client.node.destroy_subscription(subscription)
                time.sleep(1)
    print(file=sys.stderr)
    return rows


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description='The cost of partial text.')
    parser.add_argument('--rounds', type=int, default=2)
    rows = measure(parser.parse_args().rounds)
    print(f'{"":26}{"without":>10}{"with":>10}{"ratio":>8}')
    for title, key, choose in (
        ('latency, median (s)', 'latency', statistics.median),
        ('latency, slowest (s)', 'latency', max),
        ('CPU while hearing (cores)', 'load', statistics.median),
    ):
        one, other = (choose([row[key] for row in rows[read]]) for read in (False, True))
        print(f'{title:26}{one:>10.3f}{other:>10.3f}{other / one:>8.2f}')
    read = rows[True]
    print(f'partial texts an utterance: {statistics.mean(row["partials"] for row in read):.1f}, ')
    first = [row['first'] for row in read if row['partials']]
    print(f'the first {statistics.median(first):.2f} s after the beginning of speech (median)')
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4))
    for label, values in (('without', rows[False]), ('with', rows[True])):
        ordered = sorted(row['latency'] for row in values)
        shares = [(index + 1) / len(ordered) for index in range(len(ordered))]
        axes.step(ordered, shares, where='post', label=f'{label} partial text')
    axes.set(xlabel='from the end of speech to the text (s)', ylabel='share of utterances')
    axes.legend()
    figure.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / 'partial.png', dpi=110)
    print(f'wrote {RESULTS / "partial.png"}')


if __name__ == '__main__':
    main()
