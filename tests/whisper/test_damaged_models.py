"""Incomplete and damaged model folders: each is refused with one line that names the file."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from robot import goforward, MODEL
from safetensors import safe_open
from safetensors.torch import save_file
import torch

from distil_whisper_ros.core.errors import ModelError, SettingError
from distil_whisper_ros.core.settings import ModelSettings, settings_from
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.transcriber import Transcriber


@pytest.fixture
def folder(tmp_path):
    """Return a copy of the model in which each file is a link, until a test replaces it."""
    target = tmp_path / 'model'
    target.mkdir()
    for path in MODEL.iterdir():
        (target / path.name).symlink_to(path.resolve())
    return target


def load(folder: Path | str, **settings: Any) -> Transcriber:
    return Transcriber(ModelSettings(id=str(folder), warm_up=False, **settings))


def refused(folder: Path | str, **settings: Any) -> str:
    with pytest.raises((ModelError, SettingError)) as error:
        load(folder, **settings)
    message = str(error.value)
    assert '\n' not in message
    return message


def rewrite(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text)


def change(path: Path, **values: object) -> None:
    rewrite(path, json.dumps({**json.loads(path.read_text()), **values}))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    with safe_open(folder / 'model.safetensors', 'pt') as file:
        return {key: file.get_tensor(key) for key in file.keys()}


def save(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    (folder / 'model.safetensors').unlink()
    save_file(tensors, folder / 'model.safetensors', metadata={'format': 'pt'})


def test_without_a_tokenizer(folder):
    for name in ('tokenizer.json', 'vocab.json', 'merges.txt', 'added_tokens.json'):
        (folder / name).unlink()
    assert 'has no tokenizer.json' in refused(folder)


def test_a_tokenizer_of_another_model(folder):
    for name in ('tokenizer.json', 'vocab.json', 'merges.txt', 'added_tokens.json'):
        (folder / name).unlink()
        (folder / name).symlink_to((MODEL.parent / 'base' / name).resolve())
    assert 'the tokenizer is not that of the model' in refused(folder)


def test_weights_that_lack_a_layer(folder):
    missing = 'model.encoder.layers.1.fc1.weight'
    save(folder, {key: value for key, value in weights(folder).items() if key != missing})
    assert f'model.safetensors lacks the weight {missing}' in refused(folder)


def test_weights_of_another_shape(folder):
    change(folder / 'config.json', decoder_ffn_dim=1000)
    message = refused(folder)
    assert 'config.json and model.safetensors do not belong together' in message


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_no_numbers(folder, value):
    tensors = weights(folder)
    tensors['model.decoder.layers.0.fc1.weight'][3, 5] = value
    save(folder, tensors)
    message = refused(folder)
    assert 'model.decoder.layers.0.fc1.weight has values that are not finite' in message


@pytest.mark.parametrize(
    'name',
    [
        'config.json',
        'generation_config.json',
        'preprocessor_config.json',
        'tokenizer.json',
        'tokenizer_config.json',
        'model.safetensors.index.json',
    ],
)
@pytest.mark.parametrize('text', ['{', '[1, 2]', '"text"', '\xff', ''])
def test_json_that_cannot_be_read(folder, name, text):
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_bytes(text.encode('latin-1'))
    message = refused(folder)
    assert f'{name} cannot be read' in message
    assert 'fetch the model again' in message


@pytest.mark.parametrize(
    ('name', 'key', 'value'),
    [
        ('config.json', 'd_model', 'wide'),
        ('config.json', 'encoder_layers', None),
        ('config.json', 'decoder_attention_heads', 0),
        ('config.json', 'decoder_layers', 1_000_000),
        ('config.json', 'vocab_size', 10**12),
        ('config.json', 'max_source_positions', 10**9),
        ('preprocessor_config.json', 'n_fft', 1_000_000_000),
        ('preprocessor_config.json', 'hop_length', 10**9),
        ('preprocessor_config.json', 'feature_size', 10**6),
        ('generation_config.json', 'no_timestamps_token_id', '50362'),
        ('generation_config.json', 'decoder_start_token_id', None),
        ('generation_config.json', 'suppress_tokens', 'all'),
        ('generation_config.json', 'suppress_tokens', [10**9]),
        ('generation_config.json', 'eos_token_id', []),
        ('generation_config.json', 'alignment_heads', [1, 2]),
        ('generation_config.json', 'lang_to_id', [1]),
        ('preprocessor_config.json', 'feature_size', 'many'),
        ('preprocessor_config.json', 'sampling_rate', 8000),
        ('model.safetensors.index.json', 'weight_map', ['model.safetensors']),
        ('model.safetensors.index.json', 'weight_map', {'a': '../model.safetensors'}),
        ('tokenizer.json', 'model', 7),
    ],
)
def test_values_of_a_wrong_type(folder, name, key, value):
    if not (folder / name).exists():
        (folder / name).write_text('{}')
    change(folder / name, **{key: value})
    message = refused(folder)
    assert name in message
    assert 'fetch the model again' in message


@pytest.mark.parametrize(
    ('name', 'part'),
    [
        ('~nobody-at-all/x', "model.id is '~nobody-at-all/x', but there is no user"),
        ('', "model.id is '', but must be"),
        ('openai/..', 'must be a name on the hub'),
        ('openai/whisper--tiny', 'must be a name on the hub'),
        ('a\0b', 'must be a name on the hub'),
        ('x' * 5000, 'must be a name on the hub'),
    ],
)
def test_names_that_cannot_be_a_model(name, part):
    assert part in refused(name, offline=True)


def test_a_file_is_not_a_folder(folder):
    path = folder / 'model.safetensors'
    assert refused(path) == f"model.id is '{path}', which is a file: name its folder"


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('encoder_layers', 128),
        ('d_model', 8190),  # its heads are 6
        ('decoder_ffn_dim', 32_768),
        ('vocab_size', 1_000_000),
        ('max_source_positions', 15_000),
        ('max_target_positions', 16_384),
    ],
)
def test_the_largest_values_end_soon(folder, key, value):
    change(folder / 'config.json', **{key: value})
    assert 'fetch the model again' in refused(folder)


FILES = (
    'x.json',
    'config.json',
    'generation_config.json',
    'model.safetensors.index.json',
    'tokenizer.json',
    'vocab.json',
    'merges.txt',
    'chat_template.jinja',
    'model-2.safetensors',
    'model.safetensors',
)


@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('kind', ['pipe', 'device', 'folder', 'nothing'])
def test_what_is_no_regular_file_is_never_opened(folder, name, kind):
    path = folder / name
    path.unlink(missing_ok=True)
    if kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'folder':
        path.mkdir()
    else:
        path.symlink_to('/dev/zero' if kind == 'device' else '/nowhere')
    assert f"'{name}' cannot be read: it is not a regular file" in refused(folder)


@pytest.mark.parametrize('name', ['x.json', 'tokenizer.json', 'merges.txt'])
def test_a_giant_of_a_text_file_is_never_read(folder, name):
    rewrite(folder / name, '')
    os.truncate(folder / name, 10**12)
    assert f"'{name}' cannot be read: it has 1000000000000 bytes, but may" in refused(folder)


def test_a_folder_that_may_not_be_read(folder):
    if os.geteuid() == 0:
        pytest.skip('root reads everything')
    folder.chmod(0)
    try:
        assert 'Permission denied' in refused(folder)
    finally:
        folder.chmod(0o755)


def test_special_tokens_never_reach_the_text(folder):
    """Here the tokenizer takes <|notimestamps|> for ordinary text, and the model chooses it."""
    whole = json.loads((folder / 'tokenizer.json').read_text())
    for token in whole['added_tokens']:
        token['special'] = False
    rewrite(folder / 'tokenizer.json', json.dumps(whole))
    transcriber = load(folder, dtype='float32')
    decode = transcriber._whisper.decoders.decode

    def with_special_tokens(*arguments: Any) -> Any:
        results = decode(*arguments)
        for result in results:
            result.tokens[1:1] = [50362, 50258, 51000]
            result.log_probabilities[1:1] = [-0.1] * 3
            first = result.attention[:, :1].expand(-1, 3, -1)
            attention = torch.cat((result.attention[:, :1], first, result.attention[:, 1:]), 1)
            object.__setattr__(result, 'attention', attention)
        return results

    transcriber._whisper.decoders.decode = with_special_tokens
    hypothesis = transcriber(Utterance.whole(goforward()))
    assert hypothesis.text == 'Go forward 10 meters.'
    assert ' '.join(word.text for word in hypothesis.segments[0].words) == hypothesis.text


@pytest.mark.parametrize('spelled', ['Ġ<|startoftranscript|>', '<|xy|>', 'Ġ<|<|xy|>z|>'])
def test_the_name_of_a_special_token_is_no_text(folder, spelled):
    """Here a token of the text is spelled as a special one."""
    whole = json.loads((folder / 'tokenizer.json').read_text())
    forward = 'Ġforward'
    whole['model']['vocab'][spelled] = whole['model']['vocab'].pop(forward)
    merges = [
        each.split(' ') if isinstance(each, str) else each for each in whole['model']['merges']
    ]
    whole['model']['merges'] = [
        ' '.join(each) for each in merges if forward not in (*each, ''.join(each))
    ]
    rewrite(folder / 'tokenizer.json', json.dumps(whole))
    for name in ('vocab.json', 'merges.txt', 'added_tokens.json'):
        (folder / name).unlink()
    hypothesis = load(folder, dtype='float32')(Utterance.whole(goforward()))
    assert hypothesis.text == 'Go 10 meters.'
    assert ' '.join(word.text for word in hypothesis.segments[0].words) == hypothesis.text


@pytest.mark.parametrize(
    ('name', 'value'),
    [('model.prompt', 'Go <|nospeech|> on.'), ('model.hotwords', ['Zora', '<|en|>'])],
)
def test_special_tokens_are_refused_in_prompts(name, value):
    with pytest.raises(SettingError) as error:
        settings_from({name: value})
    assert str(error.value).startswith(f'{name} is ')
    assert "must not contain '<|'" in str(error.value)
