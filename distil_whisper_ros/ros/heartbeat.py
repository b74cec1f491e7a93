"""A file that says whether the node works, for the health check of a container.

A check that asks over DDS starts a Python and a participant every time. This file is read by a
few lines of shell: docker/check_health.
"""

from errno import EEXIST
import os
from pathlib import Path
import time

from ..core.types import State

VARIABLE = 'SPEECH_HEALTH_FILE'
PERIOD = 5.0  # s
UNHEALTHY = (State.ERROR, State.LOST)


class Heartbeat:
    """Keeps the file fresh."""

    def __init__(self, path: Path) -> None:
        """Write to `path`, whose folder must exist; raise a ValueError if it has no name."""
        self._path = path
        self._new = path.with_name(f'{path.name}.new')

    def beat(self, state: State, detail: str) -> None:
        """Write the time since boot in seconds, ok or bad, the state and its detail: one line."""
        # /proc/uptime has the same clock, and neither NTP nor a person sets it.
        now = int(time.clock_gettime(time.CLOCK_BOOTTIME))
        health = 'bad' if state in UNHEALTHY else 'ok'
        line = ' '.join(f'{now} {health} {state.name.lower()} {detail}'.split())
        if self._path.exists() and not self._path.is_file():
            raise OSError(EEXIST, 'it is not a regular file')
        self._new.unlink(missing_ok=True)  # a pipe of that name would never be open
        with open(self._new, 'x', encoding='utf-8') as file:
            file.write(f'{line}\n')
        os.replace(self._new, self._path)  # never half a line
