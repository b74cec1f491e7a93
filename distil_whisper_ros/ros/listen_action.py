"""The action speech/listen: a request with options, feedback and cancel."""

from collections.abc import Callable
from dataclasses import dataclass, replace
import threading
import time
from typing import Any

from distil_whisper_msgs.action import Listen
from rclpy.action.server import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from ..core.errors import SpeechError, unexpected
from ..core.settings import Settings
from ..core.types import Outcome, State, Transcript
from ..speech.recognizer import Recognizer
from ..speech.request import Request
from .deferred import DEEP
from .log import log_failure, printable
from .services import overridden, Parts, with_text_options
from .timers import steady_timer

FEEDBACK_PERIOD = 0.05  # s: 20 times a second
CANCELING = 1.0  # s that rclpy may take to mark a goal as one that is being canceled


@dataclass(eq=False)
class Goal:
    """A goal that has no result yet."""

    handle: Any
    recognizer: Recognizer
    request: Request
    accepted: float
    partial: str = ''
    canceling: bool = False


class ListenAction:
    """The action, on a node.

    The server takes one goal, cancel or result request at a time; results come from the
    recognizer's event thread.
    """

    def __init__(self, node: Node, parts: Parts, state: Callable[[], State]) -> None:
        """Create the action server; `state` returns the recognizer's state."""
        self._node = node
        self._parts = parts
        self._state = state
        self._lock = threading.Lock()
        self._goals: dict[bytes, Goal] = {}
        # One timer for the life of the node; without goals it is canceled, to save time. Only
        # its own callback cancels it: rclpy raises for one canceled between ringing and call.
        self._timer = steady_timer(node, FEEDBACK_PERIOD, self._publish_feedback)
        self._timer.cancel()
        self._server = DeferredActionServer(node, 'speech/listen', self._start, self._cancel)

    def destroy(self) -> None:
        """Remove the action server from the node."""
        self._server.destroy()

    def _start(self, handle: Any) -> None:
        """Start to listen for a goal that was accepted; answer at once if that is impossible."""
        try:
            settings = with_options(self._parts.settings(), handle.request)
            self._parts.check_loaded(settings.model)  # not only when the person has spoken
            recognizer = self._parts.recognizer()
            request = recognizer.record(settings, partial=handle.request.partial_results)
        except SpeechError as error:
            self._answer(handle, Transcript(Outcome.FAILED, reason=printable(error)))
            return
        except Exception as error:
            log_failure(self._node, error)
            reason = printable(unexpected(error))
            self._answer(handle, Transcript(Outcome.FAILED, reason=reason))
            return
        goal = Goal(handle, recognizer, request, time.monotonic())
        with self._lock:
            self._goals[key(handle)] = goal
            if len(self._goals) == 1:
                self._timer.reset()
        self._wake()  # it must see the timer
        request.future.add_done_callback(lambda done: self._answer(handle, done.result()))

    def _wake(self) -> None:
        executor = self._node.executor
        if executor is not None:
            executor.wake()

    def _cancel(self, handle: Any) -> CancelResponse:
        """Cancel a goal's request."""
        with self._lock:
            goal = self._goals.get(key(handle))
            if goal is not None:
                goal.canceling = True
        if goal is not None:
            goal.recognizer.cancel(goal.request)
        return CancelResponse.ACCEPT

    def _answer(self, handle: Any, transcript: Transcript) -> None:
        """Let the executor end a goal; called from any thread."""
        with self._lock:
            goal = self._goals.pop(key(handle), None)
        canceling = goal is not None and goal.canceling
        self._server.finish(handle, lambda _: self._end(handle, transcript, canceling))

    def _end(self, handle: Any, transcript: Transcript, canceling: bool) -> Listen.Result:
        """Bring a goal to its final state, and return its result."""
        if canceling:
            # A goal that is canceled may end before rclpy has marked it.
            deadline = time.monotonic() + CANCELING
            while not handle.is_cancel_requested and time.monotonic() < deadline:
                time.sleep(0.001)
        try:
            if transcript.accepted:
                handle.succeed()
            elif handle.is_cancel_requested:
                handle.canceled()
            else:
                handle.abort()
        except Exception as error:  # the node is being destroyed
            self._node.get_logger().debug(f'a goal did not end: {printable(error)}')
        return Listen.Result(transcript=self._parts.transcript_message(transcript))

    def _publish_feedback(self) -> None:
        """Publish feedback for each goal."""
        with self._lock:
            goals = tuple(self._goals.values())
            if not goals:
                self._timer.cancel()
        state, now = int(self._state()), time.monotonic()
        for goal in goals:
            if goal.handle.is_active:
                goal.handle.publish_feedback(
                    Listen.Feedback(
                        state=state,
                        level=goal.recognizer.level,
                        elapsed=now - goal.accepted,
                        partial_text=goal.partial,
                    )
                )

    def on_partial(self, request: Request, text: str) -> None:
        """Take the settled text of a request, for the feedback."""
        with self._lock:
            for goal in self._goals.values():
                if goal.request is request:
                    goal.partial = text


class DeferredActionServer(ActionServer):
    """An action server whose results come later, from another thread.

    rclpy's has a coroutine for each goal: see deferred.py why that does not do.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        start: Callable[[Any], None],
        cancel: Callable[[Any], CancelResponse],
    ) -> None:
        """`start` takes the handle of each goal, for which `finish` must be called once."""
        self._start = start
        super().__init__(
            node,
            Listen,
            name,
            lambda handle: Listen.Result(),  # never called: see notify_execute
            goal_callback=lambda goal: GoalResponse.ACCEPT,  # a rejection has no reason
            cancel_callback=cancel,
            callback_group=MutuallyExclusiveCallbackGroup(),
            goal_service_qos_profile=DEEP,
            result_service_qos_profile=DEEP,
            cancel_service_qos_profile=DEEP,
        )

    def notify_execute(self, goal_handle: Any, execute_callback: Any) -> None:
        """Start a goal; rclpy calls this when the goal is accepted."""
        self._start(goal_handle)

    def finish(self, handle: Any, make_result: Callable[[Any], Listen.Result]) -> None:
        """Let the executor call `make_result`, which ends the goal, and send its result."""
        try:
            super().notify_execute(handle, make_result)
        except Exception as error:  # the executor is shut down: nobody gets results any more
            self._logger.debug(f'a goal got no result: {printable(error)}')


def key(handle: Any) -> bytes:
    """Return a goal's id as a key."""
    return bytes(handle.goal_id.uuid)


def with_options(settings: Settings, options: Listen.Goal) -> Settings:
    """Return the settings with a goal's options; raise a SettingError for a wrong one."""
    utterance = overridden(
        settings.utterance,
        wait_for_speech=options.start_timeout,
        end_silence=options.end_silence,
        turn_detection=options.turn_detection,
        turn_threshold=options.turn_threshold,
        max_pause=options.max_pause,
        max_duration=options.max_duration,
    )
    return replace(with_text_options(settings, options), utterance=utterance)
