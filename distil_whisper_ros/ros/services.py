"""The services of the node."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Protocol

from distil_whisper_msgs.srv import Transcribe
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from ..audio.limits import check_format
from ..audio.pcm import from_int16
from ..core.errors import SpeechError
from ..core.settings import ModelSettings, Settings
from ..core.types import Outcome, Transcript
from ..speech.batch_transcription import TranscriptionQueue
from ..speech.recognizer import Recognizer
from .conversions import after, TimeOf
from .deferred import create_deferred_service, Later
from .log import printable


class Parts(Protocol):
    """The parts of the node that services and the action use."""

    def recognizer(self) -> Recognizer:
        """Return the recognizer, or raise an InactiveError with the remedy."""
        ...

    def transcription_queue(self) -> TranscriptionQueue:
        """Return the queue that transcribes the audio of requests, or raise an InactiveError."""
        ...

    def settings(self) -> Settings:
        """Return the settings as they are now; raise a SettingError if one is wrong."""
        ...

    def check_loaded(self, settings: ModelSettings) -> None:
        """Raise a SettingError for settings that the loaded model, if any, cannot use."""
        ...

    def set_muted(self, muted: bool, wanted: Callable[[], bool] = ...) -> str:
        """Close the microphone or let it open again; return the result as a sentence.

        Raise a SpeechError if that fails, or is no longer `wanted` when its turn comes.
        """
        ...

    def transcript_message(self, transcript: Transcript, time_of: TimeOf | None = None) -> Any:
        """Return a transcript as a message; without `time_of`, its times are monotonic."""
        ...


class Services:
    """The services, on a node."""

    def __init__(self, node: Node, parts: Parts) -> None:
        """Create the services."""
        self._node, self._parts = node, parts
        self._mutes = 0
        self._unmuting = ThreadPoolExecutor(1, 'unmute')
        for name, kind, callback in (
            ('record', Trigger, self._record),
            ('stop', Trigger, self._acting('stopped', lambda: parts.recognizer().stop())),
            ('cancel', Trigger, self._acting('canceled', lambda: parts.recognizer().cancel())),
            ('hands_free', SetBool, self._hands_free),
            ('mute', SetBool, self._mute),
        ):
            create_deferred_service(node, kind, f'speech/{name}', callback, fail)
        create_deferred_service(
            node, Transcribe, 'speech/transcribe', self._transcribe, self._fail_transcription
        )

    def _record(self, _request, response):
        try:
            request = self._parts.recognizer().record(self._parts.settings())
        except SpeechError as error:
            return fail(response, error)

        def finish(transcript: Transcript):
            response.success = transcript.accepted
            response.message = (
                transcript.text if transcript.accepted else printable(transcript.reason)
            )
            return response

        return Later(request.future, finish)

    def _acting(self, done: str, act: Callable[[], bool]):
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
            recognizer = self._parts.recognizer()
            recognizer.set_hands_free(self._parts.settings if request.data else None)
        except SpeechError as error:
            return fail(response, error)
        response.success = True
        response.message = (
            'every utterance is transcribed from now on'
            if request.data
            else 'only requests are transcribed from now on'
        )
        return response

    def _mute(self, request, response):
        """Mute now, or open the microphone in another thread: a mute must not wait for that."""

        def switch(wanted: Callable[[], bool] = lambda: True):
            try:
                response.message = self._parts.set_muted(request.data, wanted)
            except SpeechError as error:
                return fail(response, error)
            response.success = True
            return response

        if request.data:
            self._mutes += 1  # unmutes from before this are over
            return switch()
        mutes = self._mutes
        future = self._unmuting.submit(lambda: switch(lambda: self._mutes == mutes))
        return Later(future, lambda answered: answered)

    def _transcribe(self, request, response):
        audio, settings = request.audio, None
        try:
            settings = self._parts.settings()
            check_format(audio.sample_rate, audio.channels, len(audio.data), prefix='audio.')
            wanted = with_text_options(settings, request)
            self._parts.check_loaded(wanted.model)
            future = self._parts.transcription_queue().transcribe(
                from_int16(audio.data, audio.channels), audio.sample_rate, wanted
            )
        except SpeechError as error:
            return self._fail_transcription(response, str(error))

        def finish(transcript: Transcript):
            response.success = transcript.accepted
            if transcript.notice:
                self._node.get_logger().warn(printable(transcript.notice))
            time_of = after(audio.header.stamp)
            response.transcript = self._parts.transcript_message(transcript, time_of)
            if audio.header.frame_id:
                response.transcript.header.frame_id = audio.header.frame_id
            return response

        return Later(future, finish)

    def _fail_transcription(self, response, reason: str):
        failed = Transcript(Outcome.FAILED, reason=printable(reason))
        response.success = False
        response.transcript = self._parts.transcript_message(failed)
        return response


def fail(response: Any, reason: object) -> Any:
    """Return the response of a call that failed; std_srvs have the same fields."""
    response.success, response.message = False, printable(reason)
    return response


def with_text_options(settings: Settings, options: Any) -> Settings:
    """Return the settings with a goal's or request's options for the text.

    Raise a SettingError for a wrong one.
    """
    model = settings.model
    if options.language:  # the request knows it; the node's several languages do not matter
        model = replace(model, languages=[])
    model = overridden(
        model,
        language=options.language,
        task=options.task,
        prompt=options.prompt,
        hotwords=[*options.hotwords],
    )
    commands = settings.commands
    if options.commands:
        commands = commands.only([*options.commands])
    changed = replace(settings, model=model, commands=commands)
    _ = changed.decoding  # raises an error for commands that cannot be read
    return changed


def overridden(group: Any, **values: Any) -> Any:
    """Return a group of settings with those values that are not 0 or empty.

    Raise a SettingError for a wrong one.
    """
    given = {name: _as_written(value) for name, value in values.items() if value}
    return group.replaced(**given)


def _as_written(value: Any) -> Any:
    """Return a number without the rounding of float32, by which 0.99 is above 0.99."""
    return float(f'{value:.7g}') if isinstance(value, float) else value
