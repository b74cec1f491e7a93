"""A managed node that stays responsive and stays up, on Humble, Jazzy and Kilted."""

import functools
import traceback

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node

from ..core.errors import SpeechError


class ManagedNode(LifecycleNodeMixin, Node):
    """rclpy's LifecycleNode with three repairs.

    - Its services get a group of their own, so that a long transition leaves parameters and
      `get_state` alone. (Humble's LifecycleNode takes no group, though its mixin does.)
    - A transition that the state does not allow is refused; rclpy raises, which ends the node.
    - Exceptions in transitions are told; rclpy swallows them.
    """

    def __init__(self, name: str) -> None:
        """Create the node `name`."""
        Node.__init__(self, name)
        LifecycleNodeMixin.__init__(self, callback_group=ReentrantCallbackGroup())
        for service in self.services:
            if service.srv_name.endswith(f'{self.get_name()}/change_state'):
                service.callback = self._refusing(service.callback)

    def _refusing(self, change_state):
        @functools.wraps(change_state)
        def callback(request, response):
            try:
                return change_state(request, response)
            except Exception as error:
                self.get_logger().error(f'this transition is not possible now: {error}')
                response.success = False
                return response

        return callback

    def fail(self, error: SpeechError) -> None:
        """Take the reason why a transition failed; overridden to tell it."""
        self.get_logger().error(str(error))


def transition(callback):
    """Make `callback` a transition: a SpeechError fails it, anything else is an error."""

    @functools.wraps(callback)
    def guarded(self: ManagedNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return callback(self, state)
        except SpeechError as error:
            self.fail(error)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            self.get_logger().fatal(traceback.format_exc())
            self.fail(SpeechError(f'internal error in {callback.__name__}: {error!r}'))
            return TransitionCallbackReturn.ERROR

    return guarded
