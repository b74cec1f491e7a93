"""Complete a generation config that lacks what decoding needs, from the tokenizer.

Fine-tunes are often saved without generation_config.json, and the first Whispers on the hub had
one without languages and tasks. The tokenizer has the names of all special tokens.
"""

from typing import Any

from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from ..core.errors import ModelError
from .checkpoint_files import FETCH, GENERATION

MULTILINGUAL = 51_865  # the smallest vocabulary of a multilingual Whisper; English ones have 51864
ENGLISH_END = 50_256  # <|endoftext|> of an English Whisper; it is one more in all others
CURE = f'add the {GENERATION} of the model that it was trained from, or {FETCH}'
# By key of the config; an error without them.
NAMED = {
    'decoder_start_token_id': '<|startoftranscript|>',
    'eos_token_id': '<|endoftext|>',
    'no_timestamps_token_id': '<|notimestamps|>',
    'prev_sot_token_id': '<|startofprev|>',
}
TASKS = ('translate', 'transcribe')
# Tokens of nothing but these are written, never spoken. A single - or ' can belong to a word.
NOTES = '♩♪♫♬♭♮♯'
UNSPOKEN = frozenset('"#()*+/:;<=>@[\\]^_`{|}~「」『』' + NOTES)
IN_WORDS = frozenset("-'")
UNSPOKEN_STARTS = (' -', " '")


def complete_generation_config(
    generation: Any, given: dict[str, Any], tokenizer: Any, vocabulary: int, name: str
) -> None:
    """Add to a generation config the keys that its file does not have.

    `given` is the content of that file, or empty if there is none. `vocabulary` is the number of
    the model's tokens; `name` names the model in messages. Raises ModelError if the tokenizer
    does not have a token that is needed.
    """
    ids = {token: index for token, index in tokenizer.get_vocab().items() if index < vocabulary}
    for key, token in NAMED.items():
        if getattr(generation, key, None) is None:
            setattr(generation, key, _id(ids, token, key, vocabulary, name))
    end = ids.get(NAMED['eos_token_id'])
    if generation.pad_token_id is None:
        generation.pad_token_id = end
    if 'is_multilingual' not in given:
        # The vocabulary of an English model can grow past 51865 by added tokens.
        generation.is_multilingual = vocabulary >= MULTILINGUAL and end != ENGLISH_END
    if generation.is_multilingual and not given.get('lang_to_id'):
        generation.lang_to_id = _languages(ids, name)
    if generation.is_multilingual and not given.get('task_to_id'):
        generation.task_to_id = {
            task: _id(ids, f'<|{task}|>', 'task_to_id', vocabulary, name) for task in TASKS
        }
    if 'suppress_tokens' not in given:
        generation.suppress_tokens = _never_spoken(tokenizer, ids)
    if 'begin_suppress_tokens' not in given:
        generation.begin_suppress_tokens = sorted({ids.get('Ġ', end), end} - {None})
    # The former way to name language and task, with which newer transformers refuse ours.
    generation.forced_decoder_ids = None


def _id(ids: dict[str, int], token: str, key: str, vocabulary: int, name: str) -> int:
    """Return the id of a special token, for a key of the config; raise a ModelError."""
    if token not in ids:
        raise ModelError(
            f'{name}: {GENERATION} does not have {key}, and the tokenizer has no {token} below '
            f'{vocabulary}, the vocab_size in config.json: {CURE}'
        )
    return ids[token]


def _languages(ids: dict[str, int], name: str) -> dict[str, int]:
    names = {f'<|{code}|>' for code in TO_LANGUAGE_CODE.values()}
    languages = {token: index for token, index in ids.items() if token in names}
    if not languages:
        raise ModelError(
            f'{name}: {GENERATION} does not have lang_to_id, and the tokenizer has no languages, '
            f'as <|en|>: {CURE}'
        )
    return dict(sorted(languages.items(), key=lambda item: item[1]))


def _never_spoken(tokenizer: Any, ids: dict[str, int]) -> list[int]:
    """Return the ids of the tokens that are no speech: symbols, and all special ones but the end.

    Timestamps are not among them: decoding without timestamps has no use for them, as it is.
    """
    end = ids.get(NAMED['eos_token_id'], len(ids))
    # Notes are several tokens, of which the first one is enough.
    notes = [space + note for note in NOTES for space in ('', ' ')]
    unspoken = {tokenizer(note, add_special_tokens=False).input_ids[0] for note in notes}
    for token, index in ids.items():
        if token.startswith('<|') and token.endswith('|>'):
            if index != end and not token[2:3].isdigit() and token != '<|notimestamps|>':
                unspoken.add(index)
        elif index < end:
            text = tokenizer.convert_tokens_to_string([token])
            if _is_unspoken(text):
                unspoken.add(index)
    return sorted(unspoken)


def _is_unspoken(text: str) -> bool:
    written = text.strip()
    symbols = UNSPOKEN if len(written) == 1 else UNSPOKEN | IN_WORDS
    return text in UNSPOKEN_STARTS or (bool(written) and symbols.issuperset(written))
