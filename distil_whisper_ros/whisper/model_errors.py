"""What goes wrong in the libraries of a model, told in one sentence."""

from collections.abc import Callable
from typing import TypeVar

import torch

from ..core.errors import ModelError, SpeechError
from ..core.scheduler import JobAborted
from .device import free_memory, is_out_of_memory
from .model_loading import first_line

Result = TypeVar('Result')


def translate_errors(run: Callable[[], Result], name: str, device: torch.device) -> Result:
    """Run, and raise exceptions of the libraries as ModelErrors, which tell the model's name."""
    try:
        return run()
    except (SpeechError, JobAborted):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            failure = ModelError(
                f'{name} does not fit in the memory of {device}: end other programs, set '
                'model.dtype to float16, or choose a smaller model, as '
                '"distil-whisper/distil-small.en"'
            )
        else:
            failure = ModelError(f'{name} failed ({type(error).__name__}): {first_line(error)}')
            failure.__cause__ = error
    # Here the exception is gone, and with it the frames that held the tensors of the call.
    free_memory(device)
    raise failure
