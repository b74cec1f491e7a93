"""A file that says whether the node works, for the health check of a container.

A check that asks over DDS starts a Python and a participant every time. This file is read by a
few lines of shell: docker/check_health.
"""

from collections.abc import Callable
from errno import EEXIST
import os
from pathlib import Path
import time

from rclpy.node import Node

from ..core.types import State
from .log import printable
from .timers import steady_timer

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


def keep_heartbeat(node: Node, health: Callable[[], tuple[State, str]]) -> None:
    """Keep the file fresh if the environment names one; `health` is the state and its detail.

    A file that cannot be written is told once, until it can be.
    """
    path = os.environ.get(VARIABLE, '')
    if not path:
        return
    log, name = node.get_logger(), printable(repr(path))
    try:
        heartbeat = Heartbeat(Path(path).expanduser())
    except (RuntimeError, ValueError):  # no such user; no name
        log.warn(f'SPEECH_HEALTH_FILE is {name}, which is not the path of a file')
        return
    failed = False

    def beat() -> None:
        nonlocal failed
        try:
            heartbeat.beat(*health())
            failed = False
        except OSError as error:
            if not failed:
                log.warn(
                    f'SPEECH_HEALTH_FILE is {name}, which cannot be written: {error.strerror}'
                )
            failed = True

    beat()
    steady_timer(node, PERIOD, beat)
