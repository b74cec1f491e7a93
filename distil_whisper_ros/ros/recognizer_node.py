"""The node `speech_recognizer`: it connects the parts to each other and to ROS."""

from collections.abc import Callable
from dataclasses import dataclass
import itertools
import threading
import time
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import TransitionCallbackReturn
from std_msgs.msg import Empty

from ..audio.source import AudioSource
from ..core.errors import (
    DeviceError,
    HubUnreachableError,
    InactiveError,
    RequestError,
    SettingError,
    SpeechError,
    unexpected,
)
from ..core.parameter_spec import TakesEffect
from ..core.settings import ModelSettings, Settings
from ..core.types import State, Transcript
from ..speech.batch_transcription import TranscriptionQueue
from ..speech.own_voice import OwnVoice
from ..speech.recognizer import Recognizer
from ..speech.request import Request
from ..speech.self_speech import SelfSpeechGate
from ..speech.source_switch import INTERRUPT_AGAIN
from ..speech.state import Facts, Lifecycle, Phase, StateMachine
from ..speech.voice_activity import VoiceActivity
from .autostart import Autostart
from .configured_parts import ConfiguredParts, load
from .conversions import by_clock, TimeOf, transcript_message
from .heartbeat import keep_heartbeat
from .listen_action import ListenAction
from .log import log_failure, printable
from .managed_node import ManagedNode, transition
from .parameters import Parameters
from .publishers import Publishers
from .self_speech_monitor import SelfSpeechMonitor
from .services import Services
from .signal_meter import SignalMeter
from .sources import make_source
from .timers import steady_timer
from .twins import TwinWatch

RETRY_PERIOD = 5.0  # s between attempts to activate, and first between those to configure
LONGEST_RETRY_PERIOD = 60.0  # s
NO_CLOCK = 5.0  # s without a message on /clock after which that is worth a line


@dataclass(frozen=True)
class ActiveParts:
    """The parts that activate makes and deactivate closes."""

    source: AudioSource
    voice_activity: VoiceActivity
    recognizer: Recognizer
    self_speech: SelfSpeechMonitor

    def close(self) -> None:
        """Answer every request, and close the microphone."""
        self.self_speech.close()
        self.recognizer.close()


class SpeechRecognizer(ManagedNode):
    """A managed node; see the README for its interface."""

    def __init__(self) -> None:
        """Declare the parameters and offer the interface; nothing is loaded yet."""
        super().__init__('speech_recognizer')
        self._ids = itertools.count(1)
        self._configured: ConfiguredParts | None = None
        self._active: ActiveParts | None = None
        self._closing = False
        self._progress = float('nan')
        self._failure: SpeechError | None = None
        self._started = time.monotonic()
        self._clock_checked = False
        self._configuring = False
        # A parameter changes before all of them are read, or after.
        self._settings_lock = threading.RLock()
        self._mute_lock = threading.RLock()  # taken before the recognizer's own locks
        self._declared = Parameters(
            self,
            self._may_change,
            'the node stays unconfigured',
            f'ros2 lifecycle set {self.get_fully_qualified_name()} configure',
            self.check_loaded,
        )
        self._outputs = Publishers(self)
        self._machine = StateMachine(self._on_state, self.on_failure)
        self._listen_action = ListenAction(self, self, lambda: self._machine.state)
        Services(self, self)
        SignalMeter(self, self._signal)
        self.create_subscription(Empty, 'speech/wake', self._on_wake, 10)
        # A value that is neither true nor false may be meant as true.
        self._muted = bool(self._value('mute.at_start')) or (
            'mute.at_start' in self._declared.replaced
        )
        self._machine.update(muted=self._muted)
        self._machine.tell()
        self._twins = TwinWatch(self)
        steady_timer(self, self._value('diagnostics_period'), self._publish_diagnostics)
        keep_heartbeat(self, self._health)
        self._configure_delay = RETRY_PERIOD
        self._autostart = Autostart(self, self._start) if self._value('autostart') else None

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    # Lifecycle

    def _start(self) -> float | None:
        """Configure and activate; return after how many seconds to try again, or None."""
        if self._configured is None:
            self.transition(self.trigger_configure)
        if self._configured is None:
            if self._closing or not self._may_heal():
                return None
            delay = self._configure_delay
            self._configure_delay = min(2 * delay, LONGEST_RETRY_PERIOD)
            return delay
        if self._active is None:
            self.transition(self.trigger_activate)
        ended = self._active is not None or self._closing or not self._was_foreseen()
        return None if ended else RETRY_PERIOD

    def _may_heal(self) -> bool:
        """Return whether a failed configure may work later without a change of parameters."""
        folder = str(self._value('model.id')).startswith(('/', './', '../', '~'))
        failure = self._failure
        return isinstance(failure, (DeviceError, HubUnreachableError)) and not folder

    def _was_foreseen(self) -> bool:
        """Return whether the last failure was no internal error."""
        return self._failure is None or type(self._failure) is not SpeechError

    def on_transition_request(self) -> None:
        """End autostart: the client that asks for a transition manages the lifecycle now."""
        if self._autostart is not None:
            self._autostart.end()

    @transition
    def on_configure(self, state) -> TransitionCallbackReturn:
        """Load the model and warm it up; this and on_activate are where the parts are joined."""
        with self._settings_lock:
            settings = self._declared.settings
            self._configuring = True
        try:
            configured = load(settings, self._ids, self)
            with self._settings_lock:
                try:
                    configured.transcriber.check(self._declared.settings.model)
                except SettingError:  # it was set while the model was being loaded
                    configured.close()
                    raise
                self._configured = configured
                configured.prepare(self.settings)
        finally:
            self._configuring = False
        self.get_logger().info(
            f'{printable(configured.model)} is ready on {configured.device} '
            f'({configured.transcriber.precision}) after {configured.loading_took:.1f} s'
        )
        self._failure = None
        self._machine.update(lifecycle=Lifecycle.INACTIVE, detail='')
        return super().on_configure(state)

    @transition
    def on_activate(self, state) -> TransitionCallbackReturn:
        """Open the microphone, unless it is muted."""
        with self._settings_lock:
            settings = self._declared.settings
            active = self._make_active(settings)
        try:
            active.recognizer.start()
            result = super().on_activate(state)
            if self._active is not active:
                raise InactiveError('the node is being closed')
        except BaseException:
            self._close_active()
            raise
        self._failure = None
        self._machine.update(lifecycle=Lifecycle.ACTIVE, detail='')
        self._log_listening(active)
        if settings.hands_free.enabled:
            active.recognizer.set_hands_free(self.settings)
        return result

    def _make_active(self, settings: Settings) -> ActiveParts:
        """Join the parts that listen; nothing is open yet."""
        configured = self._configured
        if configured is None or self._closing:
            raise InactiveError('the model is not loaded: configure the node first')
        gate = SelfSpeechGate()
        own_voice = OwnVoice(gate)

        def on_self_speech(speaker: str, speaking: bool) -> None:
            if speaking:
                gate.begin(speaker)
            else:
                gate.end(speaker, self._value('self_speech.tail'))

        source = make_source(self, settings, self._on_source_change, self.on_warning)
        names = settings.self_speech
        monitor = SelfSpeechMonitor(
            self, names.topics, names.actions, on_self_speech, names.text_topic, own_voice.add
        )
        voice_activity = VoiceActivity()
        with self._mute_lock:
            recognizer = Recognizer(
                source,
                voice_activity,
                configured.transcriber,
                self,
                configured.scheduler,
                self._machine,
                self._ids,
                self._muted,
                gate,
                configured.turn_detector,
                own_voice,
            )
            active = self._active = ActiveParts(source, voice_activity, recognizer, monitor)
        return active

    def _log_listening(self, active: ActiveParts) -> None:
        health = active.source.health()
        if health.open:
            self.get_logger().info(
                f'listening to "{printable(health.name)}" ({health.sample_rate} Hz, '
                f'{health.channels} channel{"s" if health.channels != 1 else ""}): '
                'call speech/record and speak'
            )
        elif active.recognizer.muted:
            self.get_logger().info(self._machine.detail)

    @transition
    def on_deactivate(self, state) -> TransitionCallbackReturn:
        """Close the microphone."""
        self._close_active()
        self._machine.update(lifecycle=Lifecycle.INACTIVE, detail='')
        return super().on_deactivate(state)

    @transition
    def on_cleanup(self, state) -> TransitionCallbackReturn:
        """Free the model's memory."""
        self._close_configured()
        self._machine.update(lifecycle=Lifecycle.UNCONFIGURED, detail='')
        return super().on_cleanup(state)

    @transition
    def on_shutdown(self, state) -> TransitionCallbackReturn:
        """Release everything."""
        self._close_active()
        self._close_configured()
        self._machine.update(lifecycle=Lifecycle.UNCONFIGURED, detail='shut down')
        return super().on_shutdown(state)

    @transition
    def on_error(self, state) -> TransitionCallbackReturn:
        """Go back to unconfigured after an internal error, so that the node can start over."""
        self._close_active()
        self._close_configured()
        return TransitionCallbackReturn.SUCCESS

    def _close_active(self) -> None:
        with self._settings_lock:
            active, self._active = self._active, None
        if active is not None:
            active.close()

    def _close_configured(self) -> None:
        with self._settings_lock:
            configured, self._configured = self._configured, None
        if configured is not None:
            configured.close()
            self._machine.update(resting=False)

    def fail(self, error: SpeechError) -> None:
        """Publish why a transition failed; log it once while it stays the same."""
        if str(error) != str(self._failure):
            self.get_logger().error(printable(error))
        self._failure = error
        self._machine.update(lifecycle=Lifecycle.ERROR, detail=printable(error))

    def close(self) -> None:
        """Release the microphone and the model at the end of the process."""
        self._closing = True
        if self._autostart is not None:
            self._autostart.end()
        active = self._active
        if active is not None:
            active.source.close()  # also one that is being opened
        self._close_active()
        self._close_configured()

    def destroy_node(self) -> None:
        """Remove the node from the graph."""
        self._listen_action.destroy()
        super().destroy_node()

    # Parameters

    def set_parameters_atomically(self, parameter_list):
        """Set parameters; an error names the right values, which rclpy's does not."""
        try:
            with self._settings_lock:
                parameters = self._declared.prepare(parameter_list)
                result = self._declared.refusal(parameters)
                if result is None:
                    result = super().set_parameters_atomically(parameters)
                    if result.successful:
                        self._declared.accepted(parameters)
                        named = any(each.name.startswith('commands.') for each in parameters)
                        if named and self._configured is not None:
                            self._configured.prepare(self.settings)
                        if self._active is not None:
                            self._active.recognizer.settings_changed()
        except Exception as error:
            log_failure(self, error)
            result = SetParametersResult(successful=False, reason=unexpected(error))
        if not result.successful:
            result.reason = printable(result.reason)
        return result

    def _may_change(self, kind: TakesEffect) -> str:
        """Return why a parameter of that kind cannot change now, or ''."""
        if kind is TakesEffect.START:
            return 'restart the node with the new value'
        if kind is TakesEffect.CONFIGURE and self._configuring:
            return 'the model is being loaded: wait, then deactivate it and clean it up'
        if kind is TakesEffect.CONFIGURE and self._configured is not None:
            return 'deactivate it and clean it up first (ros2 lifecycle set)'
        if kind is TakesEffect.ACTIVATE and self._active is not None:
            return 'deactivate it first (ros2 lifecycle set)'
        return ''

    # For the services and the action; see Parts

    def settings(self) -> Settings:
        """Return the settings as they are now; raise a SettingError if one is wrong."""
        return self._declared.settings

    def check_loaded(self, settings: ModelSettings) -> None:
        """Raise a SettingError for settings that the loaded model, if any, cannot use."""
        configured = self._configured
        if configured is not None:
            configured.transcriber.check(settings)

    def recognizer(self) -> Recognizer:
        """Return the recognizer, or raise an InactiveError with the remedy."""
        active = self._active
        if active is None or self._machine.facts.lifecycle is not Lifecycle.ACTIVE:
            raise InactiveError(self._why_inactive())
        return active.recognizer

    def transcription_queue(self) -> TranscriptionQueue:
        """Return the queue that transcribes the audio of requests; it needs no microphone."""
        configured = self._configured
        if configured is None:
            raise InactiveError(self._why_inactive())
        return configured.queue

    def _why_inactive(self) -> str:
        state, detail = self._machine.state, self._machine.detail
        remedy = {
            State.UNCONFIGURED: 'configure and activate it (ros2 lifecycle set)',
            State.LOADING: detail,
            State.INACTIVE: 'activate it (ros2 lifecycle set)',
            State.ERROR: detail,
        }.get(state, 'try again')
        return f'the recognizer is {state.name.lower()}, not active: {remedy}'

    def set_muted(self, muted: bool, wanted: Callable[[], bool] = lambda: True) -> str:
        """Close the microphone or let it open again, in every state; return the result.

        Nothing is done if it is no longer `wanted` when its turn comes. Raise a SpeechError then,
        and if the microphone refuses to open; it stays muted.
        """
        while not self._mute_lock.acquire(timeout=INTERRUPT_AGAIN):
            opening = self._active
            if muted and opening is not None:
                opening.recognizer.interrupt_opening()  # whoever opens it has the lock
        try:
            if not wanted():
                raise RequestError('the microphone stays closed: it was muted again meanwhile')
            active = self._active
            self._muted = muted or self._muted  # also if closing it fails
            if active is not None:
                active.recognizer.set_muted(muted)
            self._machine.update(muted=muted)
            self._muted = muted
        finally:
            self._mute_lock.release()
        if muted:
            return 'the microphone is closed'
        if active is not None:
            return 'the microphone is open'
        return 'the microphone opens when the node is activated'

    def _on_wake(self, _message: Empty) -> None:
        """Need no name for a while: a wake word model heard one."""
        active = self._active
        if active is not None:
            try:
                active.recognizer.wake(self._declared.settings)
            except Exception as error:  # or the executor ends
                log_failure(self, error)

    def transcript_message(self, transcript: Transcript, time_of: TimeOf | None = None) -> Any:
        """Return a transcript as a message; without `time_of`, its times are monotonic."""
        model, device = self._model()
        frame_id = str(self._value('microphone.frame_id'))
        if time_of is not None:
            return transcript_message(transcript, time_of, frame_id, model, device)
        times = by_clock(self.get_clock())
        return transcript_message(transcript, times, frame_id, model, device, time.monotonic())

    def _model(self) -> tuple[str, str]:
        """Return the model that is loaded and its device, or empty texts."""
        configured = self._configured
        return (configured.model, configured.device) if configured is not None else ('', '')

    # Reports of the parts, called from their threads

    def on_progress(self, step: str, share: float) -> None:
        """Publish and log how far loading is."""
        if not self._configuring or self._closing:
            return  # a download that goes on after its end
        self._progress = share
        facts = self._machine.facts
        if (facts.lifecycle, facts.detail) == (Lifecycle.LOADING, step):
            self._machine.tell()
        self._machine.update(lifecycle=Lifecycle.LOADING, detail=step)
        self._outputs.log_progress(step, share)

    def _on_state(self, state: State, detail: str, facts: Facts) -> None:
        """Publish a new state."""
        progress = self._progress if state is State.LOADING else float('nan')
        attentive = facts.attentive
        self._outputs.publish_state(state, detail, facts.hands_free, progress, attentive)
        asked = state is State.WAITING and not facts.hands_free
        configured = self._configured
        if facts.resting and configured is not None and (asked or state is State.HEARING):
            configured.wake()

    def on_idle(self, seconds: float) -> None:
        """Let the model rest if nobody has needed it for model.unload_after."""
        after, facts, configured = self._value('model.unload_after'), self._machine.facts, None
        unasked = facts.phase is Phase.IDLE or (facts.phase is Phase.WAITING and facts.hands_free)
        if after and seconds >= after and unasked:
            configured = self._configured
        if configured is not None and configured.rest():
            self.get_logger().info(
                f'nobody needed {printable(configured.model)} for {after:g} s: its memory is '
                'freed, and the next request loads it again (model.unload_after)'
            )

    def on_resting(self, resting: bool) -> None:
        self._machine.update(resting=resting)
        if not resting:
            self.get_logger().info('the model is loaded again')

    def wants_partial(self) -> bool:
        """Return whether anybody subscribes to partial text."""
        return self._outputs.wants_partial

    def on_partial(self, request: Request, text: str) -> None:
        """Publish the settled part of a text."""
        self._outputs.publish_partial(text)
        self._listen_action.on_partial(request, text)

    def on_transcript(self, transcript: Transcript) -> None:
        """Publish the end of a request."""
        model, device = self._model()
        self._outputs.publish_transcript(transcript, self._declared.settings, model, device)

    def on_failure(self, error: Exception) -> None:
        """Log an unexpected exception."""
        log_failure(self, error)

    def on_late_failure(self, error: BaseException) -> None:
        """Log an exception of a job whose result nobody wants any more."""
        if isinstance(error, Exception):
            self.on_failure(error)

    def on_warning(self, notice: str) -> None:
        """Log what is odd about a recording or a prompt."""
        self.get_logger().warn(printable(notice))

    def _on_source_change(self, problem: str) -> None:
        if problem:
            self.get_logger().warn(printable(problem))
        else:
            self.get_logger().info('the microphone works again')
        active = self._active
        if active is not None:
            active.recognizer.source_changed()

    def _health(self) -> tuple[State, str]:
        return self._machine.state, printable(self._machine.detail)

    def _signal(self) -> tuple[float, float]:
        """Return the level and the probability of speech; NaN for what nobody listens to."""
        active, nothing = self._active, float('nan')
        health = active.source.health() if active is not None else None
        if active is None or health is None or not health.open:
            return nothing, nothing
        listening = self._machine.facts.phase in (Phase.WAITING, Phase.HEARING)
        return health.level, active.voice_activity.probability if listening else nothing

    def _publish_diagnostics(self) -> None:
        active, (model, _) = self._active, self._model()
        self._outputs.publish_diagnostics(
            self._machine.state,
            self._machine.detail,
            model,
            active.source.health() if active is not None else None,
            active.recognizer.dropped if active is not None else 0,
        )
        self._check_clock()
        self._twins.look()

    def _check_clock(self) -> None:
        """Log once that use_sim_time is set and no time comes."""
        if self._clock_checked or time.monotonic() - self._started < NO_CLOCK:
            return
        self._clock_checked = True
        if self._value('use_sim_time') and not self.get_clock().now().nanoseconds:
            self.get_logger().warn(
                'use_sim_time is true, but nothing is published on /clock: the stamps of all '
                'messages are 0'
            )
