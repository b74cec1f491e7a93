"""The ways in which Whisper writes a phrase: with and without a capital, punctuation, digits."""

from ..core.spelling import digits, spell

ENDS = ('', '.', '!', '?', ',')


def written_forms(phrase: str) -> list[str]:
    """Return the texts in which Whisper may write a phrase, each with the space before it."""
    return [f'{stem}{end}' for stem in stems(phrase) for end in ENDS]


def stems(phrase: str) -> list[str]:
    """Return the written forms without the punctuation behind them."""
    phrase = phrase.replace('’', "'")
    words = phrase.split()
    spelled = ' '.join(spell(word) for word in words)
    numbers = ' '.join(digits(word) for word in words)
    texts = dict.fromkeys((phrase, spelled, numbers))
    starts = dict.fromkeys(each for text in texts for each in (text, text[:1].upper() + text[1:]))
    return [f' {start}' for start in starts]
