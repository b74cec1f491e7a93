"""A transition that fails leaves the node up, with one sentence."""

import errno

import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from robot import isolation

from distil_whisper_ros.core.errors import SpeechError
from distil_whisper_ros.ros.managed_node import ManagedNode, transition


@pytest.fixture
def make(monkeypatch):
    """Return a function that makes a node whose on_configure raises an error."""
    for name, value in isolation().items():
        monkeypatch.setenv(name, value)
    rclpy.init()
    nodes = []

    def node(error: Exception) -> ManagedNode:
        class Failing(ManagedNode):
            failure = ''

            @transition
            def on_configure(self, state):
                raise error

            def fail(self, error: SpeechError) -> None:
                self.failure = str(error)

        nodes.append(Failing('failing'))
        return nodes[-1]

    yield node
    for each in nodes:
        each.destroy_node()
    rclpy.shutdown()


@pytest.mark.parametrize(
    'error',
    [
        MemoryError('os error 12'),
        OSError(errno.ENOMEM, 'Cannot allocate memory'),
        ImportError('x/tokenizers.abi3.so: failed to map segment from shared object'),
    ],
)
def test_a_full_memory_fails_it_with_a_sentence(make, error):
    """The memory limits of tests/reliability meet this at rare moments only."""
    node = make(error)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert node.failure == 'no memory is left: end other programs, or choose a smaller model'
