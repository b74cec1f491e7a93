"""Load and unload the model again and again, and check that the node's memory stays flat.

    python benchmarks/reload.py [--cycles 20]

The node, in its own process, is configured, activated, hears one sentence, and is cleaned up. Its
own memory is read after each cleanup. The first cycles fill the allocator and the caches; after
those memory must stay within 5 %.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
import sys
import tempfile

from lifecycle_msgs.msg import Transition
import numpy as np
from robot import goforward, RATE, robot
from soak import usage
import soundfile

SETTLED = 6  # cycles until the allocator and the caches are full
MAX_GROWTH = 0.05  # of the memory after SETTLED cycles


def reload(cycles: int, show: Callable[[str], None] = lambda text: None) -> np.ndarray:
    """Return (bytes, threads, files) of the node after each cleanup, shape (cycles, 3)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'goforward.wav')
        soundfile.write(path, goforward(), RATE)
        parameters = {'audio__source': 'file', 'audio__file': str(path), 'autostart': False}
        with robot(**parameters) as (client, process):
            client.wait_state('unconfigured')
            usages = []
            for cycle in range(1, cycles + 1):
                assert client.change_state(Transition.TRANSITION_CONFIGURE)
                assert client.change_state(Transition.TRANSITION_ACTIVATE)
                reply = client.trigger('record')
                assert reply.success, reply.message
                assert client.change_state(Transition.TRANSITION_DEACTIVATE)
                assert client.change_state(Transition.TRANSITION_CLEANUP)
                usages.append(usage(process.process.pid))
                memory, threads, files = usages[-1]
                show(f'{cycle}\t{memory / 1e6:.0f} MB\t{threads} threads\t{files} files')
            return np.array(usages)


def growth(usages: np.ndarray) -> float:
    """Return by which part memory grew after the first cycles: 0.05 is 5 %."""
    settled = usages[SETTLED:, 0]
    return float(settled.max() / settled[0] - 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description='Load and unload the model again and again.')
    parser.add_argument('--cycles', type=int, default=20)
    usages = reload(parser.parse_args().cycles, lambda text: print(text, flush=True))
    grown = growth(usages)
    print(f'memory grew by {grown:.1%} after {SETTLED} cycles')
    if grown > MAX_GROWTH:
        sys.exit(f'failed: that is more than {MAX_GROWTH:.0%}')


if __name__ == '__main__':
    main()
