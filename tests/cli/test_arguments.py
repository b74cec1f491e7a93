"""Wrong arguments of the tools that ask the node: one sentence, and exit code 2."""

import os
import signal
import subprocess
import time

import pytest
from robot import executable


def run(name: str, *arguments: str | bytes) -> subprocess.CompletedProcess:
    command = [os.fsencode(executable(name)), *map(os.fsencode, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def is_refused(done: subprocess.CompletedProcess, sentence: str) -> bool:
    """Return whether the last line has a sentence, and all is printable."""
    error = done.stderr.replace('\n', '')
    last = done.stderr.splitlines()[-1]
    return done.returncode == 2 and sentence in last and error.isprintable() and len(last) < 400


@pytest.mark.parametrize('tool', ['health', 'listen'])
@pytest.mark.parametrize(
    'space',
    ['a b', 'a\nb', '\x1b[31mred', 'a//b', '1a', '~', 300 * 'a', 5000 * 'a', b'a\xff', 'é'],
)
def test_a_wrong_namespace(tool, space):
    done = run(tool, '--namespace', space)
    assert is_refused(done, 'is not a namespace: use letters, digits and _, with / between names')


@pytest.mark.parametrize(
    ('space', 'shown'),
    [
        ('nobody/', '/nobody'),
        ('/nobody/', '/nobody'),
        ('/no/body', '/no/body'),
        (200 * 'a', '/' + 200 * 'a'),
    ],
)
def test_a_namespace_with_slashes(space, shown):
    done = run('health', '--timeout', '0.1', '--namespace', space)
    assert done.returncode == 1
    assert f'no speech_recognizer answers in namespace "{shown}"' in done.stderr
    done = run('listen', '--namespace', space)
    assert done.returncode == 2
    assert f'there is no recognizer at {shown}/speech/listen' in done.stderr


def test_a_slash_alone_is_no_namespace():
    done = run('health', '--timeout', '0.1', '--namespace', '/')
    assert 'no speech_recognizer answers in namespace "/" and' in done.stderr
    assert 'at /speech/listen: start it' in run('listen', '--namespace', '/').stderr


@pytest.mark.parametrize('given', ['inf', '1e300', 'nan', '0', '-1', 'long', b'1\xff'])
def test_a_wrong_timeout(given):
    done = run('health', '--timeout', given)
    assert is_refused(done, 'is not a time: use a number of seconds from 0.1 to 86400')


@pytest.mark.parametrize('option', ['start-timeout', 'end-silence', 'max-pause', 'max-duration'])
@pytest.mark.parametrize('given', ['inf', '1e300', 'nan', '-1'])
def test_a_wrong_time_of_listen(option, given):
    done = run('listen', f'--{option}', given)
    assert is_refused(done, 'is not a time: use a number of seconds from 0 to 86400')


@pytest.mark.parametrize(
    ('tool', 'option'),
    [
        *(('listen', option) for option in ('prompt', 'hotword', 'command', 'language')),
        *(('transcribe', option) for option in ('prompt', 'hotword', 'language')),
    ],
)
def test_a_text_that_is_not_utf_8(tool, option):
    arguments = ['no.wav'] if tool == 'transcribe' else []
    done = run(tool, f'--{option}', b'caf\xe9', *arguments)
    assert is_refused(done, '"caf\\udce9" is not UTF-8: write it in UTF-8')


def test_a_wrong_remapping_of_health():
    done = run('health', '--ros-args', '-r', 'bad')
    assert done.returncode == 1
    assert done.stderr.startswith('health: ROS cannot start: ') and done.stderr.count('\n') == 1


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_health_is_interrupted(number):
    command = [str(executable('health')), '--namespace', 'nobody', '--timeout', '60']
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(3)  # it waits
    process.send_signal(number)
    out, error = process.communicate(timeout=30)
    assert (process.returncode, out, error) == (130, b'', b'')


def test_the_doctor_is_interrupted():
    command = [str(executable('doctor'))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        if b'ROS' in line:
            break
    time.sleep(0.2)  # it asks for nodes
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (130, b'')
