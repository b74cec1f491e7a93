"""How many threads PyTorch computes with."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with this thread alone.

    A token of an int8 decoder is many small products. Threads that sleep between them are woken
    later than one thread needs to do all: it takes 0.6 to 0.9 of the time of two, and leaves the
    other core to turn detection. See docs/measurements.md.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
