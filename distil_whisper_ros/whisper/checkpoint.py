"""A model's name to a folder with complete and safe files, from the hub's cache or the hub."""

from collections.abc import Callable
import json
from pathlib import Path
import re

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
from tqdm.auto import tqdm

from ..core.errors import ModelError

# Neither pickled weights nor anybody's code: what is not here is never downloaded.
WANTED = ['*.json', '*.txt', 'model*.safetensors']
# Copies of the same weights, and training left-overs, that some repositories hold.
UNWANTED = ['*fp32*', 'onnx/*', '*/*']
NEEDED = ('config.json', 'preprocessor_config.json', 'tokenizer_config.json')

Progress = Callable[[str, float], None]
"""Told what is done, and how much of it, from 0 to 1."""


def find_model(name: str, revision: str, offline: bool, progress: Progress) -> Path:
    """Return a folder with the model's files; download them if needed and allowed.

    Raises ModelError, with a sentence that says what to do.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return check_folder(folder, f'the folder {name}')
    if name.startswith(('/', './', '../', '~')):
        raise ModelError(f'model.id is the folder {name!r}, which does not exist')
    if not re.fullmatch(r'[\w.-]+(/[\w.-]+)?', name):
        raise ModelError(
            f'model.id is {name!r}, but must be a name on the hub, as '
            '"distil-whisper/distil-medium.en", or a folder'
        )
    return check_folder(_download(name, revision, offline, progress), name)


def _download(name: str, revision: str, offline: bool, progress: Progress) -> Path:
    arguments = {
        'repo_id': name,
        'revision': revision or None,
        'allow_patterns': WANTED,
        'ignore_patterns': UNWANTED,
    }
    cached = f'model.id {name!r} is not in the cache on this machine'
    if offline:
        try:
            return Path(snapshot_download(**arguments, local_files_only=True))
        except (LocalEntryNotFoundError, OSError, ValueError) as error:
            pinned = f' at model.revision {revision!r}' if revision else ''
            raise ModelError(
                f'{cached}{pinned}, and model.offline is true: '
                'fetch it once with a network, or set model.offline to false'
            ) from error
    progress(f'downloading {name}', 0.0)
    try:
        path = snapshot_download(**arguments, tqdm_class=_reporter(name, progress))
        return Path(path)
    except GatedRepoError as error:
        raise ModelError(
            f'model.id {name!r} is gated: accept its terms on the hub, then set HF_TOKEN'
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f'model.revision {revision!r} does not exist for {name}') from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelError(
            f'model.id {name!r} is not on the hub: see the name on its page, as '
            '"distil-whisper/distil-medium.en"; a private model needs HF_TOKEN'
        ) from error
    except (LocalEntryNotFoundError, EntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelError(
            f'{cached}, and the hub cannot be reached: check the network, or name a '
            'folder that holds the model'
        ) from error
    except Exception as error:
        if type(error).__module__.split('.')[0] in ('httpx', 'httpx2', 'httpcore', 'requests'):
            raise ModelError(f'{cached}, and the hub cannot be reached: {error}') from error
        raise


def _reporter(name: str, progress: Progress) -> type:
    """Return a progress bar that reports instead of drawing."""

    class Reporter(tqdm):
        def __init__(self, *arguments, **options):
            self.bytes = options.get('unit') == 'B'
            options['disable'] = False
            options['file'] = _Nowhere()
            super().__init__(*arguments, **options)

        def update(self, n=1):
            result = super().update(n)
            if self.bytes and self.total:
                megabytes = f'{self.n / 1e6:.0f} of {self.total / 1e6:.0f} MB'
                progress(f'downloading {name}: {megabytes}', min(1.0, self.n / self.total))
            return result

    return Reporter


class _Nowhere:
    def write(self, _text):
        pass

    def flush(self):
        pass


def check_folder(folder: Path, name: str) -> Path:
    """Return the folder if it holds a complete Whisper; else raise a ModelError."""
    for needed in NEEDED:
        if not (folder / needed).is_file():
            raise ModelError(f'{name} has no {needed}: it is not a complete Whisper model')
    try:
        kind = json.loads((folder / 'config.json').read_text()).get('model_type')
    except (ValueError, OSError) as error:
        raise ModelError(f'{name}: config.json cannot be read; fetch the model again') from error
    if kind != 'whisper':
        raise ModelError(
            f'{name} is not a Whisper model but {kind!r}: choose one such as '
            '"distil-whisper/distil-medium.en" or "openai/whisper-base"'
        )
    weights = sorted(folder.glob('model*.safetensors'))
    if not weights:
        pickled = sorted(p.name for p in folder.glob('*.bin')) + sorted(
            p.name for p in folder.glob('*.pt')
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
    for path in weights:
        _check_complete(path, name)
    index = folder / 'model.safetensors.index.json'
    if index.is_file():
        parts = set(json.loads(index.read_text())['weight_map'].values())
        missing = sorted(part for part in parts if not (folder / part).is_file())
        if missing:
            raise ModelError(f'{name} lacks {missing[0]}: fetch the model again')
    return folder


def _check_complete(path: Path, name: str) -> None:
    """Raise a ModelError if a safetensors file is shorter than its header says."""
    size = path.stat().st_size
    wrong = f'{name}: {path.name} is damaged or was not downloaded whole'
    cure = f'delete {path.resolve()} and fetch the model again'
    with path.open('rb') as file:
        length = int.from_bytes(file.read(8), 'little')
        if size < 8 or length > size - 8:
            raise ModelError(f'{wrong}: {cure}')
        try:
            header = json.loads(file.read(length))
        except ValueError as error:
            raise ModelError(f'{wrong}: {cure}') from error
    header.pop('__metadata__', None)
    end = max((entry['data_offsets'][1] for entry in header.values()), default=0)
    if size != 8 + length + end:
        raise ModelError(
            f'{wrong} ({size / 1e6:.1f} MB instead of {(8 + length + end) / 1e6:.1f}): {cure}'
        )
