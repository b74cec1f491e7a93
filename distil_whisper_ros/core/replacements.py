r"""Words to write in place of those that the model writes, as "hell oh -> HELO".

A rule is literal words, or a regular expression between slashes: "/(\d+) point (\d+)/ -> \1.\2".
Literal words match whole words, in capitals or not, and with punctuation between them. The
expressions are those of the library `regex`, which ends a search that would take too long.
"""

from collections.abc import Iterable
from functools import lru_cache
from math import prod
import time

import regex

from .errors import SettingError
from .scripts import is_dense

LONGEST = 500  # letters of a rule
MOST = 1000  # rules
# regex writes each repetition of a part out, in about 50 bytes a letter
MOST_REPEATS, WRITTEN_OUT, ALL_WRITTEN_OUT = 10_000, 100_000, 2_000_000
TIMEOUT = 0.1  # s for one text; the longest of 10 rules for a text of a minute took 0.2 ms
GROWTH, SHORT = 10, 10_000  # times the length that a text may become, if it is no short one
REPEAT = regex.compile(r'\{\s*(\d+)')
UNREAD = regex.compile(r'#[^\n]*\n?|\s+')  # what an expression with the flag x may have anywhere
STRAY = regex.compile(r'^\s*[.,;:!?…]+\s+|(?<=\w)\s+(?=[.!?…]+(?:\s|$))')
EXAMPLE = r'write it as "hell oh -> HELO" or "/(\d+) point (\d+)/ -> \1.\2"'
WRONG = (
    regex.error,
    IndexError,
    TimeoutError,
    OverflowError,
    RecursionError,
    MemoryError,
    UnicodeError,
)
"""What the library raises for an expression that is none, or that it cannot use."""


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
        pattern = found[1] if expression else _literal(found[1], removed=not found[2])
        self._written = found[2] if expression else found[2].replace('\\', r'\\')
        try:
            repeats = _repeats(pattern) if expression else 1
            self.size = repeats * len(pattern)
            """Its letters, at most, with all repetitions written out."""
            if repeats > MOST_REPEATS:
                raise OverflowError(f'it repeats a part more than {MOST_REPEATS} times')
            if self.size > WRITTEN_OUT:
                raise OverflowError(
                    f'it has more than {WRITTEN_OUT} letters with all repetitions written out'
                )
            self._pattern = regex.compile(pattern, regex.IGNORECASE)
            # An empty match would be replaced everywhere, and a group that is not there raises.
            empties = [self._pattern.search(each, timeout=TIMEOUT) for each in ('', 'a b')]
            empty = any(found is not None and not found[0] for found in empties)
            self._check_written(pattern)
        except WRONG as error:
            raise SettingError(
                f'text.replacements has {text!r}, which is no regular expression with a text for '
                f'it: {str(error) or "it needs too much memory"}'
            ) from error
        if empty:
            raise SettingError(
                f'text.replacements has {text!r}, which matches where nothing is written: '
                f'{EXAMPLE}'
            )

    def _check_written(self, pattern: str) -> None:
        """Write once what the rule writes, which raises for a group that is not there."""
        anywhere = regex.compile(f'(?:{pattern})|^', regex.IGNORECASE)
        written = anywhere.sub(self._written, 'a', count=1, timeout=TIMEOUT)
        written.encode()  # ROS has no half characters, and ends a text at a zero
        if '\0' in written:
            raise IndexError('a text cannot have a zero character')

    def applied(self, text: str, timeout: float) -> str:
        """Return a text with its replacements; raise a TimeoutError if that takes too long."""
        result = self._pattern.sub(self._written, text, timeout=timeout)
        # Where words are removed, the period behind them does not stay alone, or away from a word.
        if self._written or result == text:
            return result
        return STRAY.sub('', result) if any(map(str.isalnum, result)) else ''

    def open_from(self, text: str, timeout: float) -> int:
        """Return from which letter on a text may still change by this rule, if more words come."""
        begin = 0
        while begin <= len(text):
            found = self._pattern.search(f'{text} ', begin, partial=True, timeout=timeout)
            if found is None:
                break
            if found.partial:
                return min(len(text), found.start())
            begin = max(found.end(), begin + 1)
        return len(text)


def _repeats(pattern: str) -> int:
    """Return how often an expression repeats its innermost part, at most.

    A part that is repeated 0 times counts once: regex writes it out, too.
    """
    readings = pattern, UNREAD.sub('', pattern)
    return max(prod(max(1, int(n)) for n in REPEAT.findall(each)) for each in readings)


def _literal(words: str, removed: bool) -> str:
    """Return the expression of literal words; of those that are removed, with the comma behind."""
    first, last = words[0], words[-1]
    before = r'(?<!\w)' if first.isalnum() and not is_dense(first) else ''
    behind = r'(?!\w)' if last.isalnum() and not is_dense(last) else ''
    behind += '[,;:]?' if removed else ''
    written = r'[^\w\s]*\s+'.join(map(regex.escape, words.split()))
    return before + regex.sub("['’]", "['’]", written) + behind


_rule = lru_cache(maxsize=2 * MOST)(Rule)


def rules(texts: Iterable[str]) -> tuple[Rule, ...]:
    """Return the rules of `text.replacements`; raise a SettingError for a wrong one."""
    found, size = [], 0
    for text in filter(None, texts):
        found.append(_rule(text))
        size += found[-1].size
        if size > ALL_WRITTEN_OUT:
            raise SettingError(
                f'text.replacements has more than {ALL_WRITTEN_OUT} letters with all repetitions '
                'written out: repeat fewer parts with {...}'
            )
    return tuple(found)


class _Budget:
    """The time for one text: of this thread's own work, since others may keep it waiting."""

    def __init__(self) -> None:
        self._begun = time.thread_time()

    @property
    def left(self) -> float:
        """How much is left, in seconds; a TimeoutError if nothing is."""
        left = TIMEOUT - (time.thread_time() - self._begun)
        if left <= 0.0:
            raise TimeoutError
        return left


def rewritten(text: str, replacements: Iterable[str]) -> tuple[str, str]:
    """Return a text with its replacements, one rule after the other, and what was wrong, or ''."""
    known = rules(replacements)
    problem, budget, longest = '', _Budget(), max(SHORT, GROWTH * len(text))
    for rule in known:
        try:
            written = rule.applied(text, budget.left)
        except TimeoutError:
            problem = (
                f'text.replacements has {rule.text!r}, with which a text takes more than '
                f'{TIMEOUT:g} s: it and the ones behind it are not applied; write it simpler'
            )
            break
        if len(written) > longest:
            problem = (
                f'text.replacements has {rule.text!r}, with which a text has more than '
                f'{longest} letters: it and the ones behind it are not applied; write less'
            )
            break
        text = written
    return ' '.join(text.split()), problem


def rewritten_so_far(text: str, replacements: Iterable[str]) -> str:
    """Return a text that grows, with its replacements, and without the end that may change yet."""
    known = rules(replacements)
    budget = _Budget()
    try:
        settled = min((rule.open_from(text, budget.left) for rule in known), default=len(text))
    except TimeoutError:
        return text
    return rewritten(text[:settled], [rule.text for rule in known])[0] if known else text
