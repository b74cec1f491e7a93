"""What every live source has: frames that wait, and a reader that waits for them."""

import threading
import time

import pytest

from distil_whisper_ros.audio.buffered_source import BufferedSource

LONGEST = 0.1  # s that a read waits


@pytest.fixture
def source():
    source = BufferedSource('the microphone', 0.3, lambda problem: None)
    source.set_working()
    source.begin()
    return source


def waited(source: BufferedSource) -> float:
    """Return how long a read took that brought no frame, in seconds."""
    began = time.monotonic()
    assert source.read() is None
    return time.monotonic() - began


def test_a_reader_that_waits_is_woken(source):
    times = []
    for _ in range(5):  # a busy machine may be late once
        waker = threading.Timer(0.01, source.wake)
        waker.start()
        times.append(waited(source))
        waker.join()
    assert min(times) < 0.8 * LONGEST


def test_it_is_woken_once(source):
    source.wake()
    waited(source)
    assert waited(source) > 0.95 * LONGEST
