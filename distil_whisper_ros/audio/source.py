"""The protocol of every audio source, and its health."""

from dataclasses import dataclass
from typing import Protocol

from ..core.audio_format import Frame


@dataclass(frozen=True)
class SourceHealth:
    """The state of an audio source, for diagnostics."""

    name: str
    """Name of the device, topic or file."""
    open: bool = False
    """Whether the source is open and works."""
    problem: str = ''
    """The problem and its remedy, in one sentence; empty if there is none."""
    sample_rate: int = 0
    """Sample rate of the device, in Hz."""
    channels: int = 0
    """Number of channels of the device."""
    level: float = -120.0
    """Level of the last tenth of a second, in dBFS."""
    overflows: int = 0
    """How often samples were lost, because the device, the network or this machine was slow."""
    lost: float = 0.0
    """Seconds of audio lost."""
    restarts: int = 0
    """How often the device was opened again."""
    clock_offset: float | None = None
    """Seconds by which the sender's clock is ahead of this machine's wall clock, less the delay
    of the network; None if the source has no sender, or its messages have no stamps."""


class AudioSource(Protocol):
    """A source of frames. One thread begins, reads and ends; any thread may open and close."""

    @property
    def live(self) -> bool:
        """Whether frames come as they are spoken, and are lost if nobody reads them in time."""
        ...

    def open(self) -> None:
        """Make the source ready; raise an AudioError if that fails."""
        ...

    def begin(self) -> None:
        """Begin an utterance: the next read returns the oldest frame of the pre-roll.

        Raise a DeviceError if the device is gone.
        """
        ...

    def read(self, wait_for: int = 1) -> Frame | None:
        """Return the next frame, or None if none came in time.

        If no frame is there, wait until `wait_for` frames are, for at most 0.1 s, or 0.2 s if
        `wait_for` is above 1. A larger number lets a listener to whom nobody speaks wake up less
        often, and then read several frames at once.

        Raise EOFError at the end of a recording, and a DeviceError when the device is gone.
        """
        ...

    def wake(self) -> None:
        """Let a read that waits for a live frame return None now; from any thread."""
        ...

    def end(self) -> None:
        """End an utterance: from now on only the pre-roll is kept."""
        ...

    def close(self) -> None:
        """Release the device."""
        ...

    def health(self) -> SourceHealth:
        """Return the state of the source; take constant time."""
        ...
