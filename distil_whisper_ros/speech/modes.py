"""The two ways of listening: one utterance for each request, or every utterance, hands-free."""

from collections.abc import Callable, Sequence
from typing import Protocol

from ..core.settings import Settings
from .request import Request, Stage


class Mode(Protocol):
    """Decides which utterance is heard next. Called under the agenda's lock."""

    continuous: bool
    """Whether the audio between two utterances counts: the second one's pre-roll is in it."""

    def next(self, requests: Sequence[Request]) -> Request | Settings | None:
        """Return the request to listen for, settings for one without a client, or None to wait.

        `requests` are those without an answer, the oldest first.
        """
        ...

    def busy(self, requests: Sequence[Request]) -> bool:
        """Return whether a new request meets another one that is under way."""
        ...


class OneRequest:
    """Listen when asked. The next request is heard once the last one has its answer."""

    continuous = False

    def next(self, requests: Sequence[Request]) -> Request | Settings | None:
        """Return the oldest request, if none is under way."""
        if requests and requests[0].stage is Stage.QUEUED:
            return requests[0]
        return None

    def busy(self, requests: Sequence[Request]) -> bool:
        """Return whether any request has no answer yet."""
        return any(not request.implicit for request in requests)


class HandsFree:
    """Listen always. An utterance is heard while the last one is still being transcribed."""

    continuous = True

    def __init__(self, settings: Callable[[], Settings]) -> None:
        """Take a function that returns the settings for each utterance."""
        self._settings = settings

    def next(self, requests: Sequence[Request]) -> Request | Settings | None:
        """Return the oldest request that waits, or the settings for the next utterance."""
        waiting = [request for request in requests if request.stage is Stage.QUEUED]
        return waiting[0] if waiting else self._settings()

    def busy(self, requests: Sequence[Request]) -> bool:
        """Return whether a request waits for its utterance, or is being heard."""
        return any(
            not request.implicit and request.stage <= Stage.LISTENING for request in requests
        )
