"""How many threads PyTorch computes with."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
import os

import torch


def one_thread() -> AbstractContextManager[None]:
    """Compute with this thread alone.

    A token of an int8 decoder is many small products. Threads that sleep between them are woken
    later than one thread needs to do all: it takes 0.6 to 0.9 of the time of two, and leaves the
    other core to turn detection. See docs/measurements.md.
    """
    return _threads(1)


def one_core_less() -> AbstractContextManager[None]:
    """Leave a core to what runs beside.

    The threads of a product wait for the slowest of them. Where there are as many as cores, and
    one has to share its core, all are slower than without it. See docs/measurements.md.
    """
    cores = len(os.sched_getaffinity(0))
    return _threads(max(1, min(torch.get_num_threads(), cores - 1)))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
