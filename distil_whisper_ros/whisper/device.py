"""Choose where the model runs, and its precision."""

import torch

from ..core.errors import SettingError
from .quantization import has_int8

# Messages of the errors that PyTorch raises when memory runs out. The first three are a Jetson's,
# where the allocator asks NVML, which is not there; libraries that cannot allocate say that they
# are not initialized, or that no engine suits them.
OUT_OF_MEMORY = (
    'NVML_SUCCESS == r INTERNAL ASSERT FAILED',
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
)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an exception of PyTorch, or its cause, means that memory did not suffice."""
    if error is None:
        return False
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    message = str(error).lower()
    if isinstance(error, RuntimeError) and any(each.lower() in message for each in OUT_OF_MEMORY):
        return True
    return is_out_of_memory(error.__cause__ or error.__context__)


def choose_device(requested: str) -> torch.device:
    """Return the device for `model.device`: auto, cpu, cuda or cuda:N.

    Raises SettingError if PyTorch cannot use that device.
    """
    if requested == 'auto':
        return torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')
    allowed = f'model.device is {requested!r}, but must be one of: auto, cpu, cuda, cuda:0'
    try:
        device = torch.device(requested)
    except RuntimeError as error:
        raise SettingError(allowed) from error
    if device.type not in ('cpu', 'cuda'):
        raise SettingError(allowed)
    if device.type == 'cuda':
        if not torch.cuda.is_available():
            reason = (
                'this build is for the CPU' if torch.version.cuda is None else 'it finds no GPU'
            )
            raise SettingError(
                f'model.device is {requested!r}, but torch {torch.__version__} cannot use a GPU '
                f'({reason}): install the PyTorch build for this GPU, start the container with '
                'the nvidia runtime, or set model.device to cpu'
            )
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise SettingError(
                f'model.device is {requested!r}, but this machine has {count} GPUs: the last one '
                f'is cuda:{count - 1}'
            )
        return torch.device('cuda', device.index or 0)
    return device


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
