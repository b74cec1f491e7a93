"""From an utterance to a hypothesis: segments, language, text and word timestamps."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
import gc
import math
import threading
import time
from typing import Any, TypeVar

import numpy as np
import torch

from ..core.audio_format import FRAME_LENGTH, SAMPLE_RATE, Samples
from ..core.errors import ModelError, SpeechError
from ..core.scheduler import JobAborted, JobContext
from ..core.settings import ModelSettings
from ..core.types import Hypothesis, Segment, Utterance, Word
from .audio_context import audio_context, context_margin, FULL_CONTEXT
from .checkpoint import find_model, Progress
from .decoding.fallback import compression_ratio, max_tokens, needs_fallback
from .decoding.types import DecodingOptions, DecodingResult
from .device import choose_device, choose_dtype, choose_int8
from .model import Whisper
from .segmentation import segment_limits
from .word_timestamps import align, group_words, POSITION, token_times

WITHOUT_SPACES = {'zh', 'ja', 'th', 'lo', 'my', 'yue'}
UNINTERRUPTED = JobContext()  # of a call outside the scheduler
# Messages of the errors that PyTorch raises when memory runs out; the first ones are a Jetson's.
OUT_OF_MEMORY = (
    'NVML_SUCCESS == r INTERNAL ASSERT FAILED',
    'NvMapMemAlloc',
    'CUBLAS_STATUS_ALLOC_FAILED',
    'CUDNN_STATUS_ALLOC_FAILED',
    'out of memory',
    "can't allocate memory",
)
Result = TypeVar('Result')


class Transcriber:
    """A loaded Whisper: call it with an utterance for a hypothesis."""

    def __init__(
        self, settings: ModelSettings, progress: Progress = lambda step, share: None
    ) -> None:
        """Find, load and warm up the model.

        `progress` is called with the present step and the part of it that is done, from 0 to 1.
        Raises ModelError or SettingError with a sentence that tells the remedy.
        """
        self.settings = settings
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.dtype, self.device)
        int8 = choose_int8(settings.dtype, self.device)
        self.precision = 'int8' if int8 else str(self.dtype).removeprefix('torch.')
        self._lock = threading.Lock()
        self._calls, self._closed = 0, False
        self._whisper: Any = self._translate_errors(lambda: self._load(int8, progress))
        self._multilingual = bool(self._whisper.special_tokens.languages)
        if settings.warm_up:
            self._warm_up(progress)

    def _load(self, int8: bool, progress: Progress) -> Whisper:
        settings = self.settings
        folder = find_model(settings.id, settings.revision, settings.offline, progress)
        progress(f'loading {settings.id}', 0.0)
        whisper = Whisper(folder, settings.id, self.device, self.dtype, int8)
        if settings.assistant:
            progress(f'loading {settings.assistant}', 0.0)
            folder = find_model(
                settings.assistant, '', settings.offline, progress, 'model.assistant'
            )
            whisper.load_assistant(folder, settings.assistant, settings.id)
        return whisper

    def _warm_up(self, progress: Progress) -> None:
        """Transcribe noise, so that kernels are chosen and memory is allocated."""
        noise = np.random.default_rng(0).normal(0, 0.1, 3 * SAMPLE_RATE).astype(np.float32)
        for run in range(2):
            progress(f'warming up {self.settings.id} on {self.device}', run / 2)
            self(Utterance.whole(noise))

    @property
    def multilingual(self) -> bool:
        """Whether the model uses the settings language and task."""
        return self._multilingual

    def __call__(
        self,
        utterance: Utterance,
        settings: ModelSettings | None = None,
        context: JobContext = UNINTERRUPTED,
    ) -> Hypothesis:
        """Transcribe an utterance of any length.

        `settings` replace those of loading, where they can change later: language, task, prompt,
        hotwords, beam_width, max_new_tokens, audio_context_margin, segment_length, batch_size,
        word_timestamps. `context` yields to urgent jobs between batches of segments. Raises
        JobAborted, SettingError for a language that the model does not know, and ModelError if the
        model failed, its memory did not suffice, or it was unloaded.
        """
        options = settings or self.settings

        def run() -> Hypothesis:
            limits = segment_limits(
                len(utterance.samples), utterance.speech, options.segment_length
            )
            clips = [_Clip.of(utterance, first, last) for first, last in limits]
            segments: list[Segment] = []
            language, clock = '', _Clock(self.device)
            for begin in range(0, len(clips), options.batch_size):
                batch = clips[begin : begin + options.batch_size]
                language, decoded = self._transcribe(batch, language, options, context, clock)
                segments += decoded
                if begin + options.batch_size < len(clips):
                    context.yield_control()
            return Hypothesis(tuple(segments), language, parts=clock.parts)

        return self._call(run)

    def transcribe_batch(
        self,
        utterances: Sequence[Utterance],
        settings: ModelSettings,
        context: JobContext = UNINTERRUPTED,
    ) -> list[Hypothesis]:
        """Transcribe utterances of up to 30 s, all in one language, as one batch.

        Returns a hypothesis for each; raises the same errors as a call.
        """

        def run() -> list[Hypothesis]:
            clips = [_Clip.of(each, 0, len(each.samples)) for each in utterances]
            clock = _Clock(self.device)
            language, segments = self._transcribe(clips, '', settings, context, clock)
            return [Hypothesis((segment,), language, parts=clock.parts) for segment in segments]

        return self._call(run)

    def can_batch(self, settings: ModelSettings) -> bool:
        """Return whether `transcribe_batch` works with these settings, and pays.

        It does not work if the language of each utterance must be detected. It does not pay on a
        CPU: a batch of 4 takes as long as 4 utterances one by one, and the first would wait for
        the last.
        """
        one_language = not self.multilingual or bool(settings.language)
        return one_language and self.device.type != 'cpu'

    def close(self) -> None:
        """Unload the model as soon as no call uses it; later calls raise ModelError."""
        with self._lock:
            self._closed = True
            unused = not self._calls
        if unused:
            self._unload()

    def _unload(self) -> None:
        self._whisper = None
        self._free_memory()

    def _free_memory(self) -> None:
        gc.collect()
        if self.device.type == 'cuda':
            torch.cuda.empty_cache()

    def _call(self, run: Callable[[], Result]) -> Result:
        """Run with the model, which is not unloaded before the end."""
        with self._lock:
            if self._closed:
                raise ModelError(f'{self.settings.id} was unloaded: activate the node again')
            self._calls += 1
        try:
            with torch.inference_mode():
                return self._translate_errors(run)
        finally:
            with self._lock:
                self._calls -= 1
                unused = self._closed and not self._calls
            if unused:
                self._unload()

    def _translate_errors(self, run: Callable[[], Result]) -> Result:
        """Run, and raise exceptions of the libraries as ModelErrors."""
        name = self.settings.id
        try:
            return run()
        except (SpeechError, JobAborted):
            raise
        except Exception as error:
            if is_out_of_memory(error):
                failure = ModelError(
                    f'{name} does not fit in the memory of {self.device}: end other programs, set '
                    'model.dtype to float16, or choose a smaller model, as '
                    '"distil-whisper/distil-small.en"'
                )
            else:
                failure = ModelError(f'{name} failed ({type(error).__name__}): {_line(error)}')
                failure.__cause__ = error
        # Here the exception is gone, and with it the frames that held the tensors of the call.
        self._free_memory()
        raise failure

    def _transcribe(
        self,
        clips: Sequence['_Clip'],
        language: str,
        settings: ModelSettings,
        context: JobContext,
        clock: '_Clock',
    ) -> tuple[str, list[Segment]]:
        """Transcribe clips as one batch; return their language and a segment for each."""
        longest = max(len(clip.samples) for clip in clips)
        margin = context_margin(settings.audio_context_margin, self._whisper.d_model)
        size = self._whisper.audio_context(audio_context(longest, margin))
        language, results = self._decode(clips, size, language, settings, context, clock)
        with clock('words'):
            segments = [
                self._segment(result, clip, language) for result, clip in zip(results, clips)
            ]
        if size < FULL_CONTEXT:
            failed = [
                index
                for index, (result, segment) in enumerate(zip(results, segments))
                if needs_fallback(segment.text, result.log_probabilities, result.ended)
            ]
            if failed:
                again = [clips[index] for index in failed]
                _, results = self._decode(again, FULL_CONTEXT, language, settings, context, clock)
                for index, result in zip(failed, results):
                    segment = self._segment(result, clips[index], language)
                    segments[index] = replace(segment, redone=True)
        return language, segments

    def _decode(
        self,
        clips: Sequence['_Clip'],
        size: int,
        language: str,
        settings: ModelSettings,
        context: JobContext,
        clock: '_Clock',
    ) -> tuple[str, list[DecodingResult]]:
        """Encode an audio context of `size` samples, and decode it."""
        whisper = self._whisper
        context.check()
        with clock('features'):
            features = whisper.features([clip.samples for clip in clips], size)
        with clock('encoder'):
            states = whisper.encode(features)
        context.check()
        with clock('decoder'):
            language = language or self._language(settings.language, states)
            limit = settings.max_new_tokens
            if size < FULL_CONTEXT:
                limit = min(limit, max_tokens(max(len(clip.samples) for clip in clips)))
            options = DecodingOptions(
                prompt=whisper.prompt_tokens(prompt_text(settings)),
                prefix=whisper.special_tokens.prefix(language, settings.task),
                language=language if self.multilingual else '',
                task=settings.task,
                max_tokens=limit,
                beam_width=settings.beam_width,
                return_attention=settings.word_timestamps,
                give_up_early=size < FULL_CONTEXT,
            )
            return language, whisper.decode(states, options, context)

    def _language(self, requested: str, states: torch.Tensor) -> str:
        """Return the language's code: the requested one, or the most likely one."""
        if not self.multilingual:
            return 'en'
        if requested:
            return self._whisper.special_tokens.language(requested)
        return self._whisper.detect_language(states)

    def _segment(self, result: DecodingResult, clip: '_Clip', language: str) -> Segment:
        """Return the decoded tokens as a segment, with word timestamps."""
        scores = result.log_probabilities
        if not all(map(math.isfinite, scores)):
            raise ModelError(
                f'{self.settings.id} computes values that are not finite in {self.precision}: set '
                'model.dtype to float32'
            )
        # Special tokens are no text, even where the tokenizer does not mark them.
        kept = self._whisper.special_tokens.text_positions(result.tokens)
        tokens = [result.tokens[index] for index in kept]
        text = self._text(tokens).strip()
        words: tuple[Word, ...] = ()
        if result.attention is not None and tokens:
            positions = max(1, min(round(clip.duration / POSITION), result.attention.shape[-1]))
            rows = [*kept, len(result.tokens)]  # the last one predicts the end
            attention = result.attention[:, rows, :positions].cpu().numpy()
            words = align(
                group_words(tokens, self._text, language not in WITHOUT_SPACES),
                token_times(attention).tolist(),
                [math.exp(scores[index]) for index in kept],
                clip.duration,
                clip.speech,
            )
        return Segment(
            text,
            clip.start,
            clip.start + clip.duration,
            sum(scores) / len(scores) if scores else 0.0,
            result.no_speech_probability,
            compression_ratio(text),
            tuple(word.later(clip.start) for word in words),
            truncated=not result.ended,
        )

    def _text(self, tokens: Sequence[int]) -> str:
        return self._whisper.tokenizer.decode(tokens, skip_special_tokens=True)


@dataclass(frozen=True)
class _Clip:
    """The audio of one segment."""

    samples: Samples
    start: float
    """In seconds from the utterance's first sample."""
    speech: tuple[float, ...]
    """Probability of speech of each frame; empty if it is unknown."""

    @classmethod
    def of(cls, utterance: Utterance, first: int, last: int) -> '_Clip':
        """Cut the samples from `first` until before `last` out of an utterance."""
        speech = utterance.speech[first // FRAME_LENGTH : -(-last // FRAME_LENGTH)]
        return cls(utterance.samples[first:last], first / SAMPLE_RATE, speech)

    @property
    def duration(self) -> float:
        """Its length in seconds."""
        return len(self.samples) / SAMPLE_RATE


class _Clock:
    """Add up the time spent on each stage, in seconds."""

    def __init__(self, device: torch.device) -> None:
        self.parts: dict[str, float] = {}
        self._device = device

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        if self._device.type == 'cuda':
            torch.cuda.synchronize(self._device)
        self.parts[stage] = self.parts.get(stage, 0.0) + time.monotonic() - started


def prompt_text(settings: ModelSettings) -> str:
    """Return the prompt with the hotwords."""
    names = f'Names: {", ".join(settings.hotwords)}.' if settings.hotwords else ''
    return ' '.join(filter(None, (settings.prompt, names)))


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an exception of PyTorch means that memory did not suffice."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        each.lower() in message for each in OUT_OF_MEMORY
    )


def _line(error: Exception) -> str:
    """Return the first line of an error's message."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else 'no message'
