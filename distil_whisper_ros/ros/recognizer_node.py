"""The node `speech_recognizer`: it joins the parts and speaks ROS, and does nothing else."""

import itertools
import time
import traceback
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import TransitionCallbackReturn

from ..audio.source import AudioSource
from ..core.errors import InactiveError, SpeechError
from ..core.parameter_spec import TakesEffect
from ..core.scheduler import Scheduler
from ..core.settings import Settings
from ..core.types import State, Transcript
from ..speech.batch_transcription import TranscriptionQueue
from ..speech.recognizer import Recognizer
from ..speech.request import Request
from ..speech.voice_activity import VoiceActivity
from .conversions import transcript_message
from .listen_action import ListenAction
from .managed_node import ManagedNode, transition
from .parameters import Parameters
from .publishers import Publishers
from .self_speech_monitor import SelfSpeechMonitor
from .services import Services

RETRY_PERIOD = 5.0  # s between attempts to activate while the microphone is missing


class SpeechRecognizer(ManagedNode):
    """A managed node; see the README for its interface."""

    def __init__(self) -> None:
        """Declare the parameters and offer the interface; nothing is loaded yet."""
        super().__init__('speech_recognizer')
        self._ids = itertools.count(1)
        self._transcriber = None
        self._worker: Scheduler | None = None
        self._foreign: TranscriptionQueue | None = None
        self._source: AudioSource | None = None
        self._recognizer: Recognizer | None = None
        self._mute_watch: SelfSpeechMonitor | None = None
        self._knobs = Parameters(self, self._may_change)
        self._group = ReentrantCallbackGroup()
        self._shown = Publishers(self)
        self._offered = Services(self, self, self._group)
        self._listening = ListenAction(self, self, self._group)
        period: Any = self.get_parameter('diagnostics_period').value
        self.create_timer(period, self._publish_diagnostics, callback_group=self._group)
        self.on_state(State.UNCONFIGURED)
        self._autostart = None
        if self.get_parameter('autostart').value:
            self._autostart = self.create_timer(0.01, self._start, callback_group=self._group)

    # Lifecycle

    def _start(self) -> None:
        """Configure and activate; while only the microphone is missing, try again."""
        assert self._autostart is not None
        self._autostart.cancel()
        unconfigured = self._shown.state in (State.UNCONFIGURED, State.ERROR)
        if unconfigured and self._transcriber is None:
            self.trigger_configure()
        if self._transcriber is not None and self._recognizer is None:
            self.trigger_activate()
        if self._transcriber is not None and self._recognizer is None:
            self._autostart = self.create_timer(
                RETRY_PERIOD, self._start, callback_group=self._autostart.callback_group
            )

    @transition
    def on_configure(self, state) -> TransitionCallbackReturn:
        """Load the model and warm it up; this and on_activate are where the parts are joined."""
        settings = self._knobs.settings
        self.on_progress('loading PyTorch', 0.0)
        from ..whisper.transcriber import Transcriber

        started = time.monotonic()
        self._transcriber = Transcriber(settings.model, self.on_progress)
        self._worker = Scheduler()
        self._foreign = TranscriptionQueue(
            self._transcriber, VoiceActivity(), self._worker, self._ids, self.on_failure
        )
        self.get_logger().info(
            f'{settings.model.id} is ready on {self._transcriber.device} '
            f'({self._transcriber.precision}) after {time.monotonic() - started:.1f} s'
        )
        self.on_state(State.INACTIVE)
        return super().on_configure(state)

    @transition
    def on_activate(self, state) -> TransitionCallbackReturn:
        """Open the microphone."""
        assert self._transcriber is not None and self._worker is not None
        settings = self._knobs.settings
        self._source = self._make_source(settings)
        recognizer = Recognizer(
            self._source, VoiceActivity(), self._transcriber, self, self._worker, self._ids
        )
        recognizer.start()
        self._recognizer = recognizer
        self._mute_watch = SelfSpeechMonitor(
            self,
            settings.self_speech.topics,
            settings.self_speech.actions,
            self._on_speech,
            self._group,
        )
        result = super().on_activate(state)
        health = self._source.health()
        if health.open:
            self.get_logger().info(
                f'listening to "{health.name}" ({health.sample_rate} Hz, {health.channels} '
                f'channel{"s" if health.channels != 1 else ""}): call speech/record and speak'
            )
        self.on_state(State.READY if health.open else State.LOST, health.problem)
        if settings.hands_free.enabled:
            recognizer.hear_hands_free(self.settings)
            self.show_hands_free(True)
        return result

    @transition
    def on_deactivate(self, state) -> TransitionCallbackReturn:
        """Close the microphone."""
        self._close()
        self.on_state(State.INACTIVE)
        return super().on_deactivate(state)

    @transition
    def on_cleanup(self, state) -> TransitionCallbackReturn:
        """Free the model's memory."""
        self._free()
        self.on_state(State.UNCONFIGURED)
        return super().on_cleanup(state)

    @transition
    def on_shutdown(self, state) -> TransitionCallbackReturn:
        """Release everything."""
        self._close()
        self._free()
        self.on_state(State.UNCONFIGURED, 'shut down')
        return super().on_shutdown(state)

    @transition
    def on_error(self, state) -> TransitionCallbackReturn:
        """Go back to unconfigured after an internal error, so that the node can start over."""
        self._close()
        self._free()
        return TransitionCallbackReturn.SUCCESS

    def _make_source(self, settings: Settings) -> AudioSource:
        if settings.audio.source == 'file':
            from ..audio.file_source import FileSource

            return FileSource(settings.audio.file, settings.audio.file_realtime)
        if settings.audio.source == 'topic':
            from .audio_subscriber import AudioSubscriber

            return AudioSubscriber(self, settings, self._on_microphone)
        from ..audio.microphone import Microphone

        return Microphone(settings.microphone, self._on_microphone)

    def _close(self) -> None:
        recognizer, self._recognizer = self._recognizer, None
        watch, self._mute_watch = self._mute_watch, None
        if watch is not None:
            watch.close()
        if recognizer is not None:
            recognizer.close()
        self._shown.hands_free = False
        self._source = None

    def _free(self) -> None:
        transcriber, self._transcriber = self._transcriber, None
        foreign, self._foreign = self._foreign, None
        worker, self._worker = self._worker, None
        if foreign is not None:
            foreign.close()
        if worker is not None:
            worker.close()
        if transcriber is not None:
            transcriber.close()

    def fail(self, error: SpeechError) -> None:
        """Tell why a transition failed, once while it stays the same."""
        self._source = None
        if self._shown.detail != str(error):
            self.get_logger().error(str(error))
        self.on_state(State.ERROR, str(error))

    def close(self) -> None:
        """Release the microphone and the model at the end of the process."""
        source = self._source  # also one that is being opened
        self._close()
        if source is not None:
            source.close()
        self._free()

    # Parameters

    def set_parameters_atomically(self, parameter_list):
        """Set parameters, with our own words where rclpy's would not say what is right."""
        parameters = self._knobs.prepare(parameter_list)
        result = self._knobs.refusal(parameters)
        if result is None:
            result = super().set_parameters_atomically(parameters)
            if result.successful:
                self._knobs.accepted(parameters)
        if not result.successful:
            self.get_logger().warn(result.reason)
        return result

    def _may_change(self, kind: TakesEffect) -> str:
        """Return why a parameter of that kind cannot change now, or ''."""
        if kind is TakesEffect.START:
            return 'start it anew with the value that is wanted'
        if kind is TakesEffect.CONFIGURE and self._transcriber is not None:
            return 'deactivate it and clean it up first (ros2 lifecycle set)'
        if kind is TakesEffect.ACTIVATE and self._recognizer is not None:
            return 'deactivate it first (ros2 lifecycle set)'
        return ''

    # What the services and the action need; see Ears

    def settings(self) -> Settings:
        """Return the settings as they are now."""
        return self._knobs.settings

    def active(self) -> Recognizer:
        """Return the recognizer, or raise an InactiveError that says what to do."""
        if self._recognizer is None:
            raise InactiveError(self._why_inactive())
        return self._recognizer

    def foreign(self) -> TranscriptionQueue:
        """Return what transcribes foreign audio; it needs the model alone, not the microphone."""
        if self._foreign is None:
            raise InactiveError(self._why_inactive())
        return self._foreign

    def _why_inactive(self) -> str:
        state, detail = self._shown.state, self._shown.detail
        how = {
            State.UNCONFIGURED: 'configure and activate it (ros2 lifecycle set)',
            State.LOADING: detail,
            State.INACTIVE: 'activate it (ros2 lifecycle set)',
            State.ERROR: detail,
        }.get(state, '')
        return f'the recognizer is {state.name.lower()}, not active: {how}'

    def transcript_message(self, transcript: Transcript) -> Any:
        """Return a transcript as a message."""
        settings = self._knobs.settings
        return transcript_message(
            transcript, time.time(), settings.microphone.frame_id, settings.model.id, self._device
        )

    @property
    def _device(self) -> str:
        return str(self._transcriber.device) if self._transcriber else ''

    def show_hands_free(self, hands_free: bool) -> None:
        """Tell whether every utterance is heard."""
        self._shown.hands_free = hands_free
        self._shown.show_state(self._shown.state, self._shown.detail)

    # What the parts tell; called from their threads

    def on_progress(self, what: str, share: float) -> None:
        """Publish and log how far loading is."""
        self._shown.show_progress(what, share)

    def on_state(self, state: State, detail: str = '') -> None:
        """Publish a new state."""
        recognizer = self._recognizer
        self._shown.hands_free = recognizer is not None and recognizer.hands_free
        self._shown.show_state(state, detail)
        self._listening.on_state(state)

    def wants_partial(self) -> bool:
        """Return whether anybody subscribes to speech/partial."""
        return self._shown.read_along

    def on_partial(self, request: Request, text: str) -> None:
        """Publish what is settled of the text so far."""
        self._shown.show_partial(text)
        self._listening.on_partial(request, text)

    def on_transcript(self, transcript: Transcript) -> None:
        """Publish what came of an utterance."""
        self._shown.show_transcript(transcript, self._knobs.settings, self._device)

    def on_failure(self, error: Exception) -> None:
        """Log an exception that nobody expected."""
        self.get_logger().error(''.join(traceback.format_exception(error)))

    def _on_speech(self, speaker: str, speaking: bool) -> None:
        recognizer = self._recognizer
        if recognizer is None:
            return
        if speaking:
            recognizer.hush.begin(speaker)
        else:
            recognizer.hush.end(speaker, self._knobs.settings.self_speech.tail)

    def _on_microphone(self, problem: str) -> None:
        if problem:
            self.get_logger().warn(problem)
        else:
            self.get_logger().info('the microphone is well')
        lost = self._source is not None and problem and not self._source.health().open
        if lost and self._shown.state is State.READY:
            self.on_state(State.LOST, problem)
        elif not problem and self._shown.state is State.LOST:
            self.on_state(State.READY)

    def _publish_diagnostics(self) -> None:
        source, recognizer = self._source, self._recognizer
        self._shown.show_diagnostics(
            str(self.get_parameter('model.id').value),
            source.health() if source is not None else None,
            recognizer.dropped if recognizer is not None else 0,
        )
