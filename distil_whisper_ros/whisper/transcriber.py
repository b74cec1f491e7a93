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

from ..core.audio_format import FRAME_DURATION, FRAME_LENGTH, SAMPLE_RATE, Samples
from ..core.errors import ModelError, SpeechError
from ..core.memory import return_free_memory
from ..core.scheduler import JobAborted, JobContext
from ..core.settings import ModelSettings
from ..core.types import Hypothesis, Segment, Utterance, Word
from .audio_context import audio_context, context_margin, FULL_CONTEXT
from .checkpoint import find_model, Progress
from .decoding.fallback import (
    compression_ratio,
    has_too_few_words,
    is_endless,
    is_repeated,
    letters,
    MAX_COMPRESSION_RATIO,
    max_tokens,
    needs_fallback,
)
from .decoding.types import DecodingOptions, DecodingResult
from .device import choose_device, choose_dtype, choose_int8
from .model import Whisper
from .prompt import fit_prompt
from .segmentation import quietest, segment_limits, spoken_parts
from .word_timestamps import (
    align,
    group_words,
    mean_log_confidence,
    POSITION,
    said,
    token_times,
    VOICED,
)

# Times as likely as the language of the segment before, from which another language is believed.
LANGUAGE_CHANGE = 4.0
MIN_PROGRESS = 1.0  # s that a full decoder must have transcribed, to go on behind them
SHORTEST_HALF = 2.0  # s of speech that each half has, where a clip lacks words
LOOK_BACK = 3.0  # s before the last word of a full decoder, in which the cut is made at a pause
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
        self,
        settings: ModelSettings,
        progress: Progress = lambda step, share: None,
        on_notice: Callable[[str], None] = lambda notice: None,
    ) -> None:
        """Find, load and warm up the model.

        `progress` is called with the present step and the part of it that is done, from 0 to 1;
        `on_notice` with a sentence when a prompt is too long.
        Raises ModelError or SettingError with a sentence that tells the remedy.
        """
        self.settings = settings
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.dtype, self.device)
        int8 = choose_int8(settings.dtype, self.device)
        self.precision = 'int8' if int8 else str(self.dtype).removeprefix('torch.')
        self._lock = threading.Lock()
        self._calls, self._closed = 0, False
        self._on_notice = on_notice
        self._prompt: tuple[tuple[str, ...], list[int]] = ((), [])  # the latest one's tokens
        self._whisper: Any = self._translate_errors(lambda: self._load(int8, progress))
        self._multilingual = bool(self._whisper.special_tokens.languages)
        self._allowed_languages(settings)
        if settings.warm_up:
            self._warm_up(progress)
        # Loading takes more than what it leaves: weights are read, converted, and packed.
        gc.collect()
        return_free_memory()

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
        """Whether the model uses the settings language, languages and task."""
        return self._multilingual

    def __call__(
        self,
        utterance: Utterance,
        settings: ModelSettings | None = None,
        context: JobContext = UNINTERRUPTED,
        skip_silence: bool = True,
    ) -> Hypothesis:
        """Transcribe an utterance of any length.

        With `skip_silence`, parts of long audio without speech are not decoded.

        `settings` replace those of loading, where they can change later: language, languages,
        task, prompt, hotwords, beam_width, max_new_tokens, audio_context_margin, segment_length,
        batch_size, word_timestamps. `context` yields to urgent jobs between batches of segments.
        Raises JobAborted, SettingError for a language that the model does not know, and ModelError
        if the model failed, its memory did not suffice, or it was unloaded.
        """
        options = settings or self.settings

        def run() -> Hypothesis:
            limits = segment_limits(
                len(utterance.samples), utterance.speech, options.segment_length
            )
            if skip_silence:
                limits = spoken_parts(limits, utterance.speech)
            clips = [_Clip.of(utterance, first, last) for first, last in limits]
            segments: list[Segment] = []
            call = _Call(options, context, _Clock(self.device), self._allowed_languages(options))
            for begin in range(0, len(clips), options.batch_size):
                batch = clips[begin : begin + options.batch_size]
                before = segments[-1].language if segments else ''
                for decoded in self._transcribe(batch, call, before):
                    segments += decoded
                if begin + options.batch_size < len(clips):
                    context.yield_control()
            return _hypothesis(segments, call)

        return self._call(run)

    def transcribe_batch(
        self,
        utterances: Sequence[Utterance],
        settings: ModelSettings,
        context: JobContext = UNINTERRUPTED,
    ) -> list[Hypothesis]:
        """Transcribe utterances of up to 30 s as one batch.

        Returns a hypothesis for each; raises the same errors as a call.
        """

        def run() -> list[Hypothesis]:
            clips = [_Clip.of(each, 0, len(each.samples)) for each in utterances]
            languages = self._allowed_languages(settings)
            call = _Call(settings, context, _Clock(self.device), languages)
            return [_hypothesis(segments, call) for segments in self._transcribe(clips, call)]

        return self._call(run)

    def can_batch(self, settings: ModelSettings) -> bool:
        """Return whether `transcribe_batch` pays with these settings.

        It does not on a CPU: a batch of 4 takes as long as 4 utterances one by one, and the first
        would wait for the last. Nor does it where utterances may differ in their language, since
        each language is a batch of its own.
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
        return_free_memory()

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
        self, clips: Sequence['_Clip'], call: '_Call', before: str = ''
    ) -> list[list[Segment]]:
        """Transcribe clips as one batch; return the segments of each.

        `before` is the language of the segment before these, if they belong together.
        """
        longest = max(len(clip.samples) for clip in clips)
        margin = context_margin(call.settings.audio_context_margin, self._whisper.d_model)
        size = self._whisper.audio_context(audio_context(longest, margin))
        languages = [''] * len(clips)
        results = self._decode(clips, languages, before, size, call)
        with call.clock('words'):
            segments = [
                self._segment(result, clip, language, call.settings)
                for result, clip, language in zip(results, clips, languages)
            ]
        if size < FULL_CONTEXT:
            failed = [
                index
                for index, (result, segment) in enumerate(zip(results, segments))
                if needs_fallback(
                    segment.text, result.log_probabilities, result.ended, clips[index].voiced
                )
            ]
            if failed:
                again = [clips[index] for index in failed]
                known = [languages[index] for index in failed]
                better = self._decode(again, known, before, FULL_CONTEXT, call)
                for index, result in zip(failed, better):
                    results[index] = result
                    segment = self._segment(result, clips[index], languages[index], call.settings)
                    segments[index] = replace(segment, redone=True)
        return [
            self._checked(segment, result, clip, call)
            for segment, result, clip in zip(segments, results, clips)
        ]

    def _decode(
        self,
        clips: Sequence['_Clip'],
        languages: list[str],
        before: str,
        size: int,
        call: '_Call',
    ) -> list[DecodingResult]:
        """Encode an audio context of `size` samples, and decode it.

        Fills in the `languages` that are not known yet. Each language is a batch of its own, since
        the language is a part of what a decoder begins with.
        """
        whisper = self._whisper
        call.context.check()
        with call.clock('features'):
            features = whisper.features([clip.samples for clip in clips], size)
        with call.clock('encoder'):
            states = whisper.encode(features)
        call.context.check()
        results: dict[int, DecodingResult] = {}
        with call.clock('decoder'):
            if not all(languages):
                languages[:] = self._languages(states, call.languages, before)
            for language in dict.fromkeys(languages):
                rows = [row for row, each in enumerate(languages) if each == language]
                batch = states if len(rows) == len(clips) else states[rows]
                options = self._options([clips[row] for row in rows], language, size, call)
                results |= zip(rows, whisper.decode(batch, options, call.context))
        return [results[row] for row in range(len(clips))]

    def _options(
        self, clips: Sequence['_Clip'], language: str, size: int, call: '_Call'
    ) -> DecodingOptions:
        whisper, settings = self._whisper, call.settings
        possible = max_tokens(max(len(clip.samples) for clip in clips), language)
        short = size < FULL_CONTEXT
        return DecodingOptions(
            prompt=self._prompt_tokens(settings),
            prefix=whisper.special_tokens.prefix(language, settings.task),
            language=language if self.multilingual else '',
            task=settings.task,
            # With the full audio context the text is final, and only a loop shall be cut short.
            max_tokens=min(settings.max_new_tokens, possible if short else 2 * possible),
            beam_width=settings.beam_width,
            # Where the decoder may be full before the text ends, the time of the last word is
            # needed to go on.
            return_attention=settings.word_timestamps
            or possible > whisper.max_target_positions // 2,
            give_up_early=short,
        )

    def _prompt_tokens(self, settings: ModelSettings) -> list[int]:
        """Return the tokens of the prompt and hotwords; say once if not all of them fit."""
        key = (settings.prompt, *settings.hotwords)
        before, tokens = self._prompt
        if key != before:
            whisper = self._whisper
            text, notice = fit_prompt(
                settings.prompt, settings.hotwords, whisper.prompt_length, whisper.prompt_limit
            )
            tokens = whisper.prompt_tokens(text)
            self._prompt = key, tokens
            if notice:
                self._on_notice(notice)
        return tokens

    def _allowed_languages(self, settings: ModelSettings) -> list[str]:
        """Return the codes of the languages that may be spoken; raise SettingError."""
        return self._whisper.special_tokens.allowed_languages(
            settings.language, settings.languages, self.settings.id
        )

    def _languages(self, states: torch.Tensor, allowed: list[str], before: str) -> list[str]:
        """Return the code of the likeliest language for each row of encoder states.

        In a recording another language than that of the segment before must be clearly likelier.
        """
        if len(allowed) < 2:
            return [*(allowed or ['en'])] * len(states)
        found = []
        for probabilities in self._whisper.language_probabilities(states):
            language = max(allowed, key=lambda code: probabilities[code])
            if before and probabilities[language] < LANGUAGE_CHANGE * probabilities[before]:
                language = before
            found.append(language)
            before = before and language
        return found

    def _checked(
        self, segment: Segment, result: DecodingResult, clip: '_Clip', call: '_Call'
    ) -> list[Segment]:
        """Return a segment as one or several that hold each word that was said, and once."""
        if is_repeated(segment.text) or segment.compression_ratio > MAX_COMPRESSION_RATIO:
            shorter = self._without_surplus(segment, result, clip, call)
            if shorter is not None:
                return [shorter]
        if has_too_few_words(segment.text, clip.voiced) and clip.voiced >= 2 * SHORTEST_HALF:
            return self._halves(segment, clip, call)
        return self._completed(segment, result, clip, call)

    def _without_surplus(
        self, segment: Segment, result: DecodingResult, clip: '_Clip', call: '_Call'
    ) -> Segment | None:
        """Return the segment of a text that repeats itself, without what nobody said.

        Returns None if all of it was said.
        """
        if result.attention is None:
            timed = replace(call, settings=replace(call.settings, word_timestamps=True))
            (result,) = self._decode([clip], [segment.language], '', FULL_CONTEXT, timed)
        shorter, before = self._said(result, clip), result
        while len(shorter.tokens) < len(before.tokens):  # fewer words find their places better
            shorter, before = self._said(shorter, clip), shorter
        if len(shorter.tokens) == len(result.tokens):
            return None
        said_once = self._segment(shorter, clip, segment.language, call.settings)
        return replace(said_once, redone=segment.redone)

    def _said(self, result: DecodingResult, clip: '_Clip') -> DecodingResult:
        """Return the result without words that the model repeats, but that nobody said."""
        groups, starts, kept = self._path(result, clip)
        words = said(groups, starts)
        if len(words) == len(groups) or result.attention is None:
            return result
        rows = [kept[token] for word in words for token in range(*groups[word][1:])]
        scores = result.log_probabilities
        return replace(
            result,
            tokens=[result.tokens[row] for row in rows],
            log_probabilities=[scores[row] for row in rows] + scores[len(result.tokens) :],
            ended=True,
            attention=result.attention[:, [*rows, len(result.tokens)]],
        )

    def _halves(self, segment: Segment, clip: '_Clip', call: '_Call') -> list[Segment]:
        """Decode a clip in two halves, if a whole one lacks words; return what has more.

        A Whisper that hears the same sentence several times may write it once.
        """
        quarter = len(clip.samples) // 4
        cut = quietest(clip.speech, quarter, 3 * quarter)
        known = replace(call, languages=[segment.language] if self.multilingual else [])
        halves = [part for half in clip.split(cut) for part in self._transcribe([half], known)[0]]
        more = sum(letters(part.text) for part in halves) > letters(segment.text)
        return [replace(part, redone=True) for part in halves] if more else [segment]

    def _completed(
        self, segment: Segment, result: DecodingResult, clip: '_Clip', call: '_Call'
    ) -> list[Segment]:
        """Return a segment, and if its decoder was full before the text ended, those behind it.

        The text is cut at the last pause before its last word, and the audio from there on is
        decoded by itself. If that is not possible, the segment stays truncated.
        """
        full = len(result.tokens) < min(
            call.settings.max_new_tokens, 2 * max_tokens(len(clip.samples), segment.language)
        )
        looping = is_endless(result.tokens) or segment.compression_ratio > MAX_COMPRESSION_RATIO
        if result.ended or not full or looping or result.attention is None:
            return [segment]
        kept, cut = self._last_pause(result, clip, segment.language)
        if cut < MIN_PROGRESS * SAMPLE_RATE:
            return [segment]
        first = replace(
            result,
            tokens=result.tokens[:kept],
            log_probabilities=result.log_probabilities[:kept],
            ended=True,
            attention=result.attention[:, : kept + 1],
        )
        head, tail = clip.split(cut)
        known = replace(call, languages=[segment.language] if self.multilingual else [])
        segment = self._segment(first, head, segment.language, call.settings)
        return [segment, *self._transcribe([tail], known)[0]]

    def _last_pause(self, result: DecodingResult, clip: '_Clip', language: str) -> tuple[int, int]:
        """Return where to cut a text that has not ended: (number of tokens, sample)."""
        words = self._words(result, clip)
        if len(words) < 2:
            return 0, 0
        last = words[-1][0].start
        earliest = max(last - LOOK_BACK, words[0][0].end)
        cut = quietest(clip.speech, round(earliest * SAMPLE_RATE), round(last * SAMPLE_RATE))
        kept = next(
            first for word, first in words if word is words[-1][0] or word.end * SAMPLE_RATE > cut
        )
        return kept, cut

    def _segment(
        self, result: DecodingResult, clip: '_Clip', language: str, settings: ModelSettings
    ) -> Segment:
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
        words = self._words(result, clip) if settings.word_timestamps else []
        confidences = [math.exp(scores[index]) for index in kept]
        return Segment(
            text,
            clip.start,
            clip.start + clip.duration,
            sum(scores) / len(scores) if scores else 0.0,
            result.no_speech_probability,
            compression_ratio(text),
            tuple(word.later(clip.start) for word, _ in words),
            mean_log_confidence(group_words(tokens, self._text), confidences),
            truncated=not result.ended,
            language=language,
            end_confidence=self._end_confidence(result),
        )

    def _end_confidence(self, result: DecodingResult) -> float | None:
        """Return the probability of the end token and of the punctuation before it."""
        count = len(result.tokens)
        if not result.ended or len(result.log_probabilities) <= count:
            return None
        first = count
        while first and not any(map(str.isalnum, self._text([result.tokens[first - 1]]))):
            first -= 1
        return math.exp(min(0.0, sum(result.log_probabilities[first:])))

    def _words(self, result: DecodingResult, clip: '_Clip') -> list[tuple[Word, int]]:
        """Return the words with their times in the clip, and the index of their first token."""
        groups, starts, kept = self._path(result, clip)
        words = align(
            groups,
            starts,
            [math.exp(result.log_probabilities[index]) for index in kept],
            clip.duration,
            clip.speech,
        )
        return [(word, kept[first]) for word, (_, first, _) in zip(words, groups)]

    def _path(
        self, result: DecodingResult, clip: '_Clip'
    ) -> tuple[list[tuple[str, int, int]], list[float], list[int]]:
        """Return the words, the times of their tokens, and the tokens' places in the result.

        The times are in seconds; the last one is the end of the text. All are empty without
        attention.
        """
        kept = self._whisper.special_tokens.text_positions(result.tokens)
        if result.attention is None or not kept:
            return [], [], []
        positions = max(1, min(round(clip.duration / POSITION), result.attention.shape[-1]))
        rows = [*kept, len(result.tokens)]  # the last one predicts the end
        attention = result.attention[:, rows, :positions].cpu().numpy()
        tokens = [result.tokens[index] for index in kept]
        return group_words(tokens, self._text), token_times(attention).tolist(), kept

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

    @property
    def voiced(self) -> float:
        """How much of it is speech, in seconds; 0 if that is unknown."""
        return sum(probability >= VOICED for probability in self.speech) * FRAME_DURATION

    def split(self, cut: int) -> tuple['_Clip', '_Clip']:
        """Return the clips before and after the sample `cut`."""
        frame = cut // FRAME_LENGTH
        return (
            replace(self, samples=self.samples[:cut], speech=self.speech[:frame]),
            _Clip(self.samples[cut:], self.start + cut / SAMPLE_RATE, self.speech[frame:]),
        )


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


@dataclass(frozen=True)
class _Call:
    """What all segments of a call share."""

    settings: ModelSettings
    context: JobContext
    clock: _Clock
    languages: list[str]
    """Codes of the languages that may be spoken; empty for an English model."""


def _hypothesis(segments: Sequence[Segment], call: _Call) -> Hypothesis:
    """Return segments as a hypothesis in the language that most of its text is spoken in."""
    durations: dict[str, float] = {}
    for segment in [each for each in segments if each.text] or segments:
        spent = durations.get(segment.language, 0.0)
        durations[segment.language] = spent + segment.end - segment.start
    language = max(durations, key=lambda code: durations[code], default='')
    return Hypothesis(tuple(segments), language, parts=call.clock.parts)


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
