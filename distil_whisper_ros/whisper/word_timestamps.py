"""Word timestamps: dynamic time warping over the decoder's attention to the audio.

The method is that of openai/whisper's `timing.py`: the attention weights of the alignment heads,
normalized and smoothed, are the similarity of tokens and positions, and the cheapest monotone path
through them gives each token its time. The path may cross from one word to the next anywhere in
the pause between them, so voice activity then moves a word's start to the end of the pause.
"""

from collections.abc import Callable, Sequence
import math
import re
import unicodedata

import numpy as np
import numpy.typing as npt

from ..core.audio_format import FRAME_DURATION
from ..core.scripts import is_dense
from ..core.types import Word

POSITION = 0.02  # s of audio for each of the encoder's positions
# s by which the path crosses late, measured against forced alignment: see
# benchmarks/word_timestamps.py
LATENESS = 0.1
SMOOTHING = 7  # positions, the median filter's width
VOICED = 0.35  # probability of speech from which a frame can belong to a word
OPENING = '"\'“‘«¿¡([{-（「『【《〈'
CLOSING = '"\'.。,，!！?？:：;；…”’»)]}、）」』】》〉।॥؟،؛။၊។ฯ'
# Characters that do not begin a word in scripts without spaces: they belong to the one before.
CONTINUING = 'ーゝヽ々ぁぃぅぇぉっゃゅょァィゥェォッャュョะาำๅๆะາຳໆ'
LEAST_CONFIDENCE = 1e-3  # of a word, for its logarithm
# s of audio that a word has at least: the path passes a word without speech of its own in one or
# two positions. A repetition lasts at least this share of what the phrase takes on average.
SHORTEST_WORD, SHORTEST_REPETITION = 0.05, 0.25
LONGEST_REPEAT = 12  # words of a phrase that is looked for again behind it

Matrix = npt.NDArray[np.float32]


def group_words(
    tokens: Sequence[int], decode: Callable[[Sequence[int]], str]
) -> list[tuple[str, int, int]]:
    """Group tokens into words: (text, first token, token after the last).

    `decode` returns the text of tokens. A token can be a part of a character. A word begins with a
    space; in scripts without spaces, as Chinese, each token of whole characters is a word.
    Punctuation belongs to the word beside it.
    """
    pieces: list[tuple[str, int, int]] = []
    first = 0
    for index in range(len(tokens)):
        text = decode(tokens[first : index + 1])
        if '\ufffd' not in text or index == len(tokens) - 1:
            pieces.append((text, first, index + 1))
            first = index + 1
    words: list[tuple[str, int, int]] = []
    for text, first, last in pieces:
        plain = text.strip()
        joins = words and (
            (plain and all(c in CLOSING for c in plain) and not text.startswith(' '))
            or not _begins_word(words[-1][0], text)
            or all(c in OPENING for c in words[-1][0].strip())
        )
        if joins:
            before, begin, _ = words[-1]
            words[-1] = (before + text, begin, last)
        else:
            words.append((text, first, last))
    return [(text.strip(), first, last) for text, first, last in words if text.strip()]


def _begins_word(before: str, text: str) -> bool:
    """Return whether a word begins with `text`, which comes after `before`."""
    if not (before and text) or text[0] == ' ' or before[-1] == ' ':
        return True
    if not (is_dense(before[-1]) or is_dense(text[0])):
        return False
    # In Thai and Lao some vowels are written before their consonant.
    leading = '\u0e40' <= before[-1] <= '\u0e44' or '\u0ec0' <= before[-1] <= '\u0ec4'
    mark = unicodedata.category(text[0]).startswith('M')
    return not (leading or mark or text[0] in CONTINUING)


def token_times(attention: Matrix) -> npt.NDArray[np.float64]:
    """Return the start of each token in seconds, shape (tokens,).

    `attention` has the logits of the attention weights, shape (heads, tokens, positions), with the
    positions of the audio alone, without the padding after it.
    """
    weights = attention - attention.max(-1, keepdims=True)
    weights = np.exp(weights)
    weights /= weights.sum(-1, keepdims=True)
    deviation = weights.std(1, keepdims=True)
    weights = (weights - weights.mean(1, keepdims=True)) / np.maximum(deviation, 1e-10)
    weights = median_filter(weights).mean(0)
    return np.maximum(0.0, warp(-weights) * POSITION - LATENESS)


def median_filter(weights: Matrix) -> Matrix:
    """Return the median of SMOOTHING neighbours along the last axis."""
    half = SMOOTHING // 2
    if weights.shape[-1] <= half:
        return weights
    padded = np.pad(weights, [(0, 0), (0, 0), (half, half)], mode='reflect')
    windows = np.lib.stride_tricks.sliding_window_view(padded, SMOOTHING, axis=-1)
    return np.median(windows, axis=-1)


def warp(cost: Matrix) -> npt.NDArray[np.float64]:
    """Return the first column of each row on the cheapest monotone path through `cost`.

    Dynamic time warping of a matrix of shape (rows, columns); the result has the shape (rows,).
    """
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    # Along an antidiagonal no cell depends on another, so each is computed at once.
    for diagonal in range(2, rows + columns + 1):
        i = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        j = diagonal - i
        before = np.minimum(total[i - 1, j - 1], np.minimum(total[i - 1, j], total[i, j - 1]))
        total[i, j] = cost[i - 1, j - 1] + before
    starts = np.zeros(rows)
    i, j = rows, columns
    while i > 0:
        starts[i - 1] = j - 1
        diagonal, up, left = total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]
        if diagonal <= up and diagonal <= left:
            i, j = i - 1, j - 1
        elif up <= left:
            i -= 1
        else:
            j -= 1
    return starts


def align(
    words: Sequence[tuple[str, int, int]],
    starts: Sequence[float],
    confidences: Sequence[float],
    duration: float,
    speech: Sequence[float] = (),
) -> tuple[Word, ...]:
    """Return the words with their times and confidences.

    A word's confidence is the probability of its least likely token.

    Parameters
    ----------
    words: from `group_words`.
    starts: of each token, and of the end of the text, in seconds.
    confidences: of each token.
    duration: of the audio, in seconds.
    speech: probability of speech of each frame; empty if it is unknown.

    """
    voiced = np.array([p >= VOICED for p in speech])
    result = []
    for text, first, last in words:
        start, end = float(starts[first]), float(starts[last])
        start, end = within_speech(start, max(end, start + POSITION), voiced)
        confidence = min(confidences[first:last])
        result.append(Word(text, min(start, duration), min(end, duration), confidence))
    return tuple(result)


def said(words: Sequence[tuple[str, int, int]], starts: Sequence[float]) -> list[int]:
    """Return the indices of the words that have speech of their own; the others are a loop's.

    A model that loops repeats a phrase more often than it was said. What is said too often has no
    audio left, and the path passes it at once: such repetitions are dropped. `words` and `starts`
    are as for `align`.
    """
    plain = [re.sub(r'\W', '', text.casefold()) for text, _, _ in words]
    kept: list[int] = []
    index = 0
    while index < len(words):
        length, end = _repeats(plain, index)
        phrases = [range(at, min(at + length, end)) for at in range(index, end, length)]
        shares = [_duration(words, starts, phrase) / len(phrase) for phrase in phrases]
        enough = SHORTEST_WORD
        lasting = [share for share in shares if share >= SHORTEST_WORD]
        if lasting:
            enough = max(enough, SHORTEST_REPETITION * float(np.median(lasting)))
        kept += phrases[0]
        for phrase, share in zip(phrases[1:], shares[1:]):
            if share >= enough:
                kept += phrase
        index = end
    return kept


def _duration(
    words: Sequence[tuple[str, int, int]], starts: Sequence[float], phrase: range
) -> float:
    return starts[words[phrase[-1]][2]] - starts[words[phrase[0]][1]]


def _repeats(plain: Sequence[str], first: int) -> tuple[int, int]:
    """Return the length of the phrase at `first`, and the word behind its last repetition.

    Without a repetition it is one word. Of several phrases the one that goes on longest counts.
    """
    best, longest = 1, first + 1
    for length in range(1, LONGEST_REPEAT + 1):
        end = first + length
        while end < len(plain) and plain[end] == plain[end - length]:
            end += 1
        if end >= first + 2 * length and end > longest:
            best, longest = length, end
    return best, longest


def mean_log_confidence(
    words: Sequence[tuple[str, int, int]], confidences: Sequence[float]
) -> float | None:
    """Return the mean log confidence of the words from `group_words`; None if there is none."""
    least = [min(confidences[first:last]) for _, first, last in words]
    logs = [math.log(max(LEAST_CONFIDENCE, confidence)) for confidence in least]
    return sum(logs) / len(logs) if logs else None


def within_speech(start: float, end: float, voiced: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return a word's start and end without the pauses around it."""
    first, last = int(start / FRAME_DURATION), int(np.ceil(end / FRAME_DURATION))
    frames = np.flatnonzero(voiced[first:last])
    if not len(frames):
        return start, end
    begin = float(first + frames[0]) * FRAME_DURATION
    finish = float(first + frames[-1] + 1) * FRAME_DURATION
    return max(start, begin), min(end, finish)
