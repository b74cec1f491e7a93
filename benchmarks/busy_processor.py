"""Measure how long a decode takes while other programs want the processor too.

OpenMP's threads wait for each other in a loop (`ACTIVE`), or asleep (`PASSIVE`, which the package
chooses). Prints the time of an utterance with each, with and without a busy loop on every core.

    tools/with_ros python benchmarks/busy_processor.py
"""

import argparse
import os
import subprocess
import sys

from rich.console import Console
from rich.table import Table
from robot import MODEL

DECODE = """
import sys, time
from sounds import speech
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.transcriber import Transcriber

transcriber = Transcriber(ModelSettings(id=sys.argv[1]))
said = [Utterance.whole(samples) for samples, _ in list(speech().values())[:6]]
began = time.monotonic()
for utterance in said * 2:
    transcriber(utterance)
print((time.monotonic() - began) / len(said) / 2)
"""
POLICIES = ('ACTIVE', 'default of OpenMP', 'PASSIVE')


def decode(model: str, policy: str) -> float:
    """Return the seconds of an utterance, in a process of its own."""
    # OpenMP's default spins 300,000 times before it sleeps, which no policy's name stands for.
    chosen = {'GOMP_SPINCOUNT': '300000'} if 'default' in policy else {'OMP_WAIT_POLICY': policy}
    ran = subprocess.run(
        [sys.executable, '-c', DECODE, model],
        env={**os.environ, **chosen},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return float(ran.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description='Decoding beside other programs.')
    parser.add_argument('--model', default=str(MODEL))
    model = parser.parse_args().model
    console = Console()
    table = Table('threads wait', 'processor free', 'a busy loop on each core', title=model)
    for policy in POLICIES:
        row = []
        for busy in (0, os.cpu_count() or 1):
            loops = [
                subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(busy)
            ]
            try:
                with console.status(f'{policy}, {busy} busy loops'):
                    row.append(f'{decode(model, policy):.3f} s')
            finally:
                for loop in loops:
                    loop.kill()
                    loop.wait()
        table.add_row(policy, *row)
    console.print(table)


if __name__ == '__main__':
    main()
