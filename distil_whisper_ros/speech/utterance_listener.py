"""Listening to one utterance: frames go in until it is complete.

    frame ──► self speech? ──► voice activity ──► near? ──► endpointer ──► utterance buffer
                                              turn watch ──┘     └──► speculation (work ahead)
                                                                 └──► urgent watch

All of it runs in the listener's thread; see `listening.py`.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
import math
import time
from typing import Protocol

from ..core.audio_format import Frame, frame_count, FRAME_DURATION, Samples
from ..core.scheduler import Job, Priority
from ..core.settings import ModelSettings
from ..core.types import Ending, Utterance
from .endpointer import Endpointer
from .near_speaker import NearSpeaker
from .own_voice import OwnVoice
from .request import Request
from .self_speech import SelfSpeechGate
from .self_speech_watch import SelfSpeechWatch
from .speculation import Speculation
from .state import Phase, StateMachine
from .turn_watch import TurnDetector, TurnWatch
from .urgent import urgent_command, UrgentCommand, UrgentWatch
from .urgent_ear import UrgentEar
from .utterance_buffer import MARGIN, UtteranceBuffer

RECENT = 0.5  # s: an older frame comes from a recording, for which work ahead saves nothing
HEARD = 8.0  # s of the utterance that turn detection hears


class VoiceActivity(Protocol):
    """Gives each frame its probability of speech. Keeps state from frame to frame."""

    def __call__(self, frame: Samples, /) -> float:
        """Return the probability, from 0 to 1, that a frame is speech."""
        ...

    def reset(self) -> None:
        """Forget the frames so far."""
        ...


class UtteranceListener:
    """Follows one utterance from the first frame to its ending."""

    def __init__(
        self,
        request: Request,
        voice_activity: VoiceActivity,
        gate: SelfSpeechGate,
        machine: StateMachine,
        speculation: Callable[[Request], Speculation],
        wants_partial: Callable[[], bool],
        earlier: Sequence[tuple[Frame, float]] = (),
        turn_detector: TurnDetector | None = None,
        own_voice: OwnVoice | None = None,
        on_evidence: Callable[[], None] = lambda: None,
    ) -> None:
        """Start to listen.

        `speculation` makes the work ahead for a request; `wants_partial` tells whether anybody
        reads along. `earlier` frames, with their probabilities of speech, came behind the last
        utterance: they are taken first. Without a `turn_detector`, silence ends the utterance.
        `own_voice` knows what the robot says. `on_evidence` is called when turn detection has
        answered; `look` may have an ending then.
        """
        self.request = request
        self._voice_activity = voice_activity
        self._gate = gate
        self._own_voice = own_voice or OwnVoice(gate)
        self._machine = machine
        self._make_speculation = speculation
        self._wants_partial = wants_partial
        self.speculation = speculation(request)
        self._turn = TurnWatch(turn_detector, on_evidence)
        self._urgent: UrgentCommand | None = None  # that was heard
        self._recent = False  # whether the last frame was live
        self._speech_start = math.inf
        self._pre_roll: list[tuple[Frame, float]] = []  # heard before the endpointer started
        self._replay = deque(earlier)
        self._restart()
        mutes = (
            self._hears_through and not self.request.settings.self_speech.barge_in and not earlier
        )
        goes_on = mutes and gate.covers(time.monotonic())
        self._self_speech = SelfSpeechWatch(request, gate, machine, blocked=goes_on)
        machine.update(phase=Phase.WAITING, self_speech=gate.reason if goes_on else '')

    def _restart(self) -> None:
        settings = self.request.settings
        pre_roll = settings.microphone.pre_roll
        self._endpointer = Endpointer(
            settings.utterance, pre_roll, self.request.implicit, self.request.frames_waited
        )
        self._near_speaker = NearSpeaker(settings.utterance.far_voice)
        self._watch = self._make_watch()
        kept = frame_count(pre_roll) if settings.utterance.endpointing else None
        self._buffer = UtteranceBuffer(kept, self._pre_roll)

    def _make_watch(self, alone: bool = False) -> UrgentWatch:
        return UrgentWatch(
            self.request.settings,
            self._submit_draft,
            self._is_idle,
            self._own_voice,
            self.request.wake_phrases,
            alone,
        )

    def _make_ear(self) -> UrgentEar:
        return UrgentEar(self.request.settings, self._make_watch)

    def _submit_draft(
        self, priority: Priority, utterance: Utterance, settings: ModelSettings
    ) -> Job:
        return self.speculation.submit_draft(priority, utterance, settings)

    def _is_idle(self) -> bool:
        return self.speculation.idle

    @property
    def _hears_through(self) -> bool:
        """Whether urgent commands are heard while the robot speaks."""
        return bool(self.request.settings.commands.all_urgent)

    def hand_over(self, request: Request) -> None:
        """Give the utterance to another request; its own limits apply before speech."""
        self.request = request
        self._self_speech.hand_over(request)
        if self.speaking:
            self.speculation.request = request
            self._watch.discard()
            self._watch = self._make_watch()
        else:
            self.speculation.end()
            self.speculation.discard()
            self.speculation = self._make_speculation(request)
            self._pre_roll = self._buffer.rest(None)
            self._restart()

    @property
    def speaking(self) -> bool:
        """Whether speech started and the utterance is not complete."""
        return self._endpointer.speaking

    @property
    def speech_start(self) -> float:
        """When speech started, in seconds of time.monotonic(); infinity before it did."""
        return self._speech_start if self.speaking else math.inf

    def forget_earlier(self) -> None:
        """Forget the frames behind the last utterance: the audio was interrupted since."""
        self._replay.clear()

    def take_earlier(self) -> Ending | None:
        """Take the frames that came behind the last utterance; return as `take` does."""
        while self._replay:
            ending = self.take(*self._replay.popleft())
            if ending is not None:
                return ending
        return None

    def take(self, frame: Frame, probability: float | None = None) -> Ending | None:
        """Take the next frame; return why the utterance is complete, or None if it is not.

        `probability` of speech is given for a frame that voice activity has seen already.
        """
        covered = self._gate.covers(frame.time)
        if covered and not self.request.settings.self_speech.barge_in:
            return self._block() or self._hear_through(frame, probability)
        if probability is None:
            probability = self._voice_activity(frame.samples)
        blocked = self._self_speech.blocked
        if blocked and not self._self_speech.quiet_again(probability, self._voice_activity.reset):
            return self._hear_through(frame, probability) or self._give_up_waiting()
        spoke, silence = self.speaking, Ending.SILENCE
        recent = self._recent = time.monotonic() - frame.time < RECENT
        self._self_speech.hear_beside(frame, probability, covered and recent, self._make_ear)
        if spoke:
            silence = self._require_pause(recent)
        ending = self._endpointer.step(self._near(frame.samples, probability))
        self._buffer.push(frame, probability, self.speaking)
        if self.speaking != spoke:
            self._speech_start = self._so_far().speech_start
            self._near_speaker = NearSpeaker(self.request.settings.utterance.far_voice)
            self._watch.discard()
            self._watch = self._make_watch()
            self._machine.update(phase=Phase.HEARING if self.speaking else Phase.WAITING)
        if self._is_urgent(recent):
            return Ending.COMMAND
        if self.speaking and ending is None and recent:
            self._work_ahead()
        elif self._endpointer.pause == 0:
            self._turn.discard()  # the speaker went on in frames that came late
        return silence if ending is Ending.SILENCE else ending

    def look(self) -> Ending | None:
        """Return why the utterance is complete by what became known since the last frame."""
        if self._self_speech.blocked:
            self._urgent = self._self_speech.found()
            return None if self._urgent is None else Ending.COMMAND
        if not self._recent:
            return None
        if self._is_urgent(True):
            return Ending.COMMAND
        ending = self._require_pause(True) if self.speaking else Ending.SILENCE
        return ending if self._endpointer.complete else None

    def _is_urgent(self, recent: bool) -> bool:
        """Return whether the utterance so far is nothing but urgent commands."""
        if not self._hears_through or not recent:
            return False
        self._urgent = self._self_speech.found()
        if self.speaking and self._urgent is None:
            self._urgent = self._watch.found()
        if (
            self.speaking
            and self._urgent is None
            and self._endpointer.pause > self.speculation.pause
        ):
            whole = self.speculation.whole  # at a later pause, as behind a repetition
            request, own_voice = self.request, self._own_voice
            names = request.wake_phrases
            self._urgent = whole and urgent_command(*whole, request.settings, own_voice, names)
        return self._urgent is not None

    def _require_pause(self, recent: bool) -> Ending:
        """Let the endpointer wait for the pause that the evidence requires; return its ending."""
        voiced = self._endpointer.voiced * FRAME_DURATION
        # Before, the work ahead may still be that of the pause before this one.
        known = self._endpointer.pause >= self.speculation.pause
        hypothesis = self.speculation.hypothesis if known else None
        required = self._turn.required(voiced, hypothesis, self.request.settings)
        if required is None or not recent:  # evidence about a recording would come too late
            self._endpointer.required_pause = None
            return Ending.SILENCE
        self._endpointer.required_pause, ending = required
        return ending

    def _near(self, samples: Samples, probability: float) -> float:
        """Return the probability that a frame is speech of the person near the microphone."""
        if not self.speaking:
            return probability
        spoken = probability >= self.request.settings.utterance.vad_threshold
        return 0.0 if self._near_speaker.is_far(samples, spoken) else probability

    def end(self, ending: Ending, note: str = '') -> tuple[Utterance, list[tuple[Frame, float]]]:
        """Return the utterance, and the frames after it with their probabilities."""
        self.speculation.end()
        self._turn.discard()
        self._watch.discard()
        self._self_speech.discard()
        # It refers to this listener, and that to the audio.
        self._watch = UrgentWatch(self.request.settings, _no_draft, bool)
        self.request.frames_waited += self._endpointer.index
        if self._urgent is not None:
            utterance = replace(self._urgent.utterance, ending=Ending.COMMAND)
            self.speculation.adopt(utterance, self._urgent.hypothesis)
            return utterance, self._behind(utterance)
        if ending is Ending.SELF_SPEECH and not note:
            if self._endpointer.pause < frame_count(MARGIN):
                note = 'the robot started to speak before the sentence was complete'
        utterance = self._buffer.utterance(self._endpointer, ending, note)
        return utterance, [*self._buffer.rest(self._endpointer), *self._replay]

    def _behind(self, utterance: Utterance) -> list[tuple[Frame, float]]:
        """Return the frames behind an utterance."""
        frames = [*self._buffer.rest(None), *self._replay]
        for index, (each, _) in enumerate(frames):
            if each.time == utterance.time:
                return frames[index + len(utterance.speech) :]
        return [*self._replay]  # it was heard while the robot spoke

    def _block(self) -> Ending | None:
        """Ignore a frame in which the robot itself speaks."""
        if self.speaking:
            return Ending.SELF_SPEECH
        too_long = self._self_speech.block()
        self._pre_roll = []
        self._restart()  # the time to start to speak counts from the end of the robot's speech
        return Ending.SELF_SPEECH if too_long else None

    def _hear_through(self, frame: Frame, probability: float | None) -> Ending | None:
        """Listen for an urgent command while the robot speaks; drop everything else."""
        if not self._hears_through or time.monotonic() - frame.time > RECENT:
            return None
        if probability is None:
            probability = self._voice_activity(frame.samples)
        self._urgent = self._self_speech.hear(frame, probability, self._make_ear)
        return None if self._urgent is None else Ending.COMMAND

    def _give_up_waiting(self) -> Ending | None:
        return Ending.NO_SPEECH if self._self_speech.waits_too_long() else None

    def _work_ahead(self) -> None:
        settings, speculation = self.request.settings.utterance, self.speculation
        speculation.count_frame()
        reads_along = self.request.partial or self._wants_partial()
        pause = self._endpointer.pause
        if not self._self_speech.covered:
            self._watch.follow(self._endpointer, self._so_far)
        if settings.endpointing:
            self._turn.follow(pause, self.request.settings, self._heard)
        if pause == speculation.pause and settings.speculative and settings.endpointing:
            speculation.transcribe_all(self._so_far())
        elif pause == 0 and not reads_along:
            speculation.discard()  # the speaker went on
        if reads_along and pause == 0 and speculation.due:
            speculation.transcribe_partial(self._so_far())

    def _heard(self) -> Samples:
        return self._buffer.latest(HEARD, self._endpointer)

    def _so_far(self) -> Utterance:
        return self._buffer.utterance(self._endpointer, Ending.SILENCE, '')


def _no_draft(*_: object) -> Job:
    raise RuntimeError('the utterance has ended')
