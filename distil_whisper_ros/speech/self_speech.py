"""When the robot itself speaks, and so must not listen."""

from collections import deque
import math
import time


class SelfSpeechGate:
    """Remembers when the robot spoke; its echo counts, as long as the tail is."""

    def __init__(self) -> None:
        self._spans: deque[tuple[float, float]] = deque(maxlen=32)  # a frame may be a little old
        self._speakers: set[str] = set()
        self.why = ''

    def begin(self, speaker: str) -> None:
        """Take note that `speaker`, a topic or an action, began to speak."""
        if not self._speakers:
            self._spans.append((time.monotonic(), math.inf))
            self.why = f'the robot speaks ({speaker})'
        self._speakers.add(speaker)

    def end(self, speaker: str, tail: float) -> None:
        """Take note that it has spoken."""
        if speaker in self._speakers:
            self._speakers.remove(speaker)
            if not self._speakers:
                begun, _ = self._spans.pop()
                self._spans.append((begun, time.monotonic() + tail))

    def covers(self, moment: float) -> bool:
        """Return whether the robot spoke at a moment, in seconds since the epoch."""
        return any(begun <= moment < ended for begun, ended in tuple(self._spans))
