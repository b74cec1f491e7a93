"""The services of the node."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Protocol

from distil_whisper_msgs.srv import Transcribe
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from ..audio.pcm import from_int16
from ..core.errors import RequestError, SpeechError
from ..core.settings import Settings
from ..core.types import Outcome, Transcript
from ..speech.batch_transcription import TranscriptionQueue
from ..speech.recognizer import Recognizer
from .conversions import seconds
from .futures import awaitable, InOrder


class Ears(Protocol):
    """What the services need of the node."""

    def active(self) -> Recognizer:
        """Return the recognizer, or raise an InactiveError that says what to do."""
        ...

    def foreign(self) -> TranscriptionQueue:
        """Return what transcribes foreign audio, or raise an InactiveError."""
        ...

    def settings(self) -> Settings:
        """Return the settings as they are now."""
        ...

    def transcript_message(self, transcript: Transcript) -> Any:
        """Return a transcript as a message."""
        ...

    def show_hands_free(self, hands_free: bool) -> None:
        """Tell whether every utterance is heard."""
        ...


class Services:
    """Offers them on a node."""

    def __init__(self, node: Node, ears: Ears, group: CallbackGroup) -> None:
        """Create the services; what they do is done by `ears`."""
        self._node = node
        self._ears = ears
        self._in_order = InOrder()
        for name, kind, callback in (
            ('record', Trigger, self._record),
            ('stop', Trigger, self._told('stopped', lambda: ears.active().stop())),
            ('cancel', Trigger, self._told('canceled', lambda: ears.active().cancel())),
            ('hands_free', SetBool, self._hands_free),
            ('mute', SetBool, self._mute),
            ('transcribe', Transcribe, self._transcribe),
        ):
            own = self._in_order if kind is Transcribe else group
            node.create_service(kind, f'speech/{name}', callback, callback_group=own)

    async def _record(self, _request, response):
        try:
            request = self._ears.active().record(self._ears.settings())
        except SpeechError as error:
            response.success, response.message = False, str(error)
            return response
        transcript = await awaitable(self._node, request.future)
        response.success = transcript.accepted
        response.message = transcript.text if transcript.accepted else transcript.reason
        return response

    def _told(self, done: str, act: Callable[[], bool]):
        def callback(_request, response):
            try:
                response.success = act()
            except SpeechError:
                response.success = False
            response.message = done if response.success else 'nothing is being recorded'
            return response

        return callback

    def _hands_free(self, request, response):
        try:
            self._ears.active().hear_hands_free(self._ears.settings if request.data else None)
            self._ears.show_hands_free(request.data)
            response.success = True
            response.message = (
                'every utterance is heard from now on'
                if request.data
                else 'only requests are heard from now on'
            )
        except SpeechError as error:
            response.success, response.message = False, str(error)
        return response

    def _mute(self, request, response):
        try:
            self._ears.active().mute(request.data)
            response.success = True
            response.message = (
                'the microphone is closed' if request.data else 'the microphone is open'
            )
        except SpeechError as error:
            response.success, response.message = False, str(error)
        return response

    async def _transcribe(self, request, response):
        try:
            pending = self._take(request)
        except SpeechError as error:
            pending = Future()
            pending.set_result(Transcript(Outcome.FAILED, reason=str(error)))
        finally:
            self._in_order.begun(self._node)
        transcript = await awaitable(self._node, pending)
        response.success = transcript.accepted
        response.transcript = self._ears.transcript_message(transcript)
        if request.audio.header.frame_id:
            response.transcript.header.frame_id = request.audio.header.frame_id
        return response

    def _take(self, request):
        audio, settings = request.audio, self._ears.settings()
        if not audio.channels or len(audio.data) % audio.channels:
            raise RequestError(
                f'audio.channels is {audio.channels}, but must be 1 or more, and divide the '
                f'{len(audio.data)} samples in audio.data'
            )
        return self._ears.foreign().transcribe(
            from_int16(audio.data, audio.channels),
            audio.sample_rate,
            understood(settings, request),
            seconds(audio.header.stamp),
        )


def understood(settings: Settings, options: Any) -> Settings:
    """Return the settings with what a goal or request says of the text that it wants."""
    model = overridden(
        settings.model,
        language=options.language,
        task=options.task,
        prompt=options.prompt,
        hotwords=[*options.hotwords],
    )
    commands = overridden(settings.commands, phrases=[*options.commands])
    return replace(settings, model=model, commands=commands)


def overridden(group: Any, **values: Any) -> Any:
    """Return a group of settings with those values that are not 0 or empty; check each."""
    given = {name: value for name, value in values.items() if value}
    return group.replaced(**given)
