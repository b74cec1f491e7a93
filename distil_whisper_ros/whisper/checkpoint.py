"""Find a model's folder: the one that is named, or in the hub's cache, or on the hub.

The file of Smart Turn, for turn detection, is found in the same way.
"""

from collections.abc import Callable, Sequence
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
from huggingface_hub.utils import validate_repo_id
from tqdm.auto import tqdm

from ..core.errors import HubUnreachableError, ModelError
from .checkpoint_files import check_folder, short

# Neither pickled weights nor code: other files are never downloaded.
WANTED = ['*.json', '*.txt', 'model*.safetensors']
# Copies of the same weights, and files left over from training, that some repositories hold.
UNWANTED = ['*fp32*', 'onnx/*', '*/*']
TURN_MODEL = 'smart-turn-v3.2-cpu.onnx'

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
        raise ModelError(f'{parameter} is the folder {short(name)}, which does not exist')
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
    if name.startswith(('/', './', '../', '~')) or name.endswith('.onnx'):
        raise ModelError(f'utterance.turn_model is {short(name)}, where there is no {TURN_MODEL}')
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
            f'{parameter} is {short(name)}, but must be a name on the hub, as {right}'
        )


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
