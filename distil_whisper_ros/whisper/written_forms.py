"""The ways in which Whisper writes a phrase: with and without a capital, punctuation, digits."""

ENDS = ('', '.', '!', '?', ',')
ONES = (
    'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen '
    'fifteen sixteen seventeen eighteen nineteen'
).split()
TENS = 'twenty thirty forty fifty sixty seventy eighty ninety'.split()


def spell(number: str) -> str:
    """Return a whole number from 0 to 999 in English words; anything else as it is."""
    if not (number.isascii() and number.isdecimal()) or int(number) > 999:
        return number
    value = int(number)
    hundreds, rest = divmod(value, 100)
    parts = [f'{ONES[hundreds]} hundred'] if hundreds else []
    if rest or not hundreds:
        tens, ones = divmod(rest, 10)
        small = ONES[rest] if tens < 2 else TENS[tens - 2] + (f' {ONES[ones]}' if ones else '')
        parts.append(small)
    return ' '.join(parts)


def written_forms(phrase: str) -> list[str]:
    """Return the texts in which Whisper may write a phrase, each with the space before it."""
    words = phrase.split()
    spelled = ' '.join(spell(word) for word in words)
    digits = ' '.join(str(ONES.index(w.lower())) if w.lower() in ONES else w for w in words)
    texts = dict.fromkeys((phrase, spelled, digits))
    starts = dict.fromkeys(each for text in texts for each in (text, text[:1].upper() + text[1:]))
    return [f' {start}{end}' for start in starts for end in ENDS]
