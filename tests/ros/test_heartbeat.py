"""The file that says whether the node works, and the script that a container reads it with."""

import os
from pathlib import Path
import subprocess

import pytest
from robot import robot, wait_for

from distil_whisper_ros.core.types import State
from distil_whisper_ros.ros.heartbeat import Heartbeat, VARIABLE

CHECK = Path(__file__).resolve().parents[2] / 'docker/check_health'


def check(path: Path) -> tuple[int, str]:
    """Return the exit code and the output of the health check."""
    run = subprocess.run([CHECK, path], capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


@pytest.mark.parametrize(
    ('state', 'code'), [(State.READY, 0), (State.LOADING, 0), (State.ERROR, 1), (State.LOST, 1)]
)
def test_a_state_is_good_or_bad(tmp_path, state, code):
    path = tmp_path / 'health'
    Heartbeat(path).beat(state, 'two\nlines')
    assert check(path) == (code, f'{state.name.lower()} two lines\n')
    assert [*tmp_path.iterdir()] == [path]


def test_the_node_keeps_the_file_fresh(tmp_path):
    path = tmp_path / 'health'
    with robot(environment={VARIABLE: str(path)}, autostart=False) as (client, _):
        client.wait_state('unconfigured')
        assert check(path) == (0, 'unconfigured\n')
        path.unlink()
        wait_for(path.exists, 15, 'the next beat')


def test_a_file_that_cannot_be_written_is_a_warning_and_the_node_stays_up(tmp_path):
    path = tmp_path / 'missing/health'
    with robot(environment={VARIABLE: str(path)}, autostart=False) as (client, process):
        client.wait_state('unconfigured')
        wait_for(lambda: 'which cannot be written' in process.log(), 10, 'the warning')
        assert f"{VARIABLE} is '{path}', which cannot be written: No such" in process.log()


def test_a_pipe_blocks_nobody_and_a_device_stays(tmp_path):
    path = tmp_path / 'health'
    os.mkfifo(tmp_path / 'health.new')
    Heartbeat(path).beat(State.READY, '')
    assert check(path) == (0, 'ready\n')
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match='not a regular file'):
        Heartbeat(path).beat(State.READY, '')


@pytest.mark.parametrize('path', ['~nobody-of-that-name/x', '/'])
def test_a_path_of_nobody_is_a_warning_and_the_node_stays_up(path):
    folder = '~nobody-of-that-name/y'
    with robot(environment={VARIABLE: path}, autostart=False, save_audio_directory=folder) as (
        client,
        process,
    ):
        client.wait_state('unconfigured')
        wait_for(lambda: VARIABLE in process.log(), 10, 'the warning')
        assert f"{VARIABLE} is '{path}', which is not the path of a file" in process.log()
        told = f"save_audio_directory is '{folder}', but there is no user of that name"
        assert process.log().count(told) == 1
        assert 'Traceback' not in process.log()
