"""The prompt and the hotwords as one text that fits in the decoder."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ..core.settings import ModelSettings
from .special_tokens import check_prompt

TOLD = 16  # texts that are remembered as told


class Prompts:
    """The tokens of prompts with their hotwords."""

    def __init__(self, tokenizer: Any, positions: int, on_notice: Callable[[str], None]) -> None:
        """`positions` are those of the decoder, of which prompts take up to a half.

        `on_notice` is called with a sentence when a prompt is too long.
        """
        self._tokenizer = tokenizer
        self._limit = positions // 2 - 1
        self._on_notice = on_notice
        self._latest: tuple[tuple[str, ...], list[int]] = ((), [])  # texts, and their tokens
        # Several take turns: with the robot's names and without, the node's and those of goals.
        self._told: deque[tuple[str, ...]] = deque(maxlen=TOLD)

    def tokens(self, settings: ModelSettings) -> list[int]:
        """Return the tokens of the prompt and hotwords; say once if not all of them fit.

        Raises SettingError if the prompt contains special tokens.
        """
        key = (settings.prompt, *settings.hotwords)
        before, tokens = self._latest
        if key != before:
            text, notice = fit_prompt(
                settings.prompt, settings.hotwords, self._length, self._limit
            )
            tokens = self._tokens(text)
            self._latest = key, tokens
            if notice and key not in self._told:
                self._told.append(key)
                self._on_notice(notice)
        return tokens

    def _length(self, text: str) -> int:
        """Return the number of tokens of a prompt."""
        return len(self._tokenizer(f' {text.strip()}', add_special_tokens=False).input_ids)

    def _tokens(self, text: str) -> list[int]:
        """Return the tokens of a prompt: its end, at most the limit and the first token."""
        if not text:
            return []
        check_prompt('model.prompt', text)
        first, *rest = self._tokenizer.get_prompt_ids(text).tolist()
        return [first, *rest[-self._limit :]]


def fit_prompt(
    prompt: str, hotwords: Sequence[str], length: Callable[[str], int], limit: int
) -> tuple[str, str]:
    """Return the text of the prompt with the hotwords, and what was left out as a sentence, or ''.

    The last hotwords that fit are kept, and before them the end of the prompt from a whole word
    on. `length` returns a text's number of tokens, of which at most `limit` fit.
    """
    whole = _joined(prompt, hotwords)
    if not whole or length(whole) <= limit:
        return whole, ''
    words = _fewest(len(hotwords), lambda skip: length(_joined('', hotwords[skip:])) <= limit)
    kept = hotwords[words:]
    letters = _fewest(len(prompt), lambda skip: length(_joined(prompt[skip:], kept)) <= limit)
    end = prompt[letters:]
    if letters and not prompt[letters - 1].isspace():  # a part of a word, unless it is all
        end = end.partition(' ')[2] or ('' if ' ' in prompt else end)
    left_out = []
    if words:
        left_out.append(f'{words} of {len(hotwords)} model.hotwords, the first ones')
    if len(end) < len(prompt):
        left_out.append(
            f'the first {len(prompt) - len(end)} of {len(prompt)} letters of model.prompt'
        )
    notice = f'the decoder takes a prompt of {limit} tokens: left out are ' + ' and '.join(
        left_out
    )
    return _joined(end.strip(), kept), notice


def _joined(prompt: str, hotwords: Sequence[str]) -> str:
    """Return the prompt with the hotwords."""
    names = f'Names: {", ".join(hotwords)}.' if hotwords else ''
    return ' '.join(filter(None, (prompt, names)))


def _fewest(most: int, fits: Callable[[int], bool]) -> int:
    """Return the fewest, up to `most`, that must be left out so that the rest fits."""
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        if fits(middle):
            high = middle
        else:
            low = middle + 1
    return low
