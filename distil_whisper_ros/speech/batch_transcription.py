"""The audio of speech/transcribe: transcribed in order, in batches where that is possible.

Several utterances in one batch cost hardly more than one where the model waits for its weights, as
on a GPU. This robot's own utterances always go first.
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

from ..audio.framing import frames_of
from ..audio.limits import check_format
from ..audio.resampling import resample
from ..core.audio_format import FRAME_DURATION, Samples
from ..core.errors import BusyError, InactiveError, SpeechError, unexpected
from ..core.scheduler import Job, JobAborted, JobContext, Priority, Scheduler
from ..core.settings import ModelSettings, Settings
from ..core.types import Hypothesis, Outcome, Transcript, Utterance
from .hallucination_filter import filtered
from .utterance_listener import VoiceActivity

FRAMES_AT_ONCE = 100  # of voice activity, 0.15 s of work, before more urgent jobs may go first
UNLOADED = 'the model was unloaded before the audio was transcribed'


class Transcriber(Protocol):
    """The model. Raises a SpeechError when it cannot transcribe."""

    def __call__(
        self, utterance: Utterance, settings: ModelSettings, context: JobContext, /
    ) -> Hypothesis:
        """Transcribe an utterance of any length."""
        ...

    def transcribe_batch(
        self, utterances: Sequence[Utterance], settings: ModelSettings, context: JobContext, /
    ) -> list[Hypothesis]:
        """Transcribe short utterances in one batch."""
        ...

    def can_batch(self, settings: ModelSettings, /) -> bool:
        """Return whether utterances may be transcribed in one batch."""
        ...


@dataclass(eq=False)
class TranscriptionRequest:
    """One request to transcribe audio."""

    id: int
    audio: npt.NDArray[np.float32]
    """In [-1, 1], shape (samples, channels)."""
    sample_rate: int
    settings: Settings
    future: 'Future[Transcript]' = field(default_factory=Future)
    utterance: Utterance | None = None

    def __post_init__(self) -> None:
        """Protect the future: its holders cannot cancel it."""
        self.future.set_running_or_notify_cancel()
        self._lock = threading.Lock()
        self._answered = False

    def answer(self, transcript: Transcript) -> None:
        """End the request, unless it has an answer."""
        with self._lock:
            answered, self._answered = self._answered, True
        if not answered:  # outside the lock, since the future calls back
            self.future.set_result(replace(transcript, id=self.id))


class TranscriptionQueue:
    """Transcribes the audio of requests, when nothing more urgent waits; from any thread."""

    def __init__(
        self,
        transcriber: Transcriber,
        voice_activity: VoiceActivity,
        scheduler: Scheduler,
        ids: Iterator[int],
        on_failure: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """`voice_activity` serves this queue alone, since it keeps state."""
        self._transcriber = transcriber
        self._voice_activity = voice_activity
        self._scheduler = scheduler
        self._ids = ids
        self._on_failure = on_failure
        self._waiting: deque[TranscriptionRequest] = deque()
        self._active: list[TranscriptionRequest] = []
        self._closed = False
        self._lock = threading.Lock()

    def transcribe(
        self, audio: npt.NDArray[np.float32], sample_rate: int, settings: Settings
    ) -> 'Future[Transcript]':
        """Transcribe audio of shape (samples, channels); or raise a RequestError.

        The times in the transcript's utterance count from the first sample. The future always
        ends with a Transcript.
        """
        check_format(
            sample_rate,
            audio.shape[1],
            audio.size,
            max_duration=settings.requests.max_audio_duration,
            limit='requests.max_audio_duration',
            prefix='audio.',
        )
        request = TranscriptionRequest(next(self._ids), audio, sample_rate, settings)
        with self._lock:
            if self._closed:
                raise InactiveError('the recognizer is not configured: its model was unloaded')
            if len(self._waiting) >= settings.requests.queue_length:
                raise BusyError(
                    f'busy: {len(self._waiting)} requests wait already (requests.queue_length); '
                    'try again later'
                )
            self._waiting.append(request)
        self._scheduler.submit(Priority.BATCH, self._serve).when_done(self._end_aborted)
        return request.future

    def close(self) -> None:
        """End every request with CANCELED, and refuse new ones."""
        with self._lock:
            self._closed = True
            requests = [*self._active, *self._waiting]
            self._waiting.clear()
        for request in requests:
            request.answer(Transcript(Outcome.CANCELED, reason=UNLOADED))

    def _end_aborted(self, job: Job) -> None:
        """Leave no request behind when the scheduler ended the job that would serve it."""
        if job.aborted:
            self.close()

    def _serve(self, context: JobContext) -> None:
        """Serve the oldest request, and those behind it that fit in one batch with it."""
        with self._lock:
            if not self._waiting:
                return  # an earlier job has served it
            batch = self._active = [self._waiting.popleft()]
        try:
            with self._lock:
                while self._waiting and self._fits(batch[0], self._waiting[0], len(batch)):
                    batch.append(self._waiting.popleft())
            for request in batch:
                request.utterance = self._utterance(request, context)
            self._answer(batch, context)
        except JobAborted:
            pass  # answered below
        except SpeechError as error:
            self._end(batch, Transcript(Outcome.FAILED, reason=str(error)))
        except Exception as error:
            self._on_failure(error)
            self._end(batch, Transcript(Outcome.FAILED, reason=unexpected(error)))
        finally:
            # What has no answer by now was interrupted: the model is being unloaded.
            self._end(batch, Transcript(Outcome.CANCELED, reason=UNLOADED))
            self._active = []

    def _end(self, batch: list[TranscriptionRequest], transcript: Transcript) -> None:
        for request in batch:
            request.answer(transcript)

    def _fits(self, first: TranscriptionRequest, other: TranscriptionRequest, count: int) -> bool:
        model = first.settings.decoding
        short = all(
            len(request.audio) / request.sample_rate <= model.segment_length
            for request in (first, other)
        )
        same = first.settings == other.settings
        batches = self._transcriber.can_batch(model)
        return short and same and count < model.batch_size and batches

    def _utterance(self, request: TranscriptionRequest, context: JobContext) -> Utterance:
        samples = resample(np.nan_to_num(request.audio), request.sample_rate)
        speech = self._speech(samples, context)
        whole = Utterance.whole(samples, speech)
        threshold = request.settings.utterance.vad_threshold
        voiced = [index for index, p in enumerate(speech) if p >= threshold]
        if not voiced:
            return replace(whole, voiced=0.0)
        return replace(
            whole,
            speech_start=voiced[0] * FRAME_DURATION,
            speech_end=min(whole.duration, (voiced[-1] + 1) * FRAME_DURATION),
            voiced=len(voiced) * FRAME_DURATION,
        )

    def _speech(self, samples: Samples, context: JobContext) -> tuple[float, ...]:
        speech = []
        self._voice_activity.reset()
        for index, frame in enumerate(frames_of(samples)):
            speech.append(self._voice_activity(frame))
            if index % FRAMES_AT_ONCE == 0:
                context.yield_control()
        return tuple(speech)

    def _answer(self, batch: list[TranscriptionRequest], context: JobContext) -> None:
        started = time.monotonic()
        spoken = [request for request in batch if request.utterance and request.utterance.voiced]
        utterances = [request.utterance for request in spoken if request.utterance]
        model = batch[0].settings.decoding
        hypotheses: list[Hypothesis] = []
        if len(utterances) == 1:
            hypotheses = [self._transcriber(utterances[0], model, context)]
        elif utterances:
            hypotheses = self._transcriber.transcribe_batch(utterances, model, context)
        each = (time.monotonic() - started) / max(1, len(spoken))
        for request, utterance, hypothesis in zip(spoken, utterances, hypotheses):
            timed = replace(hypothesis, processing_time=each)
            request.answer(filtered(timed, utterance, request.settings))
        for request in batch:
            if request not in spoken:
                reason = 'no speech was found in the audio'
                request.answer(
                    Transcript(Outcome.NO_SPEECH, reason=reason, utterance=request.utterance)
                )
