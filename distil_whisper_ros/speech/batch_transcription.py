"""Audio that comes in requests: another robot's, or a file's; served in order, or at once.

Several utterances in one batch cost hardly more than one where the model waits for its weights, as
on a GPU; what this robot hears itself always goes first.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
import threading
import time
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..audio.framing import Framer
from ..audio.resampling import resample
from ..core.audio_format import FRAME_DURATION, Samples
from ..core.errors import BusyError, RequestError, SpeechError
from ..core.scheduler import JobContext, Priority, Scheduler
from ..core.settings import ModelSettings, Settings
from ..core.types import Hypothesis, Outcome, Transcript, Utterance
from .hallucination_filter import filtered
from .utterance_listener import VoiceActivity

FRAMES_AT_ONCE = 100  # of voice activity, 0.15 s of work, before more urgent jobs may go first
RATES = (8_000, 384_000)  # Hz


class Transcriber(Protocol):
    """The model."""

    def __call__(
        self, utterance: Utterance, settings: ModelSettings, turn: JobContext, /
    ) -> Hypothesis:
        """Transcribe an utterance of any length."""
        ...

    def transcribe_batch(
        self, utterances: Sequence[Utterance], settings: ModelSettings, turn: JobContext, /
    ) -> list[Hypothesis]:
        """Transcribe short utterances at once."""
        ...

    def can_batch(self, settings: ModelSettings, /) -> bool:
        """Return whether utterances may be transcribed at once."""
        ...


@dataclass
class TranscriptionRequest:
    """One request."""

    id: int
    audio: npt.NDArray[np.float32]
    sample_rate: int
    time: float
    settings: Settings
    future: 'Future[Transcript]' = field(default_factory=Future)
    utterance: Utterance | None = None


class TranscriptionQueue:
    """Transcribes the audio of requests, behind everything else."""

    def __init__(
        self,
        transcriber: Transcriber,
        voice_activity: VoiceActivity,
        worker: Scheduler,
        ids: Iterator[int],
        on_failure: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """`voice_activity` is for this alone, since it keeps state."""
        self._transcriber = transcriber
        self._voice_activity = voice_activity
        self._worker = worker
        self._ids = ids
        self._on_failure = on_failure
        self._orders: deque[TranscriptionRequest] = deque()
        self._lock = threading.Lock()

    def transcribe(
        self,
        audio: npt.NDArray[np.float32],
        sample_rate: int,
        settings: Settings,
        begun: float = 0.0,
    ) -> 'Future[Transcript]':
        """Transcribe audio of shape (samples, channels); raise a RequestError for a wrong one."""
        low, high = RATES
        if not low <= sample_rate <= high:
            raise RequestError(
                f'audio.sample_rate is {sample_rate}, but must be from {low} to {high} Hz'
            )
        duration, longest = len(audio) / sample_rate, settings.requests.max_audio_duration
        if not duration:
            raise RequestError('audio.data is empty, but must hold samples')
        if duration > longest:
            raise RequestError(
                f'the audio has {duration:.0f} s, but may have {longest:g} s '
                '(requests.max_audio_duration): send it in parts'
            )
        order = TranscriptionRequest(next(self._ids), audio, sample_rate, begun, settings)
        with self._lock:
            if len(self._orders) >= settings.requests.queue_length:
                raise BusyError(
                    f'busy: {len(self._orders)} requests wait already (requests.queue_length); '
                    'try again later'
                )
            self._orders.append(order)
        self._worker.submit(Priority.FOREIGN, self._serve)
        return order.future

    def close(self) -> None:
        """Refuse what still waits."""
        with self._lock:
            orders, self._orders = [*self._orders], deque()
        for order in orders:
            reason = 'the model was unloaded before its turn came'
            order.future.set_result(Transcript(Outcome.CANCELED, order.id, reason=reason))

    def _serve(self, turn: JobContext) -> None:
        """Serve the order that is first, and those behind it that fit in one batch with it."""
        with self._lock:
            if not self._orders:
                return  # an earlier job has served it
            orders = [self._orders.popleft()]
            while self._orders and self._fit(orders[0], self._orders[0], len(orders)):
                orders.append(self._orders.popleft())
        try:
            for order in orders:
                order.utterance = self._utterance(order, turn)
            self._answer(orders, turn)
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, SpeechError):
                self._on_failure(error)
            for order in orders:
                if not order.future.done():
                    reason = str(error) or 'the model was unloaded'
                    failed = Transcript(Outcome.FAILED, order.id, reason=reason)
                    order.future.set_result(failed)

    def _fit(self, first: TranscriptionRequest, other: TranscriptionRequest, count: int) -> bool:
        model = first.settings.model
        short = all(
            len(order.audio) / order.sample_rate <= model.segment_length
            for order in (first, other)
        )
        same = first.settings == other.settings
        return short and same and count < model.batch_size and self._batches(model)

    def _batches(self, model: ModelSettings) -> bool:
        return self._transcriber.can_batch(model)

    def _utterance(self, order: TranscriptionRequest, turn: JobContext) -> Utterance:
        samples = resample(np.nan_to_num(order.audio), order.sample_rate)
        speech = self._speech(samples, turn)
        whole = Utterance.whole(samples, speech, order.time)
        threshold = order.settings.utterance.vad_threshold
        voiced = [index for index, p in enumerate(speech) if p >= threshold]
        if not voiced:
            return replace(whole, voiced=0.0)
        return replace(
            whole,
            speech_start=order.time + voiced[0] * FRAME_DURATION,
            speech_end=order.time + min(whole.duration, (voiced[-1] + 1) * FRAME_DURATION),
            voiced=len(voiced) * FRAME_DURATION,
        )

    def _speech(self, samples: Samples, turn: JobContext) -> tuple[float, ...]:
        framer, speech = Framer(), []
        self._voice_activity.reset()
        for index, frame in enumerate([*framer.push(samples, 0.0), *framer.flush()]):
            speech.append(self._voice_activity(frame.samples))
            if index % FRAMES_AT_ONCE == 0:
                turn.yield_control()
        return tuple(speech)

    def _answer(self, orders: list[TranscriptionRequest], turn: JobContext) -> None:
        started = time.monotonic()
        spoken = [order for order in orders if order.utterance and order.utterance.voiced]
        utterances = [order.utterance for order in spoken if order.utterance]
        model = orders[0].settings.model
        hypotheses: list[Hypothesis] = []
        if len(utterances) == 1:
            hypotheses = [self._transcriber(utterances[0], model, turn)]
        elif utterances:
            hypotheses = self._transcriber.transcribe_batch(utterances, model, turn)
        each = (time.monotonic() - started) / max(1, len(spoken))
        for order, utterance, hypothesis in zip(spoken, utterances, hypotheses):
            transcript = filtered(
                replace(hypothesis, processing_time=each), utterance, order.settings
            )
            order.future.set_result(replace(transcript, id=order.id))
        for order in orders:
            if not order.future.done():
                reason = 'no speech was found in the audio'
                silent = Transcript(
                    Outcome.NO_SPEECH, order.id, reason=reason, utterance=order.utterance
                )
                order.future.set_result(silent)
