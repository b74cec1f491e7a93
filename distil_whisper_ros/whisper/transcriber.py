"""A loaded Whisper: from an utterance to a hypothesis."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.audio_format import SAMPLE_RATE
from ..core.memory import collect_garbage, return_free_memory
from ..core.scheduler import JobContext
from ..core.settings import ModelSettings
from ..core.types import Hypothesis, Segment, Utterance
from .audio_context import audio_context, context_margin
from .checkpoint import find_model, Progress
from .clip import Clip
from .device import choose_device, choose_dtype, choose_int8
from .model import Whisper
from .model_errors import translate_errors
from .resting_model import RestingModel
from .segment_builder import SegmentBuilder
from .segment_decoder import Call, Clock, SegmentDecoder
from .segment_transcriber import SegmentTranscriber
from .segmentation import segment_limits, spoken_parts
from .self_test import self_test, spoken_clip
from .special_tokens import SpecialTokens

UNINTERRUPTED = JobContext()  # of a call outside the scheduler


class Transcriber:
    """A loaded Whisper: call it with an utterance for a hypothesis."""

    def __init__(
        self,
        settings: ModelSettings,
        progress: Progress = lambda step, share: None,
        on_notice: Callable[[str], None] = lambda notice: None,
        on_resting: Callable[[bool], None] = lambda resting: None,
        shares_cores: Callable[[], bool] = bool,
    ) -> None:
        """Find, load and warm up the model.

        `progress` is called with the present step and the part of it that is done, from 0 to 1;
        `on_notice` with a sentence when a prompt is too long; `on_resting` when `rest` has freed
        the model, and when it is loaded again; `shares_cores` tells whether something else
        computes beside, to which the encoder leaves a core.
        Raises ModelError or SettingError with a sentence that tells the remedy.
        """
        self.settings = settings
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.dtype, self.device)
        self._int8 = choose_int8(settings.dtype, self.device, settings.engine)
        self.precision = 'int8' if self._int8 else str(self.dtype).removeprefix('torch.')
        self.times_stages = False
        """Whether to wait for a GPU after each stage, for the right times of the stages."""
        self._on_notice = on_notice
        self._shares_cores = shares_cores
        self._model = RestingModel(
            settings.id, self.device, self._load, self._test_again, on_resting
        )
        self._model.load(progress)
        self._special_tokens: SpecialTokens = self._whisper.special_tokens  # also while it rests
        self.check(settings)
        if settings.warm_up:
            self._warm_up(progress)
        # Loading takes more than what it leaves: weights are read, converted, and packed.
        collect_garbage()
        return_free_memory()

    def _load(self, progress: Progress) -> SegmentTranscriber:
        """Load the model, and what decodes with it."""
        whisper = translate_errors(
            lambda: self._load_whisper(progress), self.settings.id, self.device
        )
        decoder = SegmentDecoder(whisper, self._on_notice)
        builder = SegmentBuilder(whisper, self.settings.id, self.precision)
        return SegmentTranscriber(decoder, builder)

    def _load_whisper(self, progress: Progress) -> Whisper:
        settings = self.settings
        folder = find_model(settings.id, settings.revision, settings.offline, progress)
        progress(f'loading {settings.id}', 0.0)
        whisper = Whisper(
            folder,
            settings,
            self.device,
            self.dtype,
            self._int8,
            lambda notice: self._on_notice(notice),
        )
        if whisper.encoder is not None:
            whisper.encoder.shares_cores = self._shares_cores
        if settings.assistant:
            progress(f'loading {settings.assistant}', 0.0)
            folder = find_model(
                settings.assistant, '', settings.offline, progress, 'model.assistant'
            )
            whisper.load_assistant(folder, settings.assistant, settings.id)
        return whisper

    def _warm_up(self, progress: Progress) -> None:
        """Test the model with a spoken clip, and transcribe it and noise.

        So kernels are chosen and memory is allocated.
        """
        progress(f'warming up {self.settings.id} on {self.device}', 0.0)
        self._test()
        noise = np.random.default_rng(0).normal(0, 0.1, 3 * SAMPLE_RATE).astype(np.float32)
        self(Utterance.whole(spoken_clip()))
        progress(f'warming up {self.settings.id} on {self.device}', 0.5)
        self(Utterance.whole(noise))

    def _test(self) -> None:
        """Switch off what computes another text on this device."""
        margin = context_margin(self.settings.audio_context_margin, self._whisper.d_model)
        size = self._whisper.audio_context(audio_context(len(spoken_clip()), margin), margin)

        def test() -> None:
            self_test(self._whisper, self.settings.id, self.precision, size, self._on_notice)

        self._model.call(test)

    def _test_again(self) -> None:
        # What it switched off before is on again; on a CPU it found nothing to switch off.
        if self.settings.warm_up and self.device.type != 'cpu':
            self._test()

    @property
    def _segments(self) -> SegmentTranscriber:
        return self._model.loaded

    @property
    def _whisper(self) -> Any:
        return self._segments.decoder.whisper

    @property
    def multilingual(self) -> bool:
        """Whether the model uses the settings language, languages and task."""
        return bool(self._special_tokens.languages)

    def check(self, settings: ModelSettings) -> None:
        """Raise a SettingError if a call with these settings would; nothing is loaded for that."""
        self._allowed_languages(settings)
        self._special_tokens.check_task(settings.task, self.settings.id)

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
        Raises JobAborted, SettingError for what `check` refuses, and ModelError if the model
        failed, its memory did not suffice, or it was unloaded.
        """
        options = settings or self.settings

        def run() -> Hypothesis:
            limits = segment_limits(
                len(utterance.samples), utterance.speech, options.segment_length
            )
            if skip_silence:
                limits = spoken_parts(limits, utterance.speech)
            clips = [Clip.of(utterance, first, last) for first, last in limits]
            segments: list[Segment] = []
            self.check(options)
            call = Call(options, context, self._clock(), self._allowed_languages(options))
            for begin in range(0, len(clips), options.batch_size):
                batch = clips[begin : begin + options.batch_size]
                before = segments[-1].language if segments else ''
                for decoded in self._segments.transcribe(batch, call, before):
                    segments += decoded
                if begin + options.batch_size < len(clips):
                    context.yield_control()
            return _hypothesis(segments, call)

        return self._model.call(run)

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
            clips = [Clip.of(each, 0, len(each.samples)) for each in utterances]
            self.check(settings)
            languages = self._allowed_languages(settings)
            call = Call(settings, context, self._clock(), languages)
            return [
                _hypothesis(segments, call) for segments in self._segments.transcribe(clips, call)
            ]

        return self._model.call(run)

    def prepare(self, settings: ModelSettings, context: JobContext = UNINTERRUPTED) -> None:
        """Make what the first call with these settings would have to wait for, in between others.

        Nothing is made while the model rests.
        """
        if not self.resting:
            self._model.call(lambda: self._segments.decoder.prepare(settings, context))

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
        self._model.close()

    def rest(self) -> bool:
        """Free the memory of the model until a call needs it; return whether there was any."""
        return self._model.rest()

    @property
    def resting(self) -> bool:
        """Whether the next call has to load the model again."""
        return self._model.resting

    def wake(self) -> None:
        """Load the model if it rests, before a call needs it; raise the errors of a call."""
        self._model.wake()

    def _clock(self) -> Clock:
        return Clock(self.device if self.times_stages else None)

    def _allowed_languages(self, settings: ModelSettings) -> list[str]:
        """Return the codes of the languages that may be spoken; raise SettingError."""
        return self._special_tokens.allowed_languages(
            settings.language, settings.languages, self.settings.id
        )


def _hypothesis(segments: Sequence[Segment], call: Call) -> Hypothesis:
    """Return segments as a hypothesis in the language that most of its text is spoken in."""
    durations: dict[str, float] = {}
    for segment in [each for each in segments if each.text] or segments:
        spent = durations.get(segment.language, 0.0)
        durations[segment.language] = spent + segment.end - segment.start
    language = max(durations, key=lambda code: durations[code], default='')
    return Hypothesis(tuple(segments), language, parts=call.clock.parts)
