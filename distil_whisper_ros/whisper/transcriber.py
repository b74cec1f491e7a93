"""An utterance to a hypothesis: its parts, its language, its texts, its words."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
import gc
import math
from pathlib import Path
import time
from typing import Any

import numpy as np
import torch

from ..core.audio_format import FRAME_LENGTH, SAMPLE_RATE, Samples
from ..core.errors import ModelError
from ..core.scheduler import JobContext
from ..core.settings import ModelSettings
from ..core.types import Hypothesis, Segment, Utterance, Word
from .audio_context import margin_of, WHOLE, window
from .checkpoint import find_model, Progress
from .decoding.fallback import compression_ratio, is_failure, room
from .decoding.types import DecodingOptions, DecodingResult
from .device import choose_device, choose_dtype, choose_int8
from .model import Whisper
from .segmentation import segment_limits
from .word_timestamps import POSITION, timed, token_times, words_of

WITHOUT_SPACES = {'zh', 'ja', 'th', 'lo', 'my', 'yue'}
FREE = JobContext()  # of a call that nothing interrupts


class Transcriber:
    """A loaded Whisper. Called with an utterance, it returns a hypothesis."""

    def __init__(
        self, settings: ModelSettings, progress: Progress = lambda what, share: None
    ) -> None:
        """Find, load and warm up the model; raise a ModelError that says what to do.

        `progress` is told what is done, and how much of it, from 0 to 1.
        """
        self.settings = settings
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.dtype, self.device)
        folder = find_model(settings.id, settings.revision, settings.offline, progress)
        with _named_faults(settings.id, self.device):
            progress(f'loading {settings.id}', 0.0)
            int8 = choose_int8(settings.dtype, self.device)
            self.precision = 'int8' if int8 else str(self.dtype).removeprefix('torch.')
            self._whisper: Any = Whisper(folder, self.device, self.dtype, int8)
            if settings.assistant:
                progress(f'loading {settings.assistant}', 0.0)
                assistant = _find_assistant(settings, progress)
                self._whisper.take_assistant(assistant, settings.assistant, settings.id)
            if settings.warm_up:
                self._warm_up(progress)

    def _warm_up(self, progress: Progress) -> None:
        """Run the whole path on noise, so that kernels are chosen and memory is allocated."""
        noise = np.random.default_rng(0).normal(0, 0.1, 3 * SAMPLE_RATE).astype(np.float32)
        for run in range(2):
            progress(f'warming up {self.settings.id} on {self.device}', run / 2)
            self(Utterance.whole(noise))

    @property
    def multilingual(self) -> bool:
        """Whether the model takes a language and a task."""
        return bool(self._whisper.tokens.languages)

    def __call__(
        self, utterance: Utterance, settings: ModelSettings | None = None, turn: JobContext = FREE
    ) -> Hypothesis:
        """Transcribe an utterance of any length.

        `settings` replace those of loading, where they can change later: language, task, prompt,
        hotwords, beams, max_new_tokens, audio_context_margin, segment_length, batch_size, word_timestamps.
        `turn` may interrupt with Aborted. Raises SettingError for a language that the model does
        not know, and ModelError when the memory does not suffice.
        """
        settings = settings or self.settings
        limits = segment_limits(len(utterance.samples), utterance.speech, settings.segment_length)
        parts = [AudioSegment.of(utterance, first, last) for first, last in limits]
        segments: list[Segment] = []
        language, clock = '', _Clock()
        with _named_faults(self.settings.id, self.device), torch.inference_mode():
            for begin in range(0, len(parts), settings.batch_size):
                batch = parts[begin : begin + settings.batch_size]
                language, decoded = self._transcribe(batch, language, settings, turn, clock)
                segments += decoded
                if begin + settings.batch_size < len(parts):
                    turn.yield_control()
        return Hypothesis(tuple(segments), language, parts=clock.parts)

    def together(
        self, utterances: Sequence[Utterance], settings: ModelSettings, turn: JobContext = FREE
    ) -> list[Hypothesis]:
        """Transcribe utterances of one part each, in one language, at once."""
        parts = [AudioSegment.of(each, 0, len(each.samples)) for each in utterances]
        clock = _Clock()
        with _named_faults(self.settings.id, self.device), torch.inference_mode():
            language, segments = self._transcribe(parts, '', settings, turn, clock)
        return [Hypothesis((segment,), language, parts=clock.parts) for segment in segments]

    def fits_together(self, settings: ModelSettings) -> bool:
        """Return whether `together` can be used, and pays.

        Not if each utterance has its own language to be found; and not on a CPU, where a batch of
        4 takes as long as 4 utterances one by one, and the first would wait for the last.
        """
        one_language = not self.multilingual or bool(settings.language)
        return one_language and self.device.type != 'cpu'

    def close(self) -> None:
        """Free the model's memory; the transcriber cannot be used any more."""
        self._whisper = None
        gc.collect()
        if self.device.type == 'cuda':
            torch.cuda.empty_cache()

    def _transcribe(
        self,
        parts: Sequence['AudioSegment'],
        language: str,
        settings: ModelSettings,
        turn: JobContext,
        clock: '_Clock',
    ) -> tuple[str, list[Segment]]:
        """Transcribe parts at once; return their language and a segment for each."""
        longest = max(len(part.samples) for part in parts)
        margin = margin_of(settings.audio_context_margin, self._whisper.width)
        size = self._whisper.window(window(longest, margin))
        language, decoded = self._decode(parts, size, language, settings, turn, clock)
        with clock('words'):
            segments = [self._segment(text, part, language) for text, part in zip(decoded, parts)]
        if size < WHOLE:
            failed = [
                index
                for index, (text, segment) in enumerate(zip(decoded, segments))
                if is_failure(segment.text, text.log_probabilities, text.ended)
            ]
            if failed:
                again = [parts[index] for index in failed]
                _, decoded = self._decode(again, WHOLE, language, settings, turn, clock)
                for index, text in zip(failed, decoded):
                    segment = self._segment(text, parts[index], language)
                    segments[index] = replace(segment, redone=True)
        return language, segments

    def _decode(
        self,
        parts: Sequence['AudioSegment'],
        size: int,
        language: str,
        settings: ModelSettings,
        turn: JobContext,
        clock: '_Clock',
    ) -> tuple[str, list[DecodingResult]]:
        """Encode a window of so many samples, and decode it."""
        turn.check()
        with clock('features'):
            features = self._whisper.features([part.samples for part in parts], size)
        with clock('encoder'):
            states = self._whisper.encode(features)
        turn.check()
        with clock('decoder'):
            language = language or self._language(settings.language, states)
            room_of_window = room(max(len(part.samples) for part in parts))
            task = DecodingOptions(
                before=self._whisper.prompt(_prompt(settings)),
                prefix=self._whisper.tokens.prefix(language, settings.task),
                language=language if self.multilingual else '',
                name=settings.task,
                room=min(settings.max_new_tokens, WHOLE if size == WHOLE else room_of_window),
                beam_width=settings.beam_width,
                follow=settings.word_timestamps,
                doubt=size < WHOLE,
            )
            return language, self._whisper.decode(states, task, turn)

    def _language(self, wanted: str, states: torch.Tensor) -> str:
        """Return the language's code: the wanted one, or the likeliest."""
        if not self.multilingual:
            return 'en'
        return self._whisper.tokens.language(wanted) if wanted else self._whisper.language(states)

    def _segment(self, decoded: DecodingResult, part: 'AudioSegment', language: str) -> Segment:
        """Return the decoded tokens as a segment, with the times of its words."""
        tokenizer = self._whisper.processor.tokenizer
        text = tokenizer.decode(decoded.tokens).strip()
        scores = decoded.log_probabilities
        words: tuple[Word, ...] = ()
        if decoded.attention is not None and decoded.tokens:
            positions = max(1, min(round(part.duration / POSITION), decoded.attention.shape[-1]))
            words = timed(
                words_of(decoded.tokens, tokenizer.decode, language not in WITHOUT_SPACES),
                token_times(decoded.attention[..., :positions].cpu().numpy()).tolist(),
                [math.exp(score) for score in scores],
                part.duration,
                part.speech,
            )
        return Segment(
            text,
            part.start,
            part.start + part.duration,
            sum(scores) / len(scores) if scores else 0.0,
            decoded.no_speech_probability,
            compression_ratio(text),
            tuple(word.later(part.start) for word in words),
        )


@dataclass(frozen=True)
class AudioSegment:
    """A part of an utterance that is decoded at once."""

    samples: Samples
    start: float
    """In seconds from the utterance's first sample."""
    speech: tuple[float, ...]
    """Probability of speech of each frame, if it is known."""

    @classmethod
    def of(cls, utterance: Utterance, first: int, last: int) -> 'AudioSegment':
        """Cut the samples from `first` until before `last` out of an utterance."""
        speech = utterance.speech[first // FRAME_LENGTH : -(-last // FRAME_LENGTH)]
        return cls(utterance.samples[first:last], first / SAMPLE_RATE, speech)

    @property
    def duration(self) -> float:
        """Its length in seconds."""
        return len(self.samples) / SAMPLE_RATE


class _Clock:
    """Adds up the time spent on each part of the work."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.parts[part] = self.parts.get(part, 0.0) + time.perf_counter() - started


def _find_assistant(settings: ModelSettings, progress: Progress) -> Path:
    try:
        return find_model(settings.assistant, '', settings.offline, progress)
    except ModelError as error:
        raise ModelError(str(error).replace('model.id', 'model.assistant')) from error


def _prompt(settings: ModelSettings) -> str:
    """Return the prompt with the hotwords."""
    names = f'Names: {", ".join(settings.hotwords)}.' if settings.hotwords else ''
    return ' '.join(filter(None, (settings.prompt, names)))


@contextmanager
def _named_faults(name: str, device: torch.device) -> Iterator[None]:
    """Turn the libraries' exceptions into ModelErrors."""
    try:
        yield
    except (torch.cuda.OutOfMemoryError, MemoryError) as error:
        raise _too_large(name, device) from error
    except RuntimeError as error:
        if "can't allocate memory" in str(error) or 'out of memory' in str(error).lower():
            raise _too_large(name, device) from error
        raise
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise ModelError(f'{name} cannot be used: {first}') from error


def _too_large(name: str, device: torch.device) -> ModelError:
    if device.type == 'cuda':
        torch.cuda.empty_cache()
    return ModelError(
        f'{name} does not fit in the memory of {device}: end other programs, set model.dtype to '
        'float16, or choose a smaller model, as "distil-whisper/distil-small.en"'
    )
