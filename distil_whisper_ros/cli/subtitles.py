"""Words with times as subtitles: SubRip (SRT) and WebVTT."""

from collections.abc import Iterable
import re

from ..core.scripts import join_texts, width
from ..core.types import Hypothesis, Word

LONGEST = 6.0  # s that a subtitle stays
WIDEST = 84  # columns: two lines of 42, as broadcasters have it; a Chinese character takes 2
PAUSE = 0.8  # s between words that begin a new subtitle

Cue = tuple[float, float, str]


def cues(hypothesis: Hypothesis) -> list[Cue]:
    """Return (start, end, text) of each subtitle, in seconds."""
    result: list[Cue] = []
    for segment in hypothesis.segments:
        if not segment.words:
            if segment.text:
                result.append((segment.start, segment.end, segment.text))
            continue
        group: list[Word] = []
        groups: list[list[Word]] = []
        for word in segment.words:
            if group and _full(group, word):
                groups.append(group)
                group = []
            group.append(word)
        groups.append(group)
        for group, text in zip(groups, _texts(segment.text, groups)):
            result.append((group[0].start, group[-1].end, text))
    return result


def _full(group: list[Word], word: Word) -> bool:
    columns = width(join_texts(each.text for each in (*group, word)))
    sentence = group[-1].text[-1:] in '.?!。？！।॥؟။។'
    return (
        word.end - group[0].start > LONGEST
        or columns > WIDEST
        or word.start - group[-1].end > PAUSE
        or (sentence and columns > WIDEST // 2)
    )


def _texts(text: str, groups: list[list[Word]]) -> list[str]:
    """Return each group's part of a text, with the spaces that the text has."""
    parts, end = [], 0
    for group in groups:
        begin = -1
        for word in group:
            first = text.find(word.text, end)
            if first < 0:  # words of another text
                return [join_texts(word.text for word in group) for group in groups]
            begin = first if begin < 0 else begin
            end = first + len(word.text)
        parts.append(text[begin:end])
    return parts


def srt(subtitles: Iterable[Cue]) -> str:
    """Return a SubRip file."""
    return '\n'.join(
        f'{number}\n{clock(start, ",")} --> {clock(end, ",")}\n{srt_text(text)}\n'
        for number, (start, end, text) in enumerate(subtitles, start=1)
    )


def vtt(subtitles: Iterable[Cue]) -> str:
    """Return a WebVTT file."""
    blocks = [
        f'{clock(a, ".")} --> {clock(b, ".")}\n{vtt_text(text)}\n' for a, b, text in subtitles
    ]
    return '\n'.join(['WEBVTT\n', *blocks])


def srt_text(text: str) -> str:
    """Return a text for SubRip, which has tags and arrows, but nothing to escape them with.

    Signs that look alike take their place.
    """
    return re.sub('<(?=[A-Za-z/!])', '‹', ' '.join(text.split()).replace('-->', '→'))


def vtt_text(text: str) -> str:
    """Return a text for WebVTT."""
    line = ' '.join(text.split())  # an empty line would end the subtitle
    return line.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')


def clock(seconds: float, point: str) -> str:
    """Return seconds as 00:00:00.000, with that decimal point."""
    milliseconds = round(max(0.0, seconds) * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f'{hours:02}:{minutes:02}:{whole:02}{point}{milliseconds:03}'
