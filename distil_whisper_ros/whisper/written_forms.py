"""The ways in which Whisper writes a phrase: with and without a capital, punctuation, digits."""

from ..core.spelling import digits, spell

ENDS = ('', '.', '!', '?', ',')


def written_forms(phrase: str) -> list[str]:
    """Return the texts in which Whisper may write a phrase, each with the space before it."""
    phrase = phrase.replace('’', "'")
    words = phrase.split()
    spelled = ' '.join(spell(word) for word in words)
    numbers = ' '.join(digits(word) for word in words)
    texts = dict.fromkeys((phrase, spelled, numbers))
    starts = dict.fromkeys(each for text in texts for each in (text, text[:1].upper() + text[1:]))
    return [f' {start}{end}' for start in starts for end in ENDS]
