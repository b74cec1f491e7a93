"""Check that a model's folder holds a complete Whisper, and read its configuration files.

They are read as JSON here, so that a damaged one is named. Whether the weights are those of the
model is checked when they are loaded: see `model_loading.py`.
"""

from collections.abc import Callable, Sequence
import json
from pathlib import Path
from typing import Any

from safetensors import safe_open, SafetensorError

from ..core.errors import ModelError

NEEDED = ('config.json', 'tokenizer_config.json')
PREPROCESSOR = 'preprocessor_config.json'
# transformers 5 writes this one instead, in which the same values are one section.
PROCESSOR, SECTION = 'processor_config.json', 'feature_extractor'
# A tokenizer is one file, or these.
TOKENIZER = 'tokenizer.json'
TOKENIZER_PARTS = ('vocab.json', 'merges.txt')
INDEX = 'model.safetensors.index.json'
# Without it, or with an old one, the tokenizer tells what is needed: see generation_config.py.
GENERATION = 'generation_config.json'
FETCH = 'fetch the model again'
# What transformers may read, besides the weights; those of real models have 5 MB at most.
TEXTS = '*.json', '*.txt', '*.jinja', '*.model'
LARGEST_TEXT = 50_000_000  # bytes
WEIGHTS = 'model*.safetensors'


def check_folder(folder: Path, name: str) -> Path:
    """Return the folder if it holds a complete Whisper.

    `name` names the model in messages. Raises ModelError that names the first file that is
    missing or damaged.
    """
    try:
        _check_sizes(folder, name)
        _check_files(folder, name)
        _check_weights(folder, name)
    except OSError as error:
        raise ModelError(f'{name} cannot be read: {error}') from error
    return folder


def _check_sizes(folder: Path, name: str) -> None:
    """Raise a ModelError for a file that is never read to its end: a pipe, a device, a giant."""
    for pattern in (*TEXTS, WEIGHTS):
        for path in sorted(folder.glob(pattern)):
            if not path.is_file():
                raise ModelError(
                    f'{name}: {short(path.name)} cannot be read: it is not a regular file; {FETCH}'
                )
            size = path.stat().st_size
            if pattern in TEXTS and size > LARGEST_TEXT:
                raise ModelError(
                    f'{name}: {short(path.name)} cannot be read: it has {size} bytes, but may '
                    f'have {LARGEST_TEXT} at most; {FETCH}'
                )


def _check_files(folder: Path, name: str) -> None:
    for needed in NEEDED:
        if not (folder / needed).is_file():
            raise ModelError(f'{name} has no {needed}: it is not a complete Whisper model')
    if not any((folder / each).is_file() for each in (PREPROCESSOR, PROCESSOR)):
        raise ModelError(f'{name} has no {PREPROCESSOR}: it is not a complete Whisper model')
    if not (folder / TOKENIZER).is_file():
        missing = [part for part in TOKENIZER_PARTS if not (folder / part).is_file()]
        if missing:
            raise ModelError(
                f'{name} has no {TOKENIZER} (and no {missing[0]}): it is not a complete Whisper '
                f'model; {FETCH}'
            )
    for path in sorted(folder.glob('*.json')):
        read_json(path, name)
    kind = read_json(folder / 'config.json', name).get('model_type')
    if kind != 'whisper':
        raise ModelError(
            f'{name} is not a Whisper model but {kind!r}: choose one such as '
            '"distil-whisper/distil-medium.en" or "openai/whisper-base"'
        )
    _check_values(folder, name)


def _check_values(folder: Path, name: str) -> None:
    file, extractor = feature_extractor_values(folder, name)
    checked = {
        'config.json': (read_json(folder / 'config.json', name), CONFIG_CHECKS),
        GENERATION: generation_checks(folder, name),
        file: (extractor, PREPROCESSOR_CHECKS),
    }
    for file, (values, checks) in checked.items():
        for key, (wanted, is_right) in checks.items():
            if not is_right(values.get(key)):
                raise ModelError(
                    f'{name}: {file} cannot be used: {key} is {short(repr(values.get(key)))}, '
                    f'but must be {wanted}; {FETCH}'
                )


def feature_extractor_values(folder: Path, name: str) -> tuple[str, dict[str, Any]]:
    """Return the file that describes the features, and the values in it; raise a ModelError."""
    if (folder / PREPROCESSOR).is_file():
        return PREPROCESSOR, read_json(folder / PREPROCESSOR, name)
    values = read_json(folder / PROCESSOR, name).get(SECTION)
    if not isinstance(values, dict):
        raise ModelError(
            f'{name} has no {PREPROCESSOR}, and {PROCESSOR} has no {SECTION}: it is not a '
            'complete Whisper model'
        )
    return PROCESSOR, values


def generation_values(folder: Path, name: str) -> dict[str, Any]:
    """Return the values in generation_config.json; empty without that file."""
    path = folder / GENERATION
    return read_json(path, name) if path.is_file() else {}


def generation_checks(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, 'Check']]:
    """Return the values in generation_config.json, and the checks of those that it has."""
    values = generation_values(folder, name)
    return values, {key: check for key, check in GENERATION_CHECKS.items() if key in values}


def read_json(path: Path, name: str) -> dict[str, Any]:
    """Return the object in a JSON file; raise a ModelError that names the model and the file."""
    wrong = f'{name}: {path.name} cannot be read'
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise ModelError(f'{wrong}: it is not valid JSON; {FETCH}') from error
    if not isinstance(content, dict):
        raise ModelError(f'{wrong}: it holds no JSON object; {FETCH}')
    return content


def _is_token(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_end(value: object) -> bool:
    return _is_token(value) or (isinstance(value, list) and bool(value) and _are_tokens(value))


def _are_tokens(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(_is_token(item) for item in value))


def _are_pairs(value: object) -> bool:
    return value is None or (
        isinstance(value, list)
        and all(isinstance(item, list) and len(item) == 2 and _are_tokens(item) for item in value)
    )


def _is_token_table(value: object) -> bool:
    return value is None or (
        isinstance(value, dict) and all(_is_token(item) for item in value.values())
    )


Check = tuple[str, Callable[[object], bool]]
TOKEN: Check = ('the number of a token', _is_token)
TOKENS: Check = ('a list of the numbers of tokens', _are_tokens)
TOKEN_TABLE: Check = ('names with the numbers of tokens', _is_token_table)


def _count(most: int) -> Check:
    def is_count(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most

    return f'a whole number from 1 to {most}', is_count


# The limits are several times those of the largest Whisper: without them, a wrong number takes all
# memory or never ends.
CONFIG_CHECKS: dict[str, Check] = {
    'vocab_size': _count(1_000_000),
    'd_model': _count(8192),
    'num_mel_bins': _count(1024),
    'encoder_layers': _count(128),
    'decoder_layers': _count(128),
    'encoder_attention_heads': _count(256),
    'decoder_attention_heads': _count(256),
    'encoder_ffn_dim': _count(32_768),
    'decoder_ffn_dim': _count(32_768),
    'max_source_positions': _count(15_000),
    'max_target_positions': _count(16_384),
}
GENERATION_CHECKS: dict[str, Check] = {
    'decoder_start_token_id': TOKEN,
    'no_timestamps_token_id': TOKEN,
    'prev_sot_token_id': TOKEN,
    'eos_token_id': ('the number of a token', _is_end),
    'is_multilingual': ('true or false', lambda value: isinstance(value, bool)),
    'suppress_tokens': TOKENS,
    'begin_suppress_tokens': TOKENS,
    'lang_to_id': TOKEN_TABLE,
    'task_to_id': TOKEN_TABLE,
    'alignment_heads': ('a list of pairs of layer and head', _are_pairs),
}
PREPROCESSOR_CHECKS: dict[str, Check] = {
    'feature_size': _count(1024),
    'hop_length': _count(16_000),
    'n_fft': _count(16_000),
    'sampling_rate': ('16000', lambda value: value in (None, 16_000)),
}


def weight_files(folder: Path) -> Sequence[Path]:
    """Return the files with the weights, in order."""
    return sorted(folder.glob(WEIGHTS))


def _check_weights(folder: Path, name: str) -> None:
    index = folder / INDEX
    parts: list[str] = []
    if index.is_file():
        weight_map = read_json(index, name).get('weight_map')
        if not isinstance(weight_map, dict) or not all(
            isinstance(part, str) and Path(part).name == part for part in weight_map.values()
        ):
            raise ModelError(
                f'{name}: {INDEX} cannot be read: weight_map must name a file of this folder for '
                f'each weight; {FETCH}'
            )
        parts = sorted(set(weight_map.values()))
    files = weight_files(folder)
    if not files:
        pickled = sorted(path.name for path in folder.glob('*.bin')) + sorted(
            path.name for path in folder.glob('*.pt')
        )
        found = (
            f'; {pickled[0]} is a pickle, which may run code and is never loaded'
            if pickled
            else ''
        )
        raise ModelError(
            f'{name} has no weights as safetensors{found}: choose a revision that has '
            'model.safetensors, or convert it'
        )
    for path in files:
        try:
            with safe_open(path, 'numpy') as file:
                file.keys()
        except SafetensorError as error:
            raise ModelError(
                f'{name}: {path.name} is damaged or was not downloaded whole '
                f'({path.stat().st_size / 1e6:.1f} MB): delete {path.resolve()} and {FETCH}'
            ) from error
    missing = [part for part in parts if not (folder / part).is_file()]
    if missing:
        raise ModelError(f'{name} lacks {missing[0]}: {FETCH}')


def short(name: str) -> str:
    """Return a name for a message: in quotes, and cut where it is long."""
    return repr(name if len(name) < 200 else name[:100] + '...')
