"""whisper.cpp on the weights of a model folder, as a peer for the benchmarks.

Needs pywhispercpp: `tools/with_ros pip install pywhispercpp==1.5.1`. The format, "ggml", is what
whisper.cpp's `whisper_model_load` reads: a header, mel filters, tokens, then the tensors by the
names that OpenAI gave them; matrices in float16, as in the files that its users download.
"""

from collections.abc import Iterator
import json
from pathlib import Path
import re
import struct
from typing import Any, BinaryIO

import numpy as np

MAGIC = 0x67676D6C
FLOAT32, FLOAT16 = 0, 1
# In this order: a name may contain one that comes later.
NAMES = {
    r'^model\.': '',
    r'\.layers\.': '.blocks.',
    r'encoder_attn_layer_norm': 'cross_attn_ln',
    r'self_attn_layer_norm': 'attn_ln',
    r'final_layer_norm': 'mlp_ln',
    r'^encoder\.layer_norm': 'encoder.ln_post',
    r'^decoder\.layer_norm': 'decoder.ln',
    r'encoder_attn': 'cross_attn',
    r'self_attn': 'attn',
    r'q_proj': 'query',
    r'k_proj': 'key',
    r'v_proj': 'value',
    r'out_proj': 'out',
    r'fc1': 'mlp.0',
    r'fc2': 'mlp.2',
    r'embed_tokens': 'token_embedding',
    r'embed_positions\.weight': 'positional_embedding',
}
IN_FLOAT32 = re.compile(r'positional_embedding|conv\d\.bias')


def write_ggml(folder: Path, path: Path) -> None:
    """Write the model in `folder`, as transformers saves one, in whisper.cpp's format."""
    from safetensors.numpy import load_file
    from transformers import WhisperFeatureExtractor

    config = json.loads((folder / 'config.json').read_text())
    filters = np.asarray(WhisperFeatureExtractor.from_pretrained(folder).mel_filters, np.float32).T
    with path.open('wb') as file:
        write_numbers(
            file,
            MAGIC,
            config['vocab_size'],
            config['max_source_positions'],
            config['d_model'],
            config['encoder_attention_heads'],
            config['encoder_layers'],
            config['max_target_positions'],
            config['d_model'],
            config['decoder_attention_heads'],
            config['decoder_layers'],
            config['num_mel_bins'],
            FLOAT16,
        )
        write_numbers(file, *filters.shape)
        file.write(np.ascontiguousarray(filters).tobytes())
        tokens = [*token_bytes(folder)]
        write_numbers(file, len(tokens))
        for token in tokens:
            write_numbers(file, len(token))
            file.write(token)
        for name, tensor in load_file(folder / 'model.safetensors').items():
            if name != 'proj_out.weight':  # it is the embedding
                write_tensor(file, openai_name(name), tensor)


def write_numbers(file: BinaryIO, *numbers: int) -> None:
    file.write(struct.pack(f'<{len(numbers)}i', *numbers))


def openai_name(name: str) -> str:
    """Return OpenAI's name of a tensor that transformers calls `name`."""
    for pattern, replacement in NAMES.items():
        name = re.sub(pattern, replacement, name)
    return name


def write_tensor(file: BinaryIO, name: str, tensor: np.ndarray) -> None:
    if re.search(r'conv\d\.bias', name):
        tensor = tensor.reshape(-1, 1)  # it is added to each position
    small = tensor.ndim < 2 or IN_FLOAT32.search(name)
    kind, dtype = (FLOAT32, np.float32) if small else (FLOAT16, np.float16)
    write_numbers(file, tensor.ndim, len(name), kind, *tensor.shape[::-1])
    file.write(name.encode())
    file.write(np.ascontiguousarray(tensor.astype(dtype)).tobytes())


def token_bytes(folder: Path) -> Iterator[bytes]:
    """Yield the bytes of each token of text, in the order of their ids."""
    vocabulary = json.loads((folder / 'vocab.json').read_text())
    # GPT-2 writes each byte as a character that can be printed; the others follow from 256 on.
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    values = {chr(byte): byte for byte in printable}
    values |= {chr(0x100 + index): byte for index, byte in enumerate(others)}
    for token, _ in sorted(vocabulary.items(), key=lambda each: each[1]):
        if not re.fullmatch(r'<\|.*\|>', token):
            yield bytes(values[character] for character in token)


def whisper_cpp(model: str, folder: Path, beam_width: int = 1, margin: float | None = None) -> Any:
    """Return a function from samples to text; a `margin` in seconds shortens the audio context.

    The model's file is written to `folder`, unless it is there.
    """
    from pywhispercpp.model import Model

    path = folder / f'{Path(model).name}.ggml.bin'
    if not path.exists():
        write_ggml(Path(model), path)
    options: dict[str, Any] = {
        'n_threads': 2,
        'language': 'en',
        'no_context': True,
        'print_progress': False,
        'print_realtime': False,
        'redirect_whispercpp_logs_to': None,
    }
    if beam_width > 1:  # the strategy 1 is a beam search, and -1 is its own default
        options |= {
            'params_sampling_strategy': 1,
            'beam_search': {'beam_size': beam_width, 'patience': -1.0},
        }
    recognizer = Model(str(path), **options)

    def run(samples: np.ndarray) -> tuple[str, dict]:
        more = {}
        if margin is not None:
            more['audio_ctx'] = min(1500, round(50 * (len(samples) / 16_000 + margin)))
        segments = recognizer.transcribe(np.ascontiguousarray(samples, np.float32), **more)
        return ' '.join(segment.text for segment in segments), {}

    return run
