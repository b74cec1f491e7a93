"""One decode of clips: features, encoder, language, decoder."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
import time

import torch

from ..core.scheduler import JobContext
from ..core.settings import DecodingSettings, ModelSettings
from .audio_context import FULL_CONTEXT
from .clip import Clip
from .decoding.fallback import max_tokens
from .decoding.hotwords import Hotwords
from .decoding.phrases import phrase_scores
from .decoding.types import DecodingOptions, DecodingResult
from .model import Whisper
from .phrase_trees import PhraseTrees
from .prompt import Prompts

# Times as likely as the language of the segment before, from which another language is believed.
LANGUAGE_CHANGE = 4.0


class Clock:
    """Add up the time spent on each stage, in seconds; wait for `device` after each."""

    def __init__(self, device: torch.device | None) -> None:
        self.parts: dict[str, float] = {}
        self._device = device

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        if self._device is not None and self._device.type == 'cuda':
            torch.cuda.synchronize(self._device)
        self.parts[stage] = self.parts.get(stage, 0.0) + time.monotonic() - started


@dataclass(frozen=True)
class Call:
    """What all segments of a call share."""

    settings: ModelSettings
    context: JobContext
    clock: Clock
    languages: list[str]
    """Codes of the languages that may be spoken; empty for an English model."""


class SegmentDecoder:
    """Decode clips with a loaded Whisper."""

    def __init__(self, whisper: Whisper, on_notice: Callable[[str], None]) -> None:
        """Decode with `whisper`.

        `on_notice` is called with a sentence when a prompt is too long.
        """
        self.whisper = whisper
        self.prompts = Prompts(whisper.tokenizer, whisper.max_target_positions, on_notice)
        self._trees = PhraseTrees(whisper.tokenizer)
        self._hotwords: tuple[tuple[str, ...], Hotwords | None] = ((), None)  # of the latest ones

    def decode(
        self,
        clips: Sequence[Clip],
        languages: list[str],
        before: str,
        size: int,
        call: Call,
    ) -> list[DecodingResult]:
        """Encode an audio context of `size` samples, and decode it.

        Fills in the `languages` that are not known yet. Each language is a batch of its own, since
        the language is a part of what a decoder begins with.
        """
        whisper = self.whisper
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
                results |= zip(rows, whisper.decoders.decode(batch, options, call.context))
        greedy = whisper.decoders.greedy
        if isinstance(call.settings, DecodingSettings) and greedy is not None:
            with call.clock('commands'):
                known = call.settings.wordings
                tree = self._trees.of(known, call.context.check)
                for row, result in results.items():
                    start = self.whisper.special_tokens.prefix(languages[row], call.settings.task)
                    likely = phrase_scores(
                        greedy, states[row : row + 1], start, tree, call.context
                    )
                    named = {known[phrase]: score for phrase, score in likely.items()}
                    results[row] = replace(result, phrases=named)
        return [results[row] for row in range(len(clips))]

    def prepare(self, settings: ModelSettings, context: JobContext) -> None:
        """Make what the first decode with these settings would have to wait for."""
        if isinstance(settings, DecodingSettings) and self.whisper.decoders.greedy is not None:
            self._trees.of(settings.wordings, context.yield_control)

    def _options(
        self, clips: Sequence[Clip], language: str, size: int, call: Call
    ) -> DecodingOptions:
        whisper, settings = self.whisper, call.settings
        language_tokens = whisper.special_tokens.languages
        possible = max_tokens(max(len(clip.samples) for clip in clips), language)
        short = size < FULL_CONTEXT
        return DecodingOptions(
            prompt=self.prompts.tokens(settings),
            prefix=whisper.special_tokens.prefix(language, settings.task),
            language=language if language_tokens else '',
            task=settings.task,
            # With the full audio context the text is final, and only a loop shall be cut short.
            max_tokens=min(settings.max_new_tokens, possible if short else 2 * possible),
            beam_width=settings.beam_width,
            # Where the decoder may be full before the text ends, the time of the last word is
            # needed to go on.
            return_attention=settings.word_timestamps
            or possible > whisper.max_target_positions // 2,
            give_up_early=short,
            hotwords=self._hotwords_of(settings),
        )

    def _hotwords_of(self, settings: ModelSettings) -> Hotwords | None:
        """Return the hotwords for a beam search; those of the latest settings are kept."""
        words = tuple(settings.hotwords)
        if settings.beam_width == 1 or not any(words):
            return None
        if words != self._hotwords[0]:
            forms = {
                f' {form}'
                for word in words
                if word
                for form in (word, word[:1].upper() + word[1:])
            }
            tokens = self.whisper.tokenizer(sorted(forms), add_special_tokens=False).input_ids
            inside, text = self.whisper.inside_words, self.whisper.tokenizer.decode
            self._hotwords = words, Hotwords(tokens, inside, text)
        return self._hotwords[1]

    def _languages(self, states: torch.Tensor, allowed: list[str], before: str) -> list[str]:
        """Return the code of the likeliest language for each row of encoder states.

        In a recording another language than that of the segment before must be clearly likelier.
        """
        if len(allowed) < 2:
            return [*(allowed or ['en'])] * len(states)
        found = []
        for probabilities in self.whisper.language_probabilities(states):
            language = max(allowed, key=lambda code: probabilities[code])
            if before and probabilities[language] < LANGUAGE_CHANGE * probabilities[before]:
                language = before
            found.append(language)
            before = before and language
        return found
