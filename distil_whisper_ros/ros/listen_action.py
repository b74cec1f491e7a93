"""The action speech/listen: a request with options, feedback and cancel."""

from dataclasses import dataclass, replace
import time
from typing import Any

from distil_whisper_msgs.action import Listen
from rclpy.action.server import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node

from ..core.errors import SpeechError
from ..core.settings import Settings
from ..core.types import Outcome, State, Transcript
from ..speech.request import Request
from .futures import awaitable
from .services import Ears, overridden, understood

FEEDBACK_PERIOD = 0.05  # s: twice the ten a second that are promised


@dataclass
class Goal:
    """A goal under way."""

    handle: Any
    request: Request
    accepted: float
    partial: str = ''
    canceling: bool = False


class ListenAction:
    """Offers the action on a node."""

    def __init__(self, node: Node, ears: Ears, group: CallbackGroup) -> None:
        """Create the action server."""
        self._node = node
        self._ears = ears
        self._group = group
        self._goals: list[Goal] = []
        self._timer: Any = None
        self._state = State.UNCONFIGURED
        self._server = ActionServer(
            node,
            Listen,
            'speech/listen',
            self._execute,
            goal_callback=lambda goal: GoalResponse.ACCEPT,  # a refusal could not say why
            cancel_callback=lambda handle: CancelResponse.ACCEPT,
            callback_group=group,
        )

    async def _execute(self, handle):
        settings = self._ears.settings
        try:
            wanted = with_options(settings(), handle.request)
            recognizer = self._ears.active()
            request = recognizer.record(wanted, partial=handle.request.partial_results)
        except SpeechError as error:
            return self._end(handle, Transcript(Outcome.FAILED, reason=str(error)))
        goal = Goal(handle, request, time.monotonic())
        self._goals.append(goal)
        self._watch()
        try:
            transcript = await awaitable(self._node, request.future)
        finally:
            self._goals.remove(goal)
        return self._end(handle, transcript)

    def _end(self, handle, transcript: Transcript) -> Listen.Result:
        if transcript.accepted and not handle.is_cancel_requested:
            handle.succeed()
        elif handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
        return Listen.Result(transcript=self._ears.transcript_message(transcript))

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self._node.create_timer(
                FEEDBACK_PERIOD, self._tell, callback_group=self._group
            )

    def _tell(self) -> None:
        """Send feedback to each goal under way, and cancel those that are to be canceled."""
        goals = tuple(self._goals)
        if not goals:
            timer, self._timer = self._timer, None
            if timer is not None:
                self._node.destroy_timer(timer)
            return
        try:
            recognizer = self._ears.active()
        except SpeechError:
            return  # it was deactivated: the requests end by themselves
        level = recognizer.level
        for goal in goals:
            # Here and not in the cancel callback: until that has returned, the goal cannot end.
            if goal.handle.is_cancel_requested and not goal.canceling:
                goal.canceling = True
                recognizer.cancel(goal.request)
            if goal.handle.is_active:
                goal.handle.publish_feedback(
                    Listen.Feedback(
                        state=int(self._state),
                        level=level,
                        elapsed=time.monotonic() - goal.accepted,
                        partial_text=goal.partial,
                    )
                )

    def on_state(self, state: State) -> None:
        """Take the state for the feedback."""
        self._state = state

    def on_partial(self, request: Request, text: str) -> None:
        """Take the text so far of a request."""
        for goal in tuple(self._goals):
            if goal.request is request:
                goal.partial = text


def with_options(settings: Settings, options: Listen.Goal) -> Settings:
    """Return the settings with a goal's options; raise a SettingError for a wrong one."""
    utterance = overridden(
        settings.utterance,
        wait_for_speech=options.start_timeout,
        end_silence=options.end_silence,
        max_duration=options.max_duration,
    )
    return replace(understood(settings, options), utterance=utterance)
