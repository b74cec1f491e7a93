"""Start-up time until the node listens, in parts, and its peak memory.

    python benchmarks/startup.py [--repeats 3]

The parts are those that the node publishes in its state. Files are in the system's cache: the
first start after a boot also waits for the disk.
"""

import argparse
from pathlib import Path
import statistics
import time

from robot import MODEL, robot, VirtualMicrophone

PARTS = (
    ('interpreter, ROS, interface', 'loading PyTorch'),
    ('PyTorch, transformers', f'loading {MODEL}'),
    ('weights', 'warming up'),
    ('warm-up', 'inactive'),
    ('microphone', 'ready'),
)


def start(room: VirtualMicrophone, dtype: str) -> tuple[list[float], float]:
    """Return the end of each part, in seconds from the start, and the peak memory in MB."""
    began = time.time()
    with robot(environment=room.environment, model__dtype=dtype) as (client, process):
        client.wait_state('ready')
        status = Path(f'/proc/{process.process.pid}/status').read_text()
        peak = next(line for line in status.splitlines() if line.startswith('VmHWM'))
        states = [
            (f'{m.label} {m.detail}', m.stamp.sec + m.stamp.nanosec / 1e9 - began)
            for m in client.states
        ]
    ends = []
    for _, end in PARTS:
        after = ends[-1] if ends else 0.0
        ends.append(next(when for text, when in states if end in text and when >= after))
    return ends, int(peak.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description='Start-up, in parts.')
    parser.add_argument('--repeats', type=int, default=3)
    arguments = parser.parse_args()
    with VirtualMicrophone() as room:
        for dtype in ('auto', 'float32'):
            runs = [start(room, dtype) for _ in range(arguments.repeats)]
            print(f'\n{MODEL.name}, model.dtype {dtype}: medians of {len(runs)} starts, s')
            ends = [statistics.median(ends) for ends in zip(*(ends for ends, _ in runs))]
            for (name, _), end, before in zip(PARTS, ends, [0.0, *ends]):
                print(f'{name:30}{end - before:6.2f}')
            print(f'{"ready":30}{ends[-1]:6.2f}')
            print(f'{"peak memory, MB":30}{max(peak for _, peak in runs):6.0f}')


if __name__ == '__main__':
    main()
