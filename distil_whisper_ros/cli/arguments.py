"""Arguments of several tools, checked: namespaces, times, texts."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
import re
from typing import NoReturn

from ..core.printable import printable

NAMESPACE = re.compile(r'([A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*)?')
LONGEST_NAMESPACE = 200  # characters: a name of ROS has 247, and the recognizer's services need 44
LONGEST_TIME = 86_400.0  # s
SHOWN = 60  # characters of a wrong argument


class Parser(ArgumentParser):
    """A parser whose errors have no control characters of its arguments."""

    def error(self, message: str) -> NoReturn:
        """Print how the tool is used and what is wrong; exit with 2."""
        super().error(printable(message))


def namespace(text: str) -> str:
    """Return a namespace without its first and its last slash; '' is none."""
    name = text.removeprefix('/').removesuffix('/')
    if not NAMESPACE.fullmatch(name) or len(name) > LONGEST_NAMESPACE:
        raise ArgumentTypeError(
            f'"{printable(text, SHOWN)}" is not a namespace: use letters, digits and _, with / '
            f'between names, no digit first, as "robot1" or "site/robot1", and '
            f'{LONGEST_NAMESPACE} characters at most'
        )
    return name


def seconds(least: float) -> Callable[[str], float]:
    """Return a function that reads a time of `least` seconds or more."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not least <= value <= LONGEST_TIME:
            raise ArgumentTypeError(
                f'"{printable(text, SHOWN)}" is not a time: use a number of seconds from '
                f'{least:g} to {LONGEST_TIME:.0f}'
            )
        return value

    return read


def utf8(text: str) -> str:
    """Return a text that can be sent and tokenized."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError(
            f'"{printable(text, SHOWN)}" is not UTF-8: write it in UTF-8'
        ) from None
    return text
