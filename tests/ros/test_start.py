"""A ROS that cannot start is told in one line, without a traceback."""

import os
import subprocess

import pytest
from robot import executable, isolation, robot

FOLDER = {'HOME': '/proc/nobody', 'ROS_LOG_DIR': '/proc/nobody/log'}


def start(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(executable(name)), *arguments],
        env={**os.environ, **isolation(), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def check(run: subprocess.CompletedProcess, reason: str, code: int) -> None:
    errors = run.stderr.strip().splitlines()
    assert run.returncode == code, run
    assert 'Traceback' not in run.stderr + run.stdout, run
    assert 'ROS cannot start: ' in errors[-1] and reason in errors[-1], run


@pytest.mark.parametrize('name', ['speech_recognizer', 'microphone', 'listen', 'health'])
def test_without_a_folder_for_logs(name):
    run = start(name, **FOLDER)
    check(run, 'Failed to create log directory', 2 if name == 'listen' else 1)
    assert 'ROS_LOG_DIR' in run.stderr.strip().splitlines()[-1]


def test_the_doctor_names_it_and_goes_on():
    run = start('doctor', COLUMNS='400', **FOLDER)
    assert 'Traceback' not in run.stderr + run.stdout, run
    assert 'ROS cannot start: ' in run.stdout and 'ROS_LOG_DIR' in run.stdout


def test_a_malformed_file_and_a_wrong_level_have_a_remedy(tmp_path):
    path = tmp_path / 'robot.yaml'
    path.write_text('/**:\n  model: [a\n')
    run = start('speech_recognizer', '--ros-args', '--params-file', str(path))
    check(run, f"'--params-file {path}'", 1)
    assert 'compare it with config/speech.yaml' in run.stderr
    run = start('speech_recognizer', '--ros-args', '--log-level', 'loud')
    check(run, 'use debug, info, warn, error or fatal', 1)


@pytest.mark.parametrize('name', ['speech_recognizer', 'microphone'])
@pytest.mark.parametrize(
    'arguments',
    [
        ('-p', 'no_value'),
        ('-r', '__node:=a-b'),
        ('-r', '__ns:=/a b'),
        ('--params-file', 'nowhere'),
    ],
)
def test_wrong_arguments(name, arguments):
    check(start(name, '--ros-args', *arguments), '', 1)


@pytest.mark.parametrize('name', ['speech_recognizer', 'microphone'])
@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (('-p', 'use_sim_time:=maybe'), "use_sim_time is 'maybe', but must be true or false"),
        (('-p', 'use_sim_time:=1'), 'use_sim_time is 1, but must be true or false'),
        (('-r', '__ns:=/a/'), "the namespace is '/a/', but must be as \"/robot1\" or"),
        (('-r', '__ns:=/a//b'), "the namespace is '/a//b', but must be as \"/robot1\" or"),
        (('-r', '__ns:=/' + 250 * 'a'), "aaa', but must be as \"/robot1\" or"),
        (('-r', '__ns:=/' + 230 * 'a'), "aaa', but must be as \"/robot1\" or"),
        (('-r', '__node:=a/b'), "the name of the node is 'a/b', but must be letters, digits"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(name, arguments, sentence):
    check(start(name, '--ros-args', *arguments), sentence, 1)


def test_a_broken_library_is_one_sentence(tmp_path):
    (tmp_path / 'transformers').mkdir()
    (tmp_path / 'transformers/__init__.py').write_text("raise ImportError('it is\\nbroken')\n")
    path = os.pathsep.join((str(tmp_path), os.environ.get('PYTHONPATH', '')))
    with robot(environment={'PYTHONPATH': path}) as (client, process):
        client.wait_state('error')
        detail = client.states[-1].detail
        assert detail.startswith(
            'PyTorch and transformers cannot be imported (ImportError: it is '
        )
        assert detail.endswith('then restart the node')
        assert 'Traceback' not in process.log()
