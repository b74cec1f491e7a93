"""From the tokens of a decoder to a segment: its text, its words and how sure they are."""

from collections.abc import Sequence
import math
import re

from ..core.errors import ModelError
from ..core.scripts import without_wide_spaces
from ..core.settings import ModelSettings
from ..core.types import Segment, Word
from .clip import Clip
from .decoding.fallback import compression_ratio
from .decoding.types import DecodingResult
from .model import Whisper
from .word_timestamps import align, group_words, mean_log_confidence, POSITION, token_times

# The name of a special token: nobody says one, even where the tokenizer spells it as text.
SPELLED = re.compile(r'\s*<\|[^\s|]*\|>')


class SegmentBuilder:
    """Make segments of what a loaded Whisper decoded."""

    def __init__(self, whisper: Whisper, name: str, precision: str) -> None:
        """Take what `whisper` decoded, whose `name` and `precision` are told in errors."""
        self._whisper = whisper
        self._name, self._precision = name, precision

    def segment(
        self, result: DecodingResult, clip: Clip, language: str, settings: ModelSettings
    ) -> Segment:
        """Return the decoded tokens as a segment, with word timestamps."""
        scores = result.log_probabilities
        if not all(map(math.isfinite, scores)):
            raise ModelError(
                f'{self._name} computes values that are not finite in {self._precision}: set '
                'model.dtype to float32'
            )
        # Special tokens are no text, even where the tokenizer does not mark them.
        kept = self._whisper.special_tokens.text_positions(result.tokens)
        tokens = [result.tokens[index] for index in kept]
        text = without_wide_spaces(self._text(tokens).strip())
        words = self.words(result, clip) if settings.word_timestamps else []
        confidences = [math.exp(scores[index]) for index in kept]
        return Segment(
            text,
            clip.start,
            clip.start + clip.duration,
            sum(scores) / len(scores) if scores else 0.0,
            result.no_speech_probability,
            compression_ratio(text),
            tuple(word.later(clip.start) for word, _ in words),
            mean_log_confidence(self._groups(tokens), confidences),
            truncated=not result.ended,
            language=language,
            end_confidence=self._end_confidence(result),
            phrases=result.phrases,
            searched=result.searched,
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

    def words(self, result: DecodingResult, clip: Clip) -> list[tuple[Word, int]]:
        """Return the words with their times in the clip, and the index of their first token."""
        groups, starts, kept = self.path(result, clip)
        words = align(
            groups,
            starts,
            [math.exp(result.log_probabilities[index]) for index in kept],
            clip.duration,
            clip.speech,
        )
        return [(word, kept[first]) for word, (_, first, _) in zip(words, groups)]

    def path(
        self, result: DecodingResult, clip: Clip
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
        return self._groups(tokens), token_times(attention).tolist(), kept

    def _groups(self, tokens: Sequence[int]) -> list[tuple[str, int, int]]:
        """Return the words of tokens, as `group_words`."""
        words = group_words(tokens, self._decoded)
        spoken = [(without_special_names(text), first, last) for text, first, last in words]
        return [word for word in spoken if word[0]]

    def _text(self, tokens: Sequence[int]) -> str:
        return without_special_names(self._decoded(tokens))

    def _decoded(self, tokens: Sequence[int]) -> str:
        return self._whisper.tokenizer.decode(tokens, skip_special_tokens=True)


def without_special_names(text: str) -> str:
    """Return a text without what looks as a special token, as <|en|>."""
    before = ''
    while text != before:  # one may hold another
        text, before = SPELLED.sub('', text), text
    return text
