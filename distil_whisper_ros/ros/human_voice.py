"""The person who speaks, where nodes for human-robot interaction look for people (REP-155).

It needs the messages of hri_msgs, which are optional. Their versions differ in how they name the
language.
"""

import importlib
from typing import Any

from distil_whisper_msgs.msg import Transcript
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Bool

from ..core.settings import HumansSettings
from ..core.types import State
from .log import printable
from .managed_node import ManagedNode
from .timers import steady_timer

ROOT = '/humans/voices'  # absolute, as REP-155 has it
PERIOD = 1.0  # s between lists of voices: many nodes do not get the last one when they start
LISTENING = frozenset(
    {State.READY, State.WAITING, State.HEARING, State.TRANSCRIBING, State.SELF_SPEECH}
)


class HumanVoice:
    """Publishes one voice: that it is there, whether it speaks, and what it says."""

    def __init__(self, node: ManagedNode, voice: str, messages: Any) -> None:
        """`voice` is the name of the voice, and `messages` the module hri_msgs.msg."""
        self._node, self._voice, self._messages = node, voice, messages
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._tracked = node.create_publisher(messages.IdsList, f'{ROOT}/tracked', latched)
        self._speaking = node.create_publisher(Bool, f'{ROOT}/{voice}/is_speaking', latched)
        self._speech = node.create_lifecycle_publisher(
            messages.LiveSpeech, f'{ROOT}/{voice}/speech', 10
        )
        self._state = State.UNKNOWN
        steady_timer(node, PERIOD, self._publish_tracked)

    @property
    def wants_partial(self) -> bool:
        """Whether anybody subscribes to the speech."""
        return self._speech.get_subscription_count() > 0

    def publish_state(self, state: State) -> None:
        """Publish what changes with the state of the recognizer."""
        before, self._state = self._state, state
        hears = state is State.HEARING
        if before is State.UNKNOWN or hears is not (before is State.HEARING):
            self._speaking.publish(Bool(data=hears))
        if (before in LISTENING) is not (state in LISTENING):
            self._publish_tracked()

    def _publish_tracked(self) -> None:
        voices = self._messages.IdsList(ids=[self._voice] if self._state in LISTENING else [])
        voices.header.stamp = self._node.get_clock().now().to_msg()
        self._tracked.publish(voices)

    def publish_partial(self, text: str, frame_id: str) -> None:
        """Publish the settled part of a text."""
        speech = self._messages.LiveSpeech(incremental=text)
        speech.header.stamp = self._node.get_clock().now().to_msg()
        speech.header.frame_id = frame_id
        self._speech.publish(speech)

    def publish_final(self, transcript: Transcript) -> None:
        """Publish an accepted text."""
        speech = self._messages.LiveSpeech(
            header=transcript.header, final=transcript.text, confidence=transcript.confidence
        )
        for name in {'language', 'locale'} & {*speech.get_fields_and_field_types()}:
            setattr(speech, name, transcript.language)
        self._speech.publish(speech)


def human_voice(node: ManagedNode, voice: str) -> HumanVoice | None:
    """Return the publisher of a voice, or None without a name or without hri_msgs."""
    if not voice:
        return None
    log = node.get_logger()
    try:
        return HumanVoice(node, voice, importlib.import_module('hri_msgs.msg'))
    except ModuleNotFoundError:
        if voice == HumansSettings.voice:
            log.debug('hri_msgs is not installed: nothing is published on /humans/voices')
        else:
            log.warn(f'humans.voice is {voice!r}, but hri_msgs is not installed: install it')
    except Exception as error:  # it was built for another ROS, or is damaged
        log.warn(f'humans.voice: hri_msgs cannot be used ({printable(repr(error))})')
    return None
