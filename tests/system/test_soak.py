"""Over time nothing is lost, and nothing is kept; `make soak` runs the long forms."""

from reload import growth, reload
from soak import soak


def test_utterances_leave_nothing_behind():
    result = soak(utterances=90)
    assert result.problems(settled=50) == []


def test_utterances_from_the_microphone_leave_nothing_behind():
    # A busy machine needs more utterances until the allocator and the caches are full.
    result = soak(utterances=80, source='microphone', speed=5.0)
    assert result.problems(settled=50) == []


def test_reloading_leaves_no_memory_behind():
    """With glibc's heaps as they are by default, this grows by 40 %."""
    usages = reload(cycles=12)
    assert growth(usages) < 0.05
    _, threads, files = usages.T
    assert threads[-1] <= threads[2] + 5  # the executor starts its 6 threads as it needs them
    assert files[-1] <= files[2]
