"""Choose where the model runs, and its precision."""

from contextlib import suppress
import errno
import re

import torch

from ..core.errors import SettingError
from ..core.memory import collect_garbage
from .quantization import has_int8

# Messages of the errors that PyTorch raises when memory runs out. The first two are a Jetson's,
# where the allocator asks NVML, which is not there; libraries that cannot allocate say that they
# are not initialized, or that no engine suits them. The last ones are the system's.
OUT_OF_MEMORY = (
    'NVML_SUCCESS == ',
    'NvMapMem',
    'CUBLAS_STATUS_NOT_INITIALIZED',
    'CUBLAS_STATUS_ALLOC_FAILED',
    'CUDNN_STATUS_ALLOC_FAILED',
    'DEVICE_ALLOCATION_FAILED',
    'HOST_ALLOCATION_FAILED',
    'CUFFT_ALLOC_FAILED',
    'cudaErrorMemoryAllocation',
    'unable to find an engine to execute this computation',
    'out of memory',
    "can't allocate memory",
    'cannot allocate memory',
    'bad_alloc',
)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an exception of a library, or its cause, means that memory was full."""
    if error is None:
        return False
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    message = str(error).lower()
    if any(each.lower() in message for each in OUT_OF_MEMORY):
        return True
    return is_out_of_memory(error.__cause__ or error.__context__)


def free_memory(device: torch.device) -> None:
    """Free the memory that nothing holds any more, for other programs too if it is a GPU's."""
    collect_garbage()
    if device.type == 'cuda':
        # Behind some errors each call of CUDA fails; the first one is to be told.
        with suppress(RuntimeError):
            torch.cuda.empty_cache()


def choose_device(requested: str) -> torch.device:
    """Return the device for `model.device`: auto, cpu, cuda or cuda:N.

    Raises SettingError if PyTorch cannot use that device.
    """
    if requested == 'auto':
        return torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')
    if requested == 'cpu':
        return torch.device('cpu')
    named = re.fullmatch(r'cuda(?::(0|[1-9][0-9]*))?', requested)
    if named is None:
        raise SettingError(
            f'model.device is {requested!r}, but must be one of: auto, cpu, cuda, cuda:0'
        )
    if not torch.cuda.is_available():
        if torch.version.cuda is None:
            raise SettingError(
                f'model.device is {requested!r}, but torch {torch.__version__} is a build for the '
                'CPU: install the PyTorch build for this GPU, or set model.device to cpu'
            )
        raise SettingError(
            f'model.device is {requested!r}, but torch {torch.__version__} cannot use a GPU: run '
            'doctor, which says why (in a container: the nvidia runtime, and the groups of the '
            "GPU's devices), or set model.device to cpu"
        )
    count, number = torch.cuda.device_count(), int(named[1] or 0)
    if number >= count:
        raise SettingError(
            f'model.device is {requested!r}, but this machine has {count} GPUs: the last one is '
            f'cuda:{count - 1}'
        )
    return torch.device('cuda', number)


def choose_int8(requested: str, device: torch.device, engine: str = 'auto') -> bool:
    """Return whether linear layers run in int8: the default on a CPU, but for transformers.

    Raises SettingError for an engine without int8.
    """
    if engine == 'transformers':
        if requested == 'int8':
            raise SettingError(
                "model.dtype is 'int8', but model.engine is 'transformers', which has no int8: "
                'set model.engine to auto, or model.dtype to float32'
            )
        return False
    return requested == 'int8' or (requested == 'auto' and device.type == 'cpu' and has_int8())


def choose_dtype(requested: str, device: torch.device) -> torch.dtype:
    """Return the precision of everything that does not run in int8.

    Raises SettingError for int8 on a GPU, or where PyTorch has no int8 kernels.
    """
    if requested == 'int8':
        if device.type != 'cpu':
            raise SettingError(
                f"model.dtype is 'int8', but int8 is for a CPU and the model runs on {device}: "
                'use auto or float16'
            )
        if not has_int8():
            raise SettingError(
                f"model.dtype is 'int8', but torch {torch.__version__} has no int8 kernels here: "
                'use auto or float32'
            )
        return torch.float32
    if requested == 'auto':
        return torch.float16 if device.type == 'cuda' else torch.float32
    return getattr(torch, requested)
