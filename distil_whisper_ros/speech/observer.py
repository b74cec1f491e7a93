"""The protocol of whoever gets the results of the recognizer."""

from typing import Protocol

from ..core.types import Transcript
from .request import Request


class Observer(Protocol):
    """Gets the results of the recognizer; each method tells its thread."""

    def on_transcript(self, transcript: Transcript) -> None:
        """Take the transcript of an utterance, before its future is done. Event thread."""
        ...

    def on_partial(self, request: Request, text: str) -> None:
        """Take the settled text of an utterance that goes on. Event thread."""
        ...

    def wants_partial(self) -> bool:
        """Return whether partial text has a subscriber. Called from the listener's thread."""
        ...

    def on_failure(self, error: Exception) -> None:
        """Take an unexpected exception. Called from any thread."""
        ...
