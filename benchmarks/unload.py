"""Measure what `model.unload_after` frees, and what the first request afterwards costs.

    tools/with_ros python benchmarks/unload.py [--rounds 5] [MODEL ...]

The node hears a sentence through PulseAudio, PortAudio and the capture process, by turns with its
model in memory and with a model that it has to load again while the person speaks. Printed are the
node's own memory while it waits, and the median and longest time from the end of speech to the
text.
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from robot import goforward, MODEL, robot, VirtualMicrophone, wait_for
from soak import usage


def measure(model: str, rounds: int) -> dict[bool, tuple[list[float], float]]:
    """Return latencies in s and the least memory in MB; True is for the model that rests."""
    found: dict[bool, tuple[list[float], float]] = {}
    with (
        VirtualMicrophone() as room,
        robot(environment=room.environment, model__id=model) as (client, process),
    ):
        client.wait_state('ready', timeout=300)
        for turn in range(2 * rounds):
            rests = bool(turn % 2)
            client.set_parameter('model.unload_after', 0.5 if rests else 0.0)
            if rests:
                wait_for(lambda: 'unload_after' in client.states[-1].detail, 60, 'the unloading')
            latencies, memory = found.get(rests, ([], np.inf))
            memory = min(memory, usage(process.process.pid)[0] / 1e6)
            client.transcripts.clear()
            future = client.start_trigger('record')
            client.wait_state('waiting')
            room.say(goforward(), wait=False)
            wait_for(lambda: future.done() and client.transcripts, 120, 'the text')
            if not future.result().success:
                raise RuntimeError(future.result().message)
            found[rests] = [*latencies, client.transcripts[0].latency], memory
            client.wait_state('ready')
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description='A model that is unloaded, and loaded again.')
    parser.add_argument('models', nargs='*', default=[str(MODEL)], metavar='MODEL')
    parser.add_argument('--rounds', type=int, default=5)
    options = parser.parse_args()
    table = Table('model', 'in memory', 'own memory, MB', 'median s', 'longest s')
    for model in options.models:
        for rests, (latencies, memory) in measure(model, options.rounds).items():
            table.add_row(
                Path(model).name,
                'no' if rests else 'yes',
                f'{memory:.0f}',
                f'{np.median(latencies):.2f}',
                f'{max(latencies):.2f}',
            )
    Console().print(table)


if __name__ == '__main__':
    main()
