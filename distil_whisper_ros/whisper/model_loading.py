"""Load the parts of a Whisper from its folder; what cannot be used is told in one sentence."""

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoFeatureExtractor, AutoModelForSpeechSeq2Seq, WhisperFeatureExtractor

from ..core.errors import ModelError
from ..core.memory import drop_file_pages
from .checkpoint_files import (
    feature_extractor_values,
    FETCH,
    PREPROCESSOR,
    PROCESSOR,
    weight_files,
)
from .device import free_memory, is_out_of_memory
from .special_tokens import SpecialTokens

CHECKED_AT_ONCE = 64 << 20  # bytes of weights in memory while they are checked, for int8
# Tied to the embedding: a checkpoint holds only one of them.
TIED = {'proj_out.weight', 'model.decoder.embed_tokens.weight'}

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else 'no message'


def load_feature_extractor(folder: Path, name: str) -> Any:
    """Load the feature extractor from either of the files that describe it."""
    file, values = feature_extractor_values(folder, name)
    if file == PREPROCESSOR:
        return load_part(file, AutoFeatureExtractor, folder, name)
    return WhisperFeatureExtractor.from_dict(values)  # transformers before 5 cannot read the file


def load_part(file: str, kind: Any, folder: Path, name: str) -> Any:
    """Load a tokenizer or feature extractor; raise a ModelError that names its file."""
    try:
        return kind.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the libraries raise their own, and bare Exception
        raise ModelError(
            f'{name}: {file} cannot be used ({type(error).__name__}: {first_line(error)}); {FETCH}'
        ) from error


def load_weights(
    folder: Path,
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    attention: str = 'auto',
    int8: bool = False,
) -> Any:
    """Load the weights of a checkpoint as a WhisperForConditionalGeneration.

    `attention` is `model.attention`, for what transformers computes. With `int8` the weights are
    packed next, one by one, so they need not stay in memory.
    Raises ModelError if weights are missing, have another shape, or are not finite.
    """
    # transformers 4.56 renamed the argument.
    version = tuple(int(part) for part in transformers.__version__.split('.')[:2])
    precision = {'dtype' if version >= (4, 56) else 'torch_dtype': dtype}
    files = ', '.join(path.name for path in weight_files(folder))
    options = {
        'local_files_only': True,
        'use_safetensors': True,
        'low_cpu_mem_usage': True,
        'output_loading_info': True,
        'attn_implementation': 'eager' if attention == 'math' else 'sdpa',
        **precision,
    }
    try:
        model, info = _from_pretrained(folder, device, options)
    except (RuntimeError, ValueError) as error:  # which one depends on the version
        told = str(error)
        if not ('size' in told or 'set a tensor of shape' in told) or is_out_of_memory(error):
            raise
        raise ModelError(
            f'{name}: config.json and {files} do not belong together: the weights have other '
            f'shapes; {FETCH}'
        ) from error
    # transformers 4.46 leaves missing weights without values, and does not tell their names.
    empty = {key for key, weight in model.named_parameters() if weight.is_meta}
    missing = sorted({*info['missing_keys'], *empty} - (TIED if _is_tied(model) else set()))
    if missing:
        raise ModelError(f'{name}: {files} lacks the weight {missing[0]}: {FETCH}')
    model = model.to(device).eval()
    checked = 0
    with torch.inference_mode():
        for key, weight in model.named_parameters():
            checked += weight.nbytes
            if int8 and checked > CHECKED_AT_ONCE:
                drop_file_pages(folder)
                checked = 0
            least, most = weight.aminmax()  # both are NaN if a value is; isfinite makes copies
            if not (bool(torch.isfinite(least)) and bool(torch.isfinite(most))):
                cure = FETCH if dtype == torch.float32 else f'{FETCH}, or try model.dtype float32'
                raise ModelError(f'{name}: {key} has values that are not finite: {cure}')
    if int8:
        drop_file_pages(folder)
    return model


def check_consistent(
    name: str, model: Any, special: SpecialTokens, extractor: Any, tokenizer: Any
) -> None:
    """Raise a ModelError if the files belong to different models."""
    config, generation = model.config, model.generation_config
    size = config.vocab_size
    tokens = {
        'decoder_start_token_id': [special.start],
        'no_timestamps_token_id': [special.no_timestamps],
        'eos_token_id': [special.end],
        'suppress_tokens': generation.suppress_tokens,
        'begin_suppress_tokens': generation.begin_suppress_tokens,
        'lang_to_id': special.languages.values(),
        'task_to_id': special.tasks.values(),
    }
    for key, ids in tokens.items():
        if any(token >= size for token in ids or ()):
            raise ModelError(
                f'{name}: generation_config.json cannot be used: {key} names a token that the '
                f'model does not have; {FETCH}'
            )
    if extractor.feature_size != config.num_mel_bins:
        raise ModelError(
            f'{name}: the features do not fit the model: {PREPROCESSOR} (or {PROCESSOR}) has '
            f'feature_size {extractor.feature_size}, but config.json has '
            f'num_mel_bins {config.num_mel_bins}; {FETCH}'
        )
    named = {
        '<|startoftranscript|>': special.start,
        '<|endoftext|>': special.end,
        '<|notimestamps|>': special.no_timestamps,
    }
    for text, token in named.items():
        if tokenizer.convert_tokens_to_ids(text) != token:
            raise ModelError(
                f'{name}: the tokenizer is not that of the model: token {token} is not '
                f'{text} in tokenizer.json; {FETCH}'
            )


def _from_pretrained(folder: Path, device: torch.device, options: dict[str, Any]) -> Any:
    """Load a model and the information of loading; onto a GPU without a copy in between.

    CPU and GPU of a Jetson share their memory, where a copy is twice the weights.
    """
    if device.type == 'cuda':
        try:
            return AutoModelForSpeechSeq2Seq.from_pretrained(
                folder, device_map={'': device}, **options
            )
        except Exception as error:
            if is_out_of_memory(error):
                raise  # the other way needs more
            # transformers 5 hides other reasons: the other way tells them.
        free_memory(device)
    return AutoModelForSpeechSeq2Seq.from_pretrained(folder, **options)


def _is_tied(model: Any) -> bool:
    return model.proj_out.weight is model.get_decoder().embed_tokens.weight
