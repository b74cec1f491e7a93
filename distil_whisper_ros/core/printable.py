"""Text from outside made safe for logs and terminals: short, and without control characters."""

LIMIT = 500  # characters of a line


def printable(text: object, limit: int = LIMIT, lines: bool = False) -> str:
    r"""Return a text in at most `limit` characters, plus its length if it was longer.

    Control characters, as newlines, ANSI escapes and invisible marks, are written as Python writes
    them: `\n`, `\x1b`. With `lines`, newlines stay.
    """
    whole = str(text)
    kept = ''.join(
        char if char.isprintable() or (lines and char == '\n') else escaped(char)
        for char in whole[:limit]
    )
    return kept if len(whole) <= limit else f'{kept}... ({len(whole)} characters)'


def escaped(char: str) -> str:
    """Return a control character as Python writes it."""
    return char.encode('unicode_escape').decode('ascii')
