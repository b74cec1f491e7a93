"""Hearing for long, hands-free: nothing is lost, and nothing is kept."""

from soak import growth, MAX_GROWTH, soak


def test_twelve_minutes_leave_nothing_behind():
    """The hour is `python benchmarks/soak.py`; this is a part of it."""
    looks, transcripts, sentences = soak(minutes=12)
    assert sentences == 48
    assert transcripts >= sentences  # a sentence with a long pause is two
    memory, threads, files = growth(looks)
    assert memory < MAX_GROWTH
    assert threads <= 0
    assert files <= 0
