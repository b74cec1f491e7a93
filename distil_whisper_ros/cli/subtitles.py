"""Words with times as subtitles: SubRip (SRT) and WebVTT."""

from collections.abc import Iterable

from ..core.types import Hypothesis, Word

LONGEST = 6.0  # s that a subtitle stays
WIDEST = 84  # characters: two lines of 42, as broadcasters have it
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
        for word in segment.words:
            if group and _full(group, word):
                result.append(_cue(group))
                group = []
            group.append(word)
        result.append(_cue(group))
    return result


def _full(group: list[Word], word: Word) -> bool:
    text = ' '.join(each.text for each in (*group, word))
    sentence = group[-1].text[-1:] in '.?!。？！'
    return (
        word.end - group[0].start > LONGEST
        or len(text) > WIDEST
        or word.start - group[-1].end > PAUSE
        or (sentence and len(text) > WIDEST // 2)
    )


def _cue(group: list[Word]) -> Cue:
    return group[0].start, group[-1].end, ' '.join(word.text for word in group)


def srt(subtitles: Iterable[Cue]) -> str:
    """Return a SubRip file."""
    return '\n'.join(
        f'{number}\n{clock(start, ",")} --> {clock(end, ",")}\n{text}\n'
        for number, (start, end, text) in enumerate(subtitles, start=1)
    )


def vtt(subtitles: Iterable[Cue]) -> str:
    """Return a WebVTT file."""
    blocks = [f'{clock(a, ".")} --> {clock(b, ".")}\n{text}\n' for a, b, text in subtitles]
    return '\n'.join(['WEBVTT\n', *blocks])


def clock(seconds: float, point: str) -> str:
    """Return seconds as 00:00:00.000, with that decimal point."""
    milliseconds = round(max(0.0, seconds) * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f'{hours:02}:{minutes:02}:{whole:02}{point}{milliseconds:03}'
