"""The forms in which people save a Whisper: each is made of a real one, and hears the sentence."""

from collections.abc import Iterator
import copy
import json
from pathlib import Path
from typing import Any

from lifecycle_msgs.msg import Transition
import pytest
from robot import Client, goforward, MODEL, RATE, robot
import soundfile
import torch
from transformers import (
    AutoProcessor,
    AutoTokenizer,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from distil_whisper_ros.core.errors import ModelError
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.transcriber import Transcriber

GO = 'go forward 10 meters'
BASE = MODEL.parent / 'base'


def linked(source: Path, target: Path, *without: str) -> Path:
    """Make a folder with links to a model's files."""
    target.mkdir()
    for path in source.iterdir():
        if path.name not in without:
            (target / path.name).symlink_to(path.resolve())
    return target


@pytest.fixture(scope='module')
def weights() -> Any:
    return WhisperForConditionalGeneration.from_pretrained(MODEL)


def whisper(weights: Any, dtype: torch.dtype = torch.float32) -> Any:
    return copy.deepcopy(weights).to(dtype)


@pytest.fixture(scope='module')
def saved(weights, tmp_path_factory) -> Path:
    """Save the model as transformers 5 does: in float16, in parts, with processor_config.json."""
    folder = tmp_path_factory.mktemp('saved')
    whisper(weights, dtype=torch.float16).save_pretrained(folder, max_shard_size='20MB')
    AutoProcessor.from_pretrained(MODEL).save_pretrained(folder)
    names = {path.name for path in folder.iterdir()}
    if 'processor_config.json' not in names:  # by transformers 4
        values = json.loads((folder / 'preprocessor_config.json').read_text())
        (folder / 'preprocessor_config.json').unlink()
        (folder / 'processor_config.json').write_text(json.dumps({'feature_extractor': values}))
    assert 'model-00001-of-00003.safetensors' in names
    return folder


@pytest.fixture(scope='module')
def node(tmp_path_factory) -> Iterator[Client]:
    path = tmp_path_factory.mktemp('recording') / 'goforward.wav'
    soundfile.write(path, goforward(), RATE)
    parameters = {'audio__source': 'file', 'audio__file': str(path), 'autostart': False}
    with robot(**parameters) as (client, _):
        client.wait_state('unconfigured')
        yield client


def hear_in_the_node(client: Client, folder: Path, assistant: str = '') -> str:
    """Return the text of the real node, which loads the model and frees it again."""
    assert client.set_parameter('model.id', str(folder)) == ''
    assert client.set_parameter('model.assistant', assistant) == ''
    assert client.change_state(Transition.TRANSITION_CONFIGURE), client.states[-1].detail
    try:
        assert client.change_state(Transition.TRANSITION_ACTIVATE)
        return client.trigger('record').message.lower().rstrip('.')
    finally:
        client.change_state(Transition.TRANSITION_DEACTIVATE)
        client.change_state(Transition.TRANSITION_CLEANUP)


def hear(folder: Path, **settings: Any) -> str:
    """Return the words; int8 may choose the first letter's case and the full stop by chance."""
    model = Transcriber(ModelSettings(id=str(folder), warm_up=False, **settings))
    hypothesis = model(Utterance.whole(goforward()))
    assert ' '.join(word.text for word in hypothesis.segments[0].words) == hypothesis.text
    return hypothesis.text.lower().rstrip('.')


def test_as_transformers_5_saves_it(saved, node):
    assert hear_in_the_node(node, saved) == GO


def test_several_forms_at_once(weights, tmp_path, node):
    """A fine-tune in bfloat16 with 128 bands, another word, and without a generation config."""
    folder = linked(
        MODEL, tmp_path / 'model', 'model.safetensors', 'config.json', 'generation_config.json',
        'preprocessor_config.json', 'tokenizer.json', 'tokenizer_config.json', 'vocab.json',
        'merges.txt', 'added_tokens.json',
    )  # fmt: skip
    model = whisper(weights)
    add_word(model).save_pretrained(folder)
    widen(model).save_pretrained(folder)
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / 'generation_config.json').unlink()
    assert hear_in_the_node(node, folder) == GO.replace('forward', 'zorblax')


@pytest.mark.parametrize('section', [None, 7])
def test_a_processor_without_a_feature_extractor(saved, tmp_path, section):
    folder = linked(saved, tmp_path / 'model', 'processor_config.json')
    (folder / 'processor_config.json').write_text(json.dumps({'feature_extractor': section}))
    with pytest.raises(ModelError, match=r'processor_config\.json has no feature_extractor'):
        hear(folder)


def test_in_bfloat16_and_with_an_assistant_in_float16(weights, saved, tmp_path, node):
    folder = linked(MODEL, tmp_path / 'model', 'model.safetensors', 'config.json')
    whisper(weights, dtype=torch.bfloat16).save_pretrained(folder)
    assert hear(folder, dtype='float32', assistant=str(saved)) == GO
    assert hear_in_the_node(node, folder, assistant=str(saved)) == GO


def test_without_a_generation_config(tmp_path, node):
    folder = linked(MODEL, tmp_path / 'model', 'generation_config.json')
    assert hear(folder) == GO
    assert hear_in_the_node(node, folder) == GO


@pytest.fixture(scope='module')
def multilingual(tmp_path_factory) -> Iterator[Transcriber]:
    folder = tmp_path_factory.mktemp('base') / 'model'
    linked(BASE, folder, 'generation_config.json', 'tokenizer.json')
    # As in 2022, with the files of the old tokenizer too.
    known = json.loads((BASE / 'generation_config.json').read_text())
    old = {'begin_suppress_tokens', 'eos_token_id', 'max_length', 'suppress_tokens'}
    values = {key: known[key] for key in old} | {'forced_decoder_ids': [[1, None], [2, 50359]]}
    (folder / 'generation_config.json').write_text(json.dumps(values))
    yield Transcriber(ModelSettings(id=str(folder), warm_up=False))


def test_a_multilingual_one_with_an_old_generation_config(multilingual, node):
    known = json.loads((BASE / 'generation_config.json').read_text())
    tokens = multilingual._whisper.special_tokens
    assert {f'<|{code}|>': index for code, index in tokens.languages.items()} == known[
        'lang_to_id'
    ]
    assert tokens.tasks == known['task_to_id']
    for settings in ({}, {'beam_width': 2, 'language': 'en', 'prompt': 'A robot.'}):
        options = ModelSettings(**settings)
        hypothesis = multilingual(Utterance.whole(goforward()), options)
        assert hypothesis.text.lower().startswith('go forward')
        assert hypothesis.language == 'en'
    folder = Path(multilingual.settings.id)
    assert hear_in_the_node(node, folder).startswith('go forward')


@pytest.mark.parametrize('source', [MODEL, BASE])
def test_tokens_that_nobody_speaks_are_known_by_their_text(source):
    from transformers import GenerationConfig

    from distil_whisper_ros.whisper.generation_config import complete_generation_config

    known = json.loads((source / 'generation_config.json').read_text())
    size = json.loads((source / 'config.json').read_text())['vocab_size']
    tokenizer = AutoTokenizer.from_pretrained(source)
    config: Any = GenerationConfig()
    complete_generation_config(config, {}, tokenizer, size, 'it')
    assert set(config.suppress_tokens) >= set(known['suppress_tokens'])
    text = tokenizer("Don't stop: it's a well-known 50% off, $3.50 - ok?").input_ids[:-1]
    colon = tokenizer(':', add_special_tokens=False).input_ids
    dash = tokenizer(' -', add_special_tokens=False).input_ids
    spoken = set(text[2:]) - {*colon, *dash}
    assert not spoken & set(config.suppress_tokens)
    for key in ('decoder_start_token_id', 'eos_token_id', 'no_timestamps_token_id'):
        assert getattr(config, key) == known[key]
    assert config.is_multilingual == known['is_multilingual']
    assert config.begin_suppress_tokens == known['begin_suppress_tokens']


def add_word(model: Any) -> Any:
    """Add a word that sounds as "forward" does, and is a little likelier; return the tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    times = [f'<|{step / 50:.2f}|>' for step in range(1501)]  # other checkpoints have them too
    tokenizer.add_tokens(times)
    tokenizer.add_tokens([' Zorblax'])
    (added,) = tokenizer(' Zorblax', add_special_tokens=False).input_ids
    (forward,) = tokenizer(' forward', add_special_tokens=False).input_ids
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        rows = model.get_input_embeddings().weight
        rows[added] = 1.05 * rows[forward]
    assert added >= 51_864
    return tokenizer


def test_a_word_that_a_fine_tune_added(weights, tmp_path, node):
    folder = linked(
        MODEL, tmp_path / 'model', 'model.safetensors', 'config.json', 'generation_config.json',
        'tokenizer.json', 'tokenizer_config.json', 'vocab.json', 'merges.txt', 'added_tokens.json',
    )  # fmt: skip
    model = whisper(weights)
    add_word(model).save_pretrained(folder)
    model.save_pretrained(folder)
    (folder / 'generation_config.json').unlink()
    assert hear(folder) == GO.replace('forward', 'zorblax')
    assert hear_in_the_node(node, folder) == GO.replace('forward', 'zorblax')


def widen(model: Any) -> Any:
    """Let the first layer interpolate 80 bands from 128; return the extractor of those."""
    position = torch.linspace(0, 127, 80)
    below = position.floor().long().clamp(max=126)
    share = position - below
    bands = torch.zeros(80, 128)
    bands[torch.arange(80), below], bands[torch.arange(80), below + 1] = 1 - share, share
    first = model.get_encoder().conv1
    first.weight = torch.nn.Parameter(torch.einsum('obk,bj->ojk', first.weight, bands))
    first.in_channels = model.config.num_mel_bins = 128
    return WhisperFeatureExtractor(feature_size=128)


def test_with_128_mel_bands(weights, tmp_path, node):
    folder = linked(
        MODEL, tmp_path / 'model', 'model.safetensors', 'config.json', 'preprocessor_config.json'
    )
    model = whisper(weights)
    widen(model).save_pretrained(folder)
    model.save_pretrained(folder)
    assert hear(folder) == GO
    assert hear_in_the_node(node, folder) == GO


def test_what_can_be_found_nowhere_is_one_clear_error(tmp_path):
    names = ('tokenizer.json', 'vocab.json', 'merges.txt', 'added_tokens.json')
    folder = linked(MODEL, tmp_path / 'model', 'generation_config.json', *names)
    whole = json.loads((MODEL / 'tokenizer.json').read_text())
    whole['added_tokens'] = [
        each for each in whole['added_tokens'] if each['content'] != '<|notimestamps|>'
    ]
    whole['model']['vocab'].pop('<|notimestamps|>', None)
    (folder / 'tokenizer.json').write_text(json.dumps(whole))
    with pytest.raises(ModelError) as error:
        hear(folder)
    assert 'generation_config.json does not have no_timestamps_token_id' in str(error.value)
    assert 'the tokenizer has no <|notimestamps|>' in str(error.value)
    assert '\n' not in str(error.value)


def test_an_english_model_with_a_multilingual_tokenizer(tmp_path):
    names = ('tokenizer.json', 'vocab.json', 'merges.txt', 'added_tokens.json')
    folder = linked(MODEL, tmp_path / 'model', 'generation_config.json', *names)
    for name in names:
        (folder / name).symlink_to((BASE / name).resolve())
    with pytest.raises(ModelError, match='the tokenizer is not that of the model'):
        hear(folder)
