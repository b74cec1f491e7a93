"""A managed node that stays responsive and stays up, on Humble, Jazzy and Kilted."""

from collections.abc import Callable
import functools
import threading

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node

from ..core.errors import is_memory_full, ModelError, NO_MEMORY, SpeechError
from .log import log_failure, printable


class ManagedNode(LifecycleNodeMixin, Node):
    """rclpy's LifecycleNode with five repairs.

    - Its services have a group of their own, so that a long transition leaves parameters and
      `get_state` alone. (Humble's LifecycleNode takes no group, though its mixin does.)
    - A transition that the state does not allow is refused; rclpy raises, which ends the node.
    - Two transitions never run at once: the second is refused.
    - Exceptions in transitions are logged; rclpy swallows them.
    - `destroy_node` removes the node from the graph.
    """

    def __init__(self, name: str) -> None:
        """Create the node `name`."""
        Node.__init__(self, name)
        self._transition_lock = threading.Lock()
        LifecycleNodeMixin.__init__(self, callback_group=ReentrantCallbackGroup())
        for service in self.services:
            if service.srv_name.endswith(f'{self.get_name()}/change_state'):
                service.callback = self._guarded(service.callback)

    def _guarded(self, change_state):
        @functools.wraps(change_state)
        def callback(request, response):
            response.success = False

            def change() -> None:
                self.on_transition_request()
                change_state(request, response)

            if not self.transition(change):
                self.get_logger().error('another transition is active: wait until it ends')
            return response

        return callback

    def transition(self, change: Callable[[], object]) -> bool:
        """Call `change`, which starts a transition; return False if another one is active.

        A transition that the state does not allow is logged.
        """
        if not self._transition_lock.acquire(blocking=False):
            return False
        try:
            change()
        except Exception as error:
            self.get_logger().error(f'this transition is not possible now: {printable(error)}')
        finally:
            self._transition_lock.release()
        return True

    def on_transition_request(self) -> None:
        """Handle that a client asks for a transition; overridden."""

    def destroy_node(self) -> None:
        """Remove the node from the graph; rclpy's would stay, since its state machine holds it."""
        super().destroy_node()
        vars(self).pop('_state_machine', None)

    def fail(self, error: SpeechError) -> None:
        """Take the reason why a transition failed; overridden to publish it."""
        self.get_logger().error(printable(error))


def transition(callback):
    """Make `callback` a transition: SpeechErrors and full memory fail it, the rest is an error."""

    @functools.wraps(callback)
    def guarded(self: ManagedNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return callback(self, state)
        except SpeechError as error:
            self.fail(error)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            if is_memory_full(error):
                self.fail(ModelError(NO_MEMORY))
                return TransitionCallbackReturn.FAILURE
            log_failure(self, error)
            self.fail(SpeechError(f'internal error in {callback.__name__}: {error!r}'))
            return TransitionCallbackReturn.ERROR

    return guarded
