"""The prompt and the hotwords as one text that fits in the decoder."""

from collections.abc import Callable, Sequence


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
