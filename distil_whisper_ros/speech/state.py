"""The state of the recognizer, as one machine: facts go in, a state comes out.

Nobody sets a state. Each part reports the facts that it knows: the node its lifecycle, the
microphone whether it is gone, the listener its phase. `state_of` is a pure function of these
facts, so a state cannot be forgotten or overwritten by a part that is late.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
import threading
from typing import Any

from ..core.types import State

RESTING = 'the model is unloaded: the next request loads it again (model.unload_after)'
MUTED = 'the microphone is muted: call speech/mute with false to hear again'


class Lifecycle(Enum):
    """Where the node is in its life. Only ACTIVE depends on the other facts."""

    UNCONFIGURED = 'unconfigured'
    LOADING = 'loading'
    INACTIVE = 'inactive'
    ACTIVE = 'active'
    ERROR = 'error'


class Phase(Enum):
    """Where the recognizer is with an utterance."""

    IDLE = 'idle'
    WAITING = 'waiting'
    HEARING = 'hearing'
    TRANSCRIBING = 'transcribing'


@dataclass(frozen=True)
class Facts:
    """The facts that decide the state."""

    lifecycle: Lifecycle = Lifecycle.UNCONFIGURED
    detail: str = ''
    """Why the lifecycle is there, or how far loading is; shown while it is not ACTIVE."""
    phase: Phase = Phase.IDLE
    muted: bool = False
    """Whether the microphone is closed for privacy."""
    lost: str = ''
    """Why the microphone cannot be heard, as a sentence; empty while it can."""
    self_speech: str = ''
    """Why the listener waits: the robot itself speaks. Empty while it does not."""
    resting: bool = False
    """Whether the model is unloaded since nobody needs it."""
    hands_free: bool = False
    """Whether every utterance is heard without a request."""
    attentive: bool = False
    """Whether the next sentence needs no name."""


def state_of(facts: Facts) -> tuple[State, str]:
    """Return the state and its detail, a sentence or ''."""
    if facts.lifecycle is not Lifecycle.ACTIVE:
        return State[facts.lifecycle.name], facts.detail
    if facts.muted:
        return State.MUTED, MUTED
    if facts.phase is Phase.TRANSCRIBING:
        return State.TRANSCRIBING, ''
    if facts.lost:
        return State.LOST, facts.lost
    if facts.phase is Phase.IDLE:
        return State.READY, RESTING if facts.resting else ''
    waiting = facts.phase is Phase.WAITING
    if facts.self_speech:
        return State.SELF_SPEECH, facts.self_speech
    return State[facts.phase.name], RESTING if facts.resting and waiting else ''


_ACTIVE = frozenset(
    {
        State.READY,
        State.WAITING,
        State.HEARING,
        State.TRANSCRIBING,
        State.MUTED,
        State.SELF_SPEECH,
        State.LOST,
    }
)
_DOWN = frozenset({State.UNCONFIGURED, State.INACTIVE, State.ERROR})
ALLOWED: dict[State, frozenset[State]] = {
    State.UNCONFIGURED: frozenset({State.LOADING, State.ERROR}),
    State.LOADING: frozenset({State.LOADING}) | _DOWN,
    # A node may be activated with its microphone muted, gone, or already in use hands-free.
    State.INACTIVE: frozenset({State.READY, State.MUTED, State.LOST, State.WAITING}) | _DOWN,
    State.ERROR: frozenset({State.LOADING, State.READY, State.MUTED, State.LOST}) | _DOWN,
    State.READY: frozenset({State.WAITING, State.SELF_SPEECH, State.MUTED, State.LOST}) | _DOWN,
    State.WAITING: _ACTIVE | _DOWN,
    State.HEARING: _ACTIVE | _DOWN,
    State.TRANSCRIBING: _ACTIVE - {State.HEARING} | _DOWN,
    State.MUTED: _ACTIVE | _DOWN,
    State.SELF_SPEECH: _ACTIVE | _DOWN,
    State.LOST: _ACTIVE | _DOWN,
}
"""The states that may follow each state; a detail may change while the state stays."""


class StateMachine:
    """Holds the facts and reports each change of the state. Any thread may call it."""

    def __init__(
        self,
        on_change: Callable[[State, str, Facts], None] = lambda state, detail, facts: None,
        on_failure: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """`on_change` gets state, detail and facts, one call at a time, in the order of changes.

        `on_failure` gets exceptions of `on_change`, and transitions that are not in ALLOWED.
        """
        self._on_change = on_change
        self._on_failure = on_failure
        self._lock = threading.RLock()
        self._facts = Facts()
        self._told = self._now()

    @property
    def facts(self) -> Facts:
        """The facts as they are now."""
        return self._facts

    @property
    def state(self) -> State:
        """The state that follows from the facts."""
        return state_of(self._facts)[0]

    @property
    def detail(self) -> str:
        """The state's detail."""
        return state_of(self._facts)[1]

    def update(self, **changes: Any) -> None:
        """Take new facts by name; report the state if it changed."""
        with self._lock:
            self._facts = replace(self._facts, **changes)
            self._tell()

    def tell(self) -> None:
        """Report the state again, changed or not."""
        with self._lock:
            self._told = (State.UNKNOWN, '', False, False)
            self._tell()

    def _now(self) -> tuple[State, str, bool, bool]:
        """Return what is told."""
        return (*state_of(self._facts), self._facts.hands_free, self._facts.attentive)

    def _tell(self) -> None:
        state, detail = state_of(self._facts)
        now = self._now()
        before, self._told = self._told, now
        if now == before:
            return
        if before[0] not in (state, State.UNKNOWN) and state not in ALLOWED[before[0]]:
            self._report(RuntimeError(f'{before[0].name} must not become {state.name}'))
        try:
            self._on_change(state, detail, self._facts)
        except Exception as error:
            self._report(error)

    def _report(self, error: Exception) -> None:
        try:
            self._on_failure(error)
        except Exception:  # noqa: S110 - the report itself failed: the state goes on
            pass
