"""Models without internet: the cache, damaged files, and the tool that fills it."""

import os
import subprocess

import pytest
from robot import executable, fill_cache, goforward, MODEL, RATE, robot, TURN_MODEL
import soundfile

from distil_whisper_ros.core.errors import ModelError
from distil_whisper_ros.whisper import checkpoint
from distil_whisper_ros.whisper.checkpoint import find_model

NAME = 'openai/whisper-tiny.en'


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Make a hub cache that holds one model, as a download leaves it."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    monkeypatch.setenv('HF_HOME', str(tmp_path))
    return fill_cache(tmp_path, NAME)


def refused(name: str = NAME, revision: str = '', offline: bool = True) -> str:
    with pytest.raises(ModelError) as error:
        find_model(name, revision, offline, lambda *_: None)
    assert '\n' not in str(error.value)
    return str(error.value)


def test_a_model_in_the_cache_needs_no_network(cache):
    assert find_model(NAME, '', True, lambda *_: None) == cache
    # Also where the newest is wanted: the hub is asked, and cannot be reached.
    assert find_model(NAME, '', False, lambda *_: None, newest=True) == cache


def test_the_hub_is_asked_only_for_what_the_cache_lacks(cache, monkeypatch):
    asked = []

    def snapshot_download(local_files_only: bool = False, **_arguments: object) -> str:
        if not local_files_only:
            asked.append(True)
        return str(cache)

    monkeypatch.setattr(checkpoint, 'snapshot_download', snapshot_download)
    find_model(NAME, '', False, lambda *_: None)
    assert not asked
    find_model(NAME, '', False, lambda *_: None, newest=True)
    assert len(asked) == 1
    (cache / 'model.safetensors').unlink()
    refused(offline=False)
    assert len(asked) == 2


def test_a_revision_pins_the_model(cache):
    assert find_model(NAME, 'a' * 40, True, lambda *_: None) == cache
    message = refused(revision='b' * 40)
    assert 'is not in the cache on this machine' in message
    assert "model.revision 'bbbb" in message


def test_a_truncated_file_is_named(cache):
    with (cache / 'model.safetensors').open('r+b') as file:
        file.truncate(5_000_000)
    message = refused()
    assert 'model.safetensors is damaged or was not downloaded whole (5.0 MB)' in message
    assert f'delete {cache / "model.safetensors"} and fetch the model again' in message


def test_a_half_downloaded_model_is_named(cache):
    (cache / 'model.safetensors').unlink()
    assert 'has no weights as safetensors' in refused()
    (cache / 'preprocessor_config.json').unlink()
    assert 'has no preprocessor_config.json' in refused()


def test_a_missing_part_of_many_is_named(cache):
    (cache / 'model.safetensors').rename(cache / 'model-00001-of-00002.safetensors')
    (cache / 'model.safetensors.index.json').write_text(
        '{"weight_map": {"a": "model-00001-of-00002.safetensors",'
        ' "b": "model-00002-of-00002.safetensors"}}'
    )
    assert 'lacks model-00002-of-00002.safetensors: fetch the model again' in refused()


def test_pickles_in_the_cache_are_refused(cache):
    (cache / 'model.safetensors').rename(cache / 'pytorch_model.bin')
    assert 'pytorch_model.bin is a pickle, which may run code and is never loaded' in refused()


def fetch(*words: str, **environment: str):
    return subprocess.run(
        [str(executable('fetch_model')), *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_fetch_model_checks_what_is_there(cache, tmp_path):
    done = fetch(NAME, '--check', HF_HOME=str(tmp_path))
    assert done.returncode == 0
    assert f'{NAME} is complete (155 MB): {cache}' in done.stdout
    assert 'no turn detection' in done.stderr and 'fetch it once' in done.stderr
    done = fetch(str(MODEL), '--turn-model', str(TURN_MODEL))
    assert done.returncode == 0 and not done.stderr
    assert f'{TURN_MODEL} is complete (9 MB)' in done.stdout


def test_fetch_model_says_what_is_wrong_in_one_line(tmp_path):
    done = fetch(NAME, HF_HOME=str(tmp_path))
    assert done.returncode == 1
    assert 'the hub cannot be reached' in done.stderr.splitlines()[-1]
    assert 'Traceback' not in done.stderr
    done = fetch(NAME, '--check', HF_HOME=str(tmp_path))
    assert done.returncode == 1
    assert 'is not in the cache on this machine' in done.stderr


def test_fetch_model_explains_itself():
    done = fetch('--help')
    assert done.returncode == 0
    assert 'examples:' in done.stdout


def test_the_node_runs_offline_by_name(cache, tmp_path):
    soundfile.write(tmp_path / 'a.wav', goforward(), RATE)
    with robot(
        environment={'HF_HOME': str(tmp_path)},
        model__id=NAME,
        model__offline=True,
        model__revision='a' * 40,
        audio__source='file',
        audio__file=str(tmp_path / 'a.wav'),
    ) as (client, _):
        client.wait_state('ready', 'error')
        assert client.trigger('record').message == 'Go forward 10 meters.'
