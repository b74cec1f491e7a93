"""Find a model's folder in the hub's cache or on the hub, and check that its files are complete.

The file of Smart Turn, for turn detection, is found in the same way.

The configuration files are read here as JSON, so that a damaged one is named. Whether the weights
are those of the model is checked when it is loaded: see `model.py`.
"""

from collections.abc import Callable, Sequence
import json
from pathlib import Path
import re
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id
from safetensors import safe_open, SafetensorError
from tqdm.auto import tqdm

from ..core.errors import HubUnreachableError, ModelError

# Neither pickled weights nor code: other files are never downloaded.
WANTED = ['*.json', '*.txt', 'model*.safetensors']
# Copies of the same weights, and files left over from training, that some repositories hold.
UNWANTED = ['*fp32*', 'onnx/*', '*/*']
NEEDED = ('config.json', 'tokenizer_config.json')
PREPROCESSOR = 'preprocessor_config.json'
# transformers 5 writes this one instead, in which the same values are one section.
PROCESSOR, SECTION = 'processor_config.json', 'feature_extractor'
# A tokenizer is one file, or these.
TOKENIZER = 'tokenizer.json'
TOKENIZER_PARTS = ('vocab.json', 'merges.txt')
INDEX = 'model.safetensors.index.json'
TURN_MODEL = 'smart-turn-v3.2-cpu.onnx'
# Without it, or with an old one, the tokenizer tells what is needed: see generation_config.py.
GENERATION = 'generation_config.json'
FETCH = 'fetch the model again'

Progress = Callable[[str, float], None]
"""Called with the present step, as text, and its finished part, from 0 to 1."""


def find_model(
    name: str,
    revision: str,
    offline: bool,
    progress: Progress,
    parameter: str = 'model.id',
    newest: bool = False,
) -> Path:
    """Return a folder with the model's files; download them if needed and allowed.

    `name` is a folder or a name on the hub, `revision` a commit, tag or branch there, or empty.
    A complete model in the cache is used without a connection to the hub, unless `newest` asks
    for the newest of its files. `parameter` is the parameter that holds the name, for messages.
    Raises ModelError.
    """
    try:
        folder = Path(name).expanduser()
        is_folder, is_file = bool(name) and folder.is_dir(), folder.is_file()
    except RuntimeError as error:  # from expanduser
        raise ModelError(f'{parameter} is {name!r}, but there is no user of that name') from error
    except (OSError, ValueError):  # too long for a path, or with a null character
        is_folder = is_file = False
    if is_folder:
        return check_folder(Path(name).expanduser(), f'the folder {name}')
    if is_file:
        raise ModelError(f'{parameter} is {name!r}, which is a file: name its folder')
    if name.startswith(('/', './', '../', '~')):
        raise ModelError(f'{parameter} is the folder {_short(name)}, which does not exist')
    _check_hub_name(name, parameter, '"distil-whisper/distil-medium.en", or a folder')
    if not (offline or newest):
        try:
            return check_folder(_download(name, revision, True, progress, parameter), name)
        except ModelError:  # it is not in the cache, or only a part of it is
            pass
    return check_folder(_download(name, revision, offline, progress, parameter), name)


def is_here(name: str, revision: str) -> bool:
    """Return whether a model is a folder, or complete in the cache: the hub is not needed."""
    try:
        find_model(name, revision, True, lambda step, share: None)
    except ModelError:
        return False
    return True


def find_turn_model(name: str, offline: bool, progress: Progress) -> Path:
    """Return the file of Smart Turn; download it if needed and allowed.

    `name` is the file, its folder, or a name on the hub. Raises ModelError.
    """
    try:
        path = Path(name).expanduser()
        if path.is_dir():
            path /= TURN_MODEL
        found = path.is_file()
    except (OSError, RuntimeError, ValueError):  # too long, no such user, or a null character
        path, found = Path(), False
    if found:
        return path
    if name.startswith(('/', './', '../', '~')):
        raise ModelError(f'utterance.turn_model is {_short(name)}, where there is no {TURN_MODEL}')
    parameter = 'utterance.turn_model'
    _check_hub_name(name, parameter, '"pipecat-ai/smart-turn-v3", a folder, or an ONNX file')
    wanted = {'repo_id': name, 'allow_patterns': [TURN_MODEL]}
    try:
        path = Path(snapshot_download(**wanted, local_files_only=True)) / TURN_MODEL
        if path.is_file():
            return path
    except (LocalEntryNotFoundError, OSError, ValueError):
        pass
    if offline:
        raise HubUnreachableError(
            f'{name} is not in the cache on this machine: fetch it once with a network '
            '(ros2 run distil_whisper_ros fetch_model), or set utterance.turn_detection to silence'
        )
    path = _download(name, '', False, progress, parameter, [TURN_MODEL]) / TURN_MODEL
    if not path.is_file():
        raise ModelError(f'{name} has no {TURN_MODEL}: set utterance.turn_model to one that has')
    return path


def _check_hub_name(name: str, parameter: str, right: str) -> None:
    if not _is_hub_name(name):
        raise ModelError(
            f'{parameter} is {_short(name)}, but must be a name on the hub, as {right}'
        )


def _short(name: str) -> str:
    return repr(name if len(name) < 200 else name[:100] + '...')


def _is_hub_name(name: str) -> bool:
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return bool(re.fullmatch(r'[\w.-]+(/[\w.-]+)?', name, re.ASCII))


def _download(
    name: str,
    revision: str,
    offline: bool,
    progress: Progress,
    parameter: str,
    wanted: Sequence[str] = WANTED,
) -> Path:
    arguments = {
        'repo_id': name,
        'revision': revision or None,
        'allow_patterns': wanted,
        'ignore_patterns': UNWANTED,
    }
    cached = f'{parameter} {name!r} is not in the cache on this machine'
    if offline:
        try:
            return Path(snapshot_download(**arguments, local_files_only=True))
        except (LocalEntryNotFoundError, OSError, ValueError) as error:
            pinned = f' at model.revision {revision!r}' if revision else ''
            raise HubUnreachableError(
                f'{cached}{pinned}, and model.offline is true: '
                'fetch it once with a network, or set model.offline to false'
            ) from error
    progress(f'downloading {name}', 0.0)
    try:
        path = snapshot_download(**arguments, tqdm_class=_reporter(name, progress))
        return Path(path)
    except GatedRepoError as error:
        raise ModelError(
            f'{parameter} {name!r} is gated: accept its terms on the hub, then set HF_TOKEN'
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f'model.revision {revision!r} does not exist for {name}') from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelError(
            f'{parameter} {name!r} is not on the hub: see the name on its page, as '
            '"distil-whisper/distil-medium.en"; a private model needs HF_TOKEN'
        ) from error
    except (LocalEntryNotFoundError, EntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise HubUnreachableError(
            f'{cached}, and the hub cannot be reached: check the network, or name a '
            'folder that holds the model'
        ) from error
    except Exception as error:
        if type(error).__module__.split('.')[0] in ('httpx', 'httpx2', 'httpcore', 'requests'):
            raise HubUnreachableError(
                f'{cached}, and the hub cannot be reached: {error}'
            ) from error
        raise


def _reporter(name: str, progress: Progress) -> type:
    """Return a class of progress bars that call `progress` instead of drawing."""

    class Reporter(tqdm):
        def __init__(self, *arguments, **options):
            self.bytes = options.get('unit') == 'B'
            options['disable'] = False
            options['file'] = _Discard()
            super().__init__(*arguments, **options)

        def update(self, n=1):
            result = super().update(n)
            if self.bytes and self.total:
                megabytes = f'{self.n / 1e6:.0f} of {self.total / 1e6:.0f} MB'
                progress(f'downloading {name}: {megabytes}', min(1.0, self.n / self.total))
            return result

    return Reporter


class _Discard:
    """A file that discards all text."""

    def write(self, _text):
        pass

    def flush(self):
        pass


def check_folder(folder: Path, name: str) -> Path:
    """Return the folder if it holds a complete Whisper.

    `name` names the model in messages. Raises ModelError that names the first file that is
    missing or damaged.
    """
    try:
        _check_files(folder, name)
        _check_weights(folder, name)
    except OSError as error:
        raise ModelError(f'{name} cannot be read: {error}') from error
    return folder


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
                    f'{name}: {file} cannot be used: {key} is {_short(repr(values.get(key)))}, '
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


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


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
COUNT: Check = ('a whole number above 0', _is_count)
TOKEN: Check = ('the number of a token', _is_token)
TOKENS: Check = ('a list of the numbers of tokens', _are_tokens)
TOKEN_TABLE: Check = ('names with the numbers of tokens', _is_token_table)
CONFIG_COUNTS = (
    'vocab_size',
    'd_model',
    'num_mel_bins',
    'encoder_layers',
    'decoder_layers',
    'encoder_attention_heads',
    'decoder_attention_heads',
    'encoder_ffn_dim',
    'decoder_ffn_dim',
    'max_source_positions',
    'max_target_positions',
)
CONFIG_CHECKS: dict[str, Check] = dict.fromkeys(CONFIG_COUNTS, COUNT)
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
    'feature_size': COUNT,
    'hop_length': COUNT,
    'n_fft': COUNT,
    'sampling_rate': ('16000', lambda value: value in (None, 16_000)),
}


def weight_files(folder: Path) -> Sequence[Path]:
    """Return the files with the weights, in order."""
    return sorted(folder.glob('model*.safetensors'))


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
