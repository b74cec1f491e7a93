"""Where the model runs, and in which precision."""

import torch

from ..core.errors import SettingError
from .quantization import has_int8


def choose_device(wanted: str) -> torch.device:
    """Return the device for `model.device`; raise a SettingError if torch has no such one."""
    if wanted == 'auto':
        return torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise SettingError(
            f'model.device is {wanted!r}, but must be one of: auto, cpu, cuda, cuda:0'
        ) from error
    if device.type == 'cuda':
        built = torch.version.cuda
        if not torch.cuda.is_available():
            why = 'this torch is a build for the CPU' if built is None else 'it finds no GPU'
            raise SettingError(
                f'model.device is {wanted!r}, but torch {torch.__version__} cannot use one '
                f'({why}): install a torch for this GPU, start the container with the nvidia '
                'runtime, or set model.device to cpu'
            )
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise SettingError(f'model.device is {wanted!r}, but there are {count} GPUs')
    return device


def choose_int8(wanted: str, device: torch.device) -> bool:
    """Return whether products are in int8: on a CPU, if nothing else is wanted."""
    return wanted == 'int8' or (wanted == 'auto' and device.type == 'cpu' and has_int8())


def choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """Return the precision of all but the products in int8, which are for a CPU."""
    if wanted == 'int8':
        if device.type != 'cpu':
            raise SettingError(
                f"model.dtype is 'int8', but that is for a CPU and the model runs on {device}: "
                'use auto or float16'
            )
        return torch.float32
    if wanted == 'auto':
        return torch.float16 if device.type == 'cuda' else torch.float32
    return getattr(torch, wanted)
