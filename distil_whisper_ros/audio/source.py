"""Where frames come from: the protocol that every source follows, and how it is."""

from dataclasses import dataclass
from typing import Protocol

from ..core.audio_format import Frame


@dataclass(frozen=True)
class SourceHealth:
    """How a source of audio does."""

    name: str
    """The device or file."""
    open: bool = False
    problem: str = ''
    """What is wrong and what to do about it, in one sentence; empty if all is well."""
    sample_rate: int = 0
    """In Hz, as the device delivers."""
    channels: int = 0
    level: float = -120.0
    """Of the last tenth of a second, in dBFS."""
    overflows: int = 0
    """Times that the device or this machine was too slow, and samples were lost."""
    lost: float = 0.0
    """Seconds of audio lost while somebody listened."""
    restarts: int = 0
    """Times that the device was opened anew."""


class AudioSource(Protocol):
    """Where frames come from. One thread begins, reads and ends; any may open and close."""

    patient: bool
    """Set while nobody speaks: frames may come a little late, several at once, which costs less.
    `begin` takes it back."""

    @property
    def live(self) -> bool:
        """Whether frames come as they are spoken, and are lost if nobody reads them in time."""
        ...

    def open(self) -> None:
        """Make the source ready, or raise an AudioError."""
        ...

    def begin(self) -> None:
        """Begin an utterance: the next read returns the oldest frame of the pre-roll."""
        ...

    def read(self) -> Frame | None:
        """Return the next frame, or None after a tenth of a second, or two, without one.

        Raise EOFError at the end of a recording, and DeviceError when the device is gone.
        """
        ...

    def end(self) -> None:
        """End an utterance: from now on only the pre-roll is kept."""
        ...

    def close(self) -> None:
        """Release the device."""
        ...

    def health(self) -> SourceHealth:
        """Return how the source does."""
        ...
