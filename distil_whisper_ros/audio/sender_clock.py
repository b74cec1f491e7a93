"""The clock of a sender on another machine, followed by the stamps of its blocks."""

from collections import deque

WINDOW = 10.0  # s of blocks that are compared
STEP = 3.0  # s: a larger change is a clock that was set, or a sender that restarted
BACK = 0.1  # s: blocks come in order, so stamps that go back by more are of a clock that was set


class SenderClock:
    """Turns a sender's stamps into seconds of this machine's time.monotonic().

    The block that was on its way for the shortest time tells the difference of the two clocks
    best, so the smallest difference of the last WINDOW counts. No wall clock of this machine is
    used: setting one changes nothing here, and setting the sender's starts the window over.
    """

    def __init__(self) -> None:
        # (arrival, arrival - stamp), the differences rising: the first is the smallest
        self._differences: deque[tuple[float, float]] = deque()
        self._newest = 0.0  # stamp of the block before

    @property
    def difference(self) -> float | None:
        """Seconds to add to a stamp; None before the first block."""
        return self._differences[0][1] if self._differences else None

    def follow(self, stamp: float, arrival: float) -> None:
        """Take the stamp of the end of a block, and when it arrived by time.monotonic()."""
        difference, known = arrival - stamp, self._differences
        # A delay of the network looks like a clock that was set back, but for the stamps' order.
        set_back = stamp < self._newest - BACK
        if known and (set_back or abs(difference - known[0][1]) > STEP):
            known.clear()
        self._newest = stamp
        while known and known[-1][1] >= difference:
            known.pop()
        while known and known[0][0] < arrival - WINDOW:
            known.popleft()
        known.append((arrival, difference))

    def local(self, stamp: float) -> float:
        """Return a stamp in seconds of time.monotonic(); `follow` must have been called."""
        assert self.difference is not None
        return stamp + self.difference
