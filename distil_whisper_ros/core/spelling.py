"""Whole numbers in English words."""

ONES = (
    'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen '
    'fifteen sixteen seventeen eighteen nineteen'
).split()
TENS = 'twenty thirty forty fifty sixty seventy eighty ninety'.split()
NUMBER_WORDS = frozenset((*ONES, *TENS, 'hundred', 'thousand', 'minus', 'point'))


def spell(number: str) -> str:
    """Return a whole number below 10,000 in English words; anything else as it is."""
    if not (number.isascii() and number.isdecimal()) or int(number) > 9999:
        return number
    thousands, below = divmod(int(number), 1000)
    hundreds, rest = divmod(below, 100)
    parts = [f'{ONES[thousands]} thousand'] if thousands else []
    parts += [f'{ONES[hundreds]} hundred'] if hundreds else []
    if rest or not parts:
        tens, ones = divmod(rest, 10)
        parts.append(
            ONES[rest] if tens < 2 else TENS[tens - 2] + (f' {ONES[ones]}' if ones else '')
        )
    return ' '.join(parts)


def digits(word: str) -> str:
    """Return an English number word up to nineteen in digits; anything else as it is."""
    known: list[str] = list(ONES)
    return str(known.index(word.casefold())) if word.casefold() in known else word
