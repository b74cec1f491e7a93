"""Hearing while the robot itself speaks: urgent commands, in pieces, until its echo has gone."""

from collections.abc import Callable

from ..core.audio_format import Frame, frame_count, FRAME_DURATION
from .request import Request
from .self_speech import SelfSpeechGate
from .state import StateMachine
from .urgent import UrgentCommand
from .urgent_ear import UrgentEar

SETTLED = 4  # frames of quiet after the robot spoke, before which no utterance starts
LONGEST_SELF_SPEECH = 120.0  # s of robot speech without an end, after which a request gives up


class SelfSpeechWatch:
    """Follows the robot's speech for one listener. The listener's thread calls it."""

    def __init__(
        self, request: Request, gate: SelfSpeechGate, machine: StateMachine, blocked: bool
    ) -> None:
        """`blocked`: the robot speaks already, and what is heard is not for the request."""
        self._request, self._gate, self._machine = request, gate, machine
        self._ear: UrgentEar | None = None
        self._blocked = int(blocked)  # frames in which the robot spoke, in a row
        self._quiet = self._unsettled = 0  # frames since the robot's speech: quiet ones, all
        self.covered = False  # whether the robot spoke in the last frame

    @property
    def blocked(self) -> bool:
        """Whether sound is ignored: the robot speaks, or no pause came since."""
        return self._blocked > 0

    def hand_over(self, request: Request) -> None:
        """Hear the commands of another request."""
        before, self._request = self._request, request
        if (
            request.settings.commands.all_urgent != before.settings.commands.all_urgent
            or request.wake_phrases != before.wake_phrases
        ):
            self.discard()

    def discard(self) -> None:
        """Forget the pieces that were heard."""
        if self._ear is not None:
            self._ear.discard()
            self._ear = None

    def block(self) -> bool:
        """Ignore a frame in which the robot speaks; return whether it speaks for too long."""
        if not self._blocked:
            self._machine.update(self_speech=self._gate.reason)
            self.discard()  # it heard what the robot said before
        self._blocked += 1
        self._quiet, self._unsettled = 0, 0
        too_long = self._blocked * FRAME_DURATION > LONGEST_SELF_SPEECH
        return too_long and not self._request.implicit

    def hear(
        self, frame: Frame, probability: float, make_ear: Callable[[], UrgentEar]
    ) -> UrgentCommand | None:
        """Take a frame, with its probability of speech; return the urgent command, if any."""
        if self._ear is None:
            self._ear = make_ear()
        self._ear.take(frame, probability)
        return self._ear.found()

    def hear_beside(
        self, frame: Frame, probability: float, covered: bool, make_ear: Callable[[], UrgentEar]
    ) -> None:
        """Take a frame of an utterance that goes on: the robot may speak without a pause."""
        if covered and not self.covered:
            self.discard()  # it heard what the robot said before
        self.covered = covered
        if covered and self._request.settings.commands.all_urgent:
            self.hear(frame, probability, make_ear)

    def found(self) -> UrgentCommand | None:
        """Return the urgent command that became known since the last frame, if any."""
        return self._ear.found() if self._ear is not None else None

    def quiet_again(self, probability: float, reset: Callable[[], None]) -> bool:
        """Return whether an utterance may start: not within one that began during robot speech.

        `reset` lets voice activity forget the robot's voice.
        """
        if self._quiet == 0 and self._ear is None:
            reset()
        spoken = probability >= self._request.settings.utterance.vad_threshold
        self._quiet = 1 if spoken else self._quiet + 1
        if self._quiet <= SETTLED:
            return False
        self._blocked = 0
        self._machine.update(self_speech='')
        return True

    def waits_too_long(self) -> bool:
        """Return whether no pause comes after the robot's speech, as beside a television."""
        self._unsettled += 1
        longest = frame_count(self._request.settings.utterance.wait_for_speech)
        return self._unsettled > longest and not self._request.implicit
