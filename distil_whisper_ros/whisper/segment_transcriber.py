"""From clips to segments: what failed is decoded again, what nobody said is taken out."""

from collections.abc import Sequence
from dataclasses import replace
import math

from ..core.audio_format import FRAME_DURATION, SAMPLE_RATE
from ..core.settings import DecodingSettings
from ..core.types import Segment
from .audio_context import audio_context, context_margin, FULL_CONTEXT
from .clip import Clip
from .decoding.fallback import (
    has_too_few_words,
    is_endless,
    is_repeated,
    letters,
    MAX_COMPRESSION_RATIO,
    max_tokens,
    needs_fallback,
)
from .decoding.types import DecodingResult
from .segment_builder import SegmentBuilder
from .segment_decoder import Call, SegmentDecoder
from .segmentation import quietest
from .word_timestamps import said, VOICED

MIN_PROGRESS = 1.0  # s that a full decoder must have transcribed, to go on behind them
SHORTEST_HALF = 2.0  # s of speech that each half has, where a clip lacks words
DRAFT_MARGIN = 5.0  # s of silence behind a draft; with less, tiny repeats single words
# s of speech behind the last word, from which the text ended too early. None of 156 utterances and
# of 40 cuts out of fluent speech has as much; a text that lacked eight words had more than twice.
UNHEARD = 1.0
LOOK_BACK = 3.0  # s before the last word of a full decoder, in which the cut is made at a pause


class SegmentTranscriber:
    """Turn clips into segments that hold each word that was said, and once."""

    def __init__(self, decoder: SegmentDecoder, builder: SegmentBuilder) -> None:
        """Decode with `decoder`, and make segments with `builder`."""
        self.decoder, self.builder = decoder, builder

    def transcribe(
        self, clips: Sequence[Clip], call: Call, before: str = ''
    ) -> list[list[Segment]]:
        """Transcribe clips as one batch; return the segments of each.

        `before` is the language of the segment before these, if they belong together.
        """
        longest = max(len(clip.samples) for clip in clips)
        margin = context_margin(call.settings.audio_context_margin, self.decoder.whisper.d_model)
        draft = isinstance(call.settings, DecodingSettings) and call.settings.draft
        needed = audio_context(longest, min(margin, DRAFT_MARGIN) if draft else margin)
        size = self.decoder.whisper.audio_context(needed, margin)
        languages = [''] * len(clips)
        results = self.decoder.decode(clips, languages, before, size, call)
        with call.clock('words'):
            segments = [
                self.builder.segment(result, clip, language, call.settings)
                for result, clip, language in zip(results, clips, languages)
            ]
        if draft:
            return [[segment] for segment in segments]
        if size < FULL_CONTEXT:
            failed = [
                index
                for index, (result, segment) in enumerate(zip(results, segments))
                if unheard(segment, clips[index]) >= UNHEARD
                or needs_fallback(
                    segment.text, result.log_probabilities, result.ended, clips[index].voiced
                )
            ]
            if failed:
                again = [clips[index] for index in failed]
                known = [languages[index] for index in failed]
                better = self.decoder.decode(again, known, before, FULL_CONTEXT, call)
                for index, result in zip(failed, better):
                    results[index] = result
                    segment = self.builder.segment(
                        result, clips[index], languages[index], call.settings
                    )
                    segments[index] = replace(segment, redone=True)
        return [
            self._checked(segment, result, clip, call)
            for segment, result, clip in zip(segments, results, clips)
        ]

    def _checked(
        self, segment: Segment, result: DecodingResult, clip: Clip, call: Call
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
        self, segment: Segment, result: DecodingResult, clip: Clip, call: Call
    ) -> Segment | None:
        """Return the segment of a text that repeats itself, without what nobody said.

        Returns None if all of it was said.
        """
        if result.attention is None:
            timed = replace(call, settings=replace(call.settings, word_timestamps=True))
            (result,) = self.decoder.decode([clip], [segment.language], '', FULL_CONTEXT, timed)
        shorter, before = self._said(result, clip), result
        while len(shorter.tokens) < len(before.tokens):  # fewer words find their places better
            shorter, before = self._said(shorter, clip), shorter
        if len(shorter.tokens) == len(result.tokens):
            return None
        said_once = self.builder.segment(shorter, clip, segment.language, call.settings)
        return replace(said_once, redone=segment.redone)

    def _said(self, result: DecodingResult, clip: Clip) -> DecodingResult:
        """Return the result without words that the model repeats, but that nobody said."""
        groups, starts, kept = self.builder.path(result, clip)
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

    def _halves(self, segment: Segment, clip: Clip, call: Call) -> list[Segment]:
        """Decode a clip in two halves, if a whole one lacks words; return what has more.

        A Whisper that hears the same sentence several times may write it once.
        """
        quarter = len(clip.samples) // 4
        cut = quietest(clip.speech, quarter, 3 * quarter)
        known = replace(call, languages=[segment.language])
        halves = [part for half in clip.split(cut) for part in self.transcribe([half], known)[0]]
        more = sum(letters(part.text) for part in halves) > letters(segment.text)
        return [replace(part, redone=True) for part in halves] if more else [segment]

    def _completed(
        self, segment: Segment, result: DecodingResult, clip: Clip, call: Call
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
        known = replace(call, languages=[segment.language])
        segment = self.builder.segment(first, head, segment.language, call.settings)
        return [segment, *self.transcribe([tail], known)[0]]

    def _last_pause(self, result: DecodingResult, clip: Clip, language: str) -> tuple[int, int]:
        """Return where to cut a text that has not ended: (number of tokens, sample)."""
        words = self.builder.words(result, clip)
        if len(words) < 2:
            return 0, 0
        last = words[-1][0].start
        earliest = max(last - LOOK_BACK, words[0][0].end)
        cut = quietest(clip.speech, round(earliest * SAMPLE_RATE), round(last * SAMPLE_RATE))
        kept = next(
            first for word, first in words if word is words[-1][0] or word.end * SAMPLE_RATE > cut
        )
        return kept, cut


def unheard(segment: Segment, clip: Clip) -> float:
    """Return how much speech of a clip is behind the last word, in seconds; 0 if unknown."""
    if not segment.words:
        return 0.0
    behind = math.ceil((segment.words[-1].end - clip.start) / FRAME_DURATION)
    return sum(p >= VOICED for p in clip.speech[behind:]) * FRAME_DURATION
