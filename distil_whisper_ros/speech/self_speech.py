"""When the robot itself speaks, so that it does not answer its own voice.

Counted on the monotonic clock: a step of the wall clock, as NTP makes at boot, changes nothing.
"""

from collections import deque
from collections.abc import Callable
import math
import threading
import time

KEPT = 32  # spans: a frame may be a little older than the newest one
REMAINDER = 1.0  # s of speech that is left of what the robot said before


class SelfSpeechGate:
    """Remembers when the robot spoke; its echo counts, for as long as the tail lasts.

    Any thread may call it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is the clock of the frames' times, in seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._spans: deque[tuple[float, float]] = deque(maxlen=KEPT)
        self._speakers: set[str] = set()
        self._reason = ''

    @property
    def reason(self) -> str:
        """Who speaks or spoke last, as a sentence."""
        return self._reason

    def begin(self, speaker: str) -> None:
        """Note that `speaker`, a topic or an action, started to speak."""
        with self._lock:
            if not self._speakers:
                self._spans.append((self._clock(), math.inf))
                self._reason = f'the robot speaks ({speaker})'
            self._speakers.add(speaker)

    def end(self, speaker: str, tail: float) -> None:
        """Note that `speaker` is silent again; the gate stays closed for `tail` seconds."""
        with self._lock:
            if speaker not in self._speakers:
                return
            self._speakers.remove(speaker)
            if not self._speakers:
                begun, _ = self._spans.pop()
                self._spans.append((begun, self._clock() + tail))

    def covers(self, moment: float) -> bool:
        """Return whether the robot spoke at a moment of the clock."""
        with self._lock:
            return any(begun <= moment < ended for begun, ended in self._spans)

    @property
    def used(self) -> bool:
        """Whether anybody has told that the robot speaks."""
        return bool(self._spans)

    def silent_since(self, moment: float, pause: float) -> float:
        """Return when the robot fell silent after it began to say something at `moment`.

        Pauses up to `pause` seconds do not count, nor what it had almost said by then. Infinity
        if it has not said anything since, or speaks.
        """
        ended = math.inf
        with self._lock:
            for begun, last in self._spans:
                if begun - ended > pause:
                    break
                if last - moment > REMAINDER:
                    ended = last
        return ended

    def overlaps(self, begin: float, end: float) -> bool:
        """Return whether the robot spoke at some time between two moments of the clock."""
        with self._lock:
            return any(begun <= end and begin < ended for begun, ended in self._spans)
