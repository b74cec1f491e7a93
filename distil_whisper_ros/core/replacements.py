r"""Words to write in place of those that the model writes, as "hell oh -> HELO".

A rule is literal words, or a regular expression between slashes: "/(\d+) point (\d+)/ -> \1.\2".
Literal words match whole words, in capitals or not, and with punctuation between them. The
expressions are those of the library `regex`, which ends a search that would take too long.
"""

from collections.abc import Iterable
from functools import lru_cache
import time

import regex

from .errors import SettingError
from .scripts import is_dense

LONGEST = 500  # letters of a rule
TIMEOUT = 0.1  # s for one text; the longest of 10 rules for a text of a minute took 0.2 ms
EXAMPLE = r'write it as "hell oh -> HELO" or "/(\d+) point (\d+)/ -> \1.\2"'


class Rule:
    """One replacement; makes a SettingError of a text that is none."""

    def __init__(self, text: str) -> None:
        """Read a rule."""
        self.text = text
        expression = regex.fullmatch(r'\s*/(.+)/\s*->\s*(.*?)\s*', text, regex.DOTALL)
        literal = regex.fullmatch(r'\s*(.+?)\s*->\s*(.*?)\s*', text, regex.DOTALL)
        found = expression or literal
        if found is None or len(text) > LONGEST:
            raise SettingError(
                f'text.replacements has {text[:LONGEST]!r}, which is not a rule of at most '
                f'{LONGEST} letters: {EXAMPLE}'
            )
        self.expression = bool(expression)
        pattern = found[1] if expression else _literal(found[1])
        self._written = found[2] if expression else found[2].replace('\\', r'\\')
        try:
            self._pattern = regex.compile(pattern, regex.IGNORECASE)
            # An empty match would be replaced everywhere, and a group that is not there raises.
            empties = [self._pattern.search(each, timeout=TIMEOUT) for each in ('', 'a b')]
            empty = any(found is not None and not found[0] for found in empties)
            regex.sub(f'(?:{pattern})|^', self._written, 'a', count=1, flags=regex.IGNORECASE)
        except (regex.error, IndexError, TimeoutError, OverflowError, RecursionError) as error:
            raise SettingError(
                f'text.replacements has {text!r}, which is no regular expression with a text for '
                f'it: {error}'
            ) from error
        if empty:
            raise SettingError(
                f'text.replacements has {text!r}, which matches where nothing is written: '
                f'{EXAMPLE}'
            )

    def applied(self, text: str, timeout: float) -> str:
        """Return a text with its replacements; raise a TimeoutError if that takes too long."""
        return self._pattern.sub(self._written, text, timeout=timeout)

    def open_from(self, text: str) -> int:
        """Return from which letter on a text may still change by this rule, if more words come."""
        begin = 0
        while True:
            found = self._pattern.search(f'{text} ', begin, partial=True, timeout=TIMEOUT)
            if found is None:
                return len(text)
            if found.partial:
                return min(len(text), found.start())
            begin = max(found.end(), begin + 1)


def _literal(words: str) -> str:
    """Return the expression of literal words."""
    first, last = words[0], words[-1]
    before = r'(?<!\w)' if first.isalnum() and not is_dense(first) else ''
    behind = r'(?!\w)' if last.isalnum() and not is_dense(last) else ''
    return before + r'[^\w\s]*\s+'.join(map(regex.escape, words.split())) + behind


@lru_cache(maxsize=16)
def rules(texts: tuple[str, ...]) -> tuple[Rule, ...]:
    """Return the rules of `text.replacements`; raise a SettingError for a wrong one."""
    return tuple(map(Rule, filter(None, texts)))


def check_rule(text: str) -> None:
    """Raise a SettingError for a text that is no rule."""
    rules((text,))


def rewritten(text: str, replacements: Iterable[str]) -> tuple[str, str]:
    """Return a text with its replacements, one rule after the other, and what was wrong, or ''."""
    problem, deadline = '', time.monotonic() + TIMEOUT
    for rule in rules((*replacements,)):
        try:
            text = rule.applied(text, max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            problem = (
                f'text.replacements has {rule.text!r}, with which a text takes more than '
                f'{TIMEOUT:g} s: it and the ones behind it are not applied; write it simpler'
            )
            break
    return ' '.join(text.split()), problem


def rewritten_so_far(text: str, replacements: Iterable[str]) -> str:
    """Return a text that grows, with its replacements, and without the end that may change yet."""
    replacements = (*replacements,)
    if not replacements:
        return text
    try:
        settled = min(rule.open_from(text) for rule in rules(replacements))
    except TimeoutError:
        return text
    return rewritten(text[:settled], replacements)[0]
