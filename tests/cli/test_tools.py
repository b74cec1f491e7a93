"""The command-line tools: in a terminal, in a pipe, with wrong arguments."""

import fcntl
import json
import os
from pathlib import Path
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time

from distil_whisper_msgs.action import Listen
import numpy as np
import pytest
import rclpy
from rclpy.action.server import ActionServer
from rclpy.executors import MultiThreadedExecutor
from robot import executable, goforward, MODEL, RATE, robot, wait_for
import soundfile
from sounds import speech

from distil_whisper_ros.cli.doctor import examine
from distil_whisper_ros.cli.subtitles import clock, cues, srt, vtt
from distil_whisper_ros.core.types import Hypothesis, Segment, Word


def run(name: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [str(executable(name)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def closed(stream: str, name: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run a tool with a stream that the shell closed: '>&-' or '2>&-'."""
    command = ['sh', '-c', f'exec "$@" {stream}', 'sh', str(executable(name)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def shared_memory() -> list[Path]:
    return list(Path('/dev/shm').iterdir())


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('recordings')
    soundfile.write(folder / 'go.wav', goforward(), RATE)
    (folder / 'deeper').mkdir()
    soundfile.write(folder / 'deeper' / 'man.flac', speech()['librivox/0930'][0], RATE)
    soundfile.write(folder / 'silence.wav', np.zeros(3 * RATE), RATE)
    (folder / 'notes.md').write_text('not a recording')
    return folder


def transcribe(*arguments: str) -> subprocess.CompletedProcess:
    return run('transcribe', '--model', str(MODEL), *arguments)


class TestTranscribe:
    def test_text(self, folder):
        done = transcribe(str(folder / 'go.wav'))
        assert (done.returncode, done.stdout.capitalize()) == (0, 'Go forward 10 meters.\n')
        assert done.stderr == ''

    def test_a_folder_as_files(self, folder, tmp_path):
        done = transcribe('--format', 'json', '--output', str(tmp_path / 'texts'), str(folder))
        assert done.returncode == 0
        names = sorted(path.name for path in (tmp_path / 'texts').iterdir())
        assert names == ['go.json', 'man.json', 'silence.json']
        go = json.loads((tmp_path / 'texts' / 'go.json').read_text())
        assert go['text'].capitalize() == 'Go forward 10 meters.'
        assert go['language'] == 'en'
        assert go['duration'] == pytest.approx(len(goforward()) / RATE, abs=0.001)
        assert [word['text'] for word in go['segments'][0]['words']][1] == 'forward'
        silence = json.loads((tmp_path / 'texts' / 'silence.json').read_text())
        assert silence['text'] == ''

    @pytest.mark.parametrize(
        ('form', 'first', 'pattern'),
        [
            ('srt', '1', r'00:00:00,\d{3} --> 00:00:0\d,\d{3}'),
            ('vtt', 'WEBVTT', r'00:00:00\.\d{3} --> 00:00:0\d\.\d{3}'),
        ],
    )
    def test_subtitles(self, folder, form, first, pattern):
        done = transcribe('--format', form, str(folder / 'go.wav'))
        lines = done.stdout.splitlines()
        assert lines[0] == first
        assert any(re.fullmatch(pattern, line) for line in lines)
        assert 'Go forward 10 meters.' in [line.capitalize() for line in lines]

    def test_a_wrong_file_does_not_stop_the_others(self, folder):
        done = transcribe(str(folder / 'notes.md'), str(folder / 'no.wav'), str(folder / 'go.wav'))
        assert done.returncode == 1
        assert 'go forward 10 meters.' in done.stdout.lower()
        assert 'notes.md is not a recording that can be read' in done.stderr
        assert 'no.wav does not exist' in done.stderr
        assert 'Traceback' not in done.stderr

    def test_a_wrong_model(self, folder):
        done = run('transcribe', '--model', '/no/such/model', str(folder / 'go.wav'))
        assert done.returncode == 1
        assert done.stderr.count('\n') == 1
        assert '/no/such/model' in done.stderr

    def test_recordings_of_one_name_do_not_overwrite_each_other(self, folder, tmp_path):
        soundfile.write(folder / 'go.flac', goforward(), RATE)
        soundfile.write(folder / 'deeper' / 'go.wav', speech()['librivox/0930'][0], RATE)
        names = ['go.wav', 'go.flac', 'deeper/go.wav']
        done = transcribe('--output', str(tmp_path), *(str(folder / name) for name in names))
        for name in names[1:]:
            (folder / name).unlink()
        assert done.returncode == 0
        assert [Path(line).name for line in done.stdout.splitlines()] == [
            'go.txt',
            'go.flac.txt',
            'go.wav.txt',
        ]
        texts = [(tmp_path / name).read_text() for name in ('go.txt', 'go.wav.txt')]
        assert [text.capitalize() for text in texts] == [
            'Go forward 10 meters.\n',
            'He might even have been made amiable himself.\n',
        ]

    def test_an_output_folder_that_is_a_file(self, folder):
        done = transcribe('--output', str(folder / 'notes.md'), str(folder / 'go.wav'))
        assert done.returncode == 2
        assert 'notes.md, which is not a folder: name another one' in done.stderr
        done = transcribe('--output', str(folder / 'notes.md' / 'deeper'), str(folder / 'go.wav'))
        assert done.returncode == 2
        assert done.stderr.count('\n') == 1

    def test_a_full_disk(self, folder):
        command = [str(executable('transcribe')), '--model', str(MODEL), str(folder / 'go.wav')]
        with open('/dev/full', 'w') as full:
            done = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120
            )
        assert done.returncode == 1
        assert done.stderr == (
            'transcribe: standard output cannot be written: No space left on device\n'
        )

    def test_a_closed_pipe(self, folder):
        command = [str(executable('transcribe')), '--model', str(MODEL), str(folder / 'go.wav')]
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120
        )
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, '')

    def test_a_closed_standard_error(self, folder):
        """Its notices are lost, the text is not."""
        arguments = ('--model', str(MODEL), str(folder / 'go.wav'), str(folder / 'silence.wav'))
        done = closed('2>&-', 'transcribe', *arguments)
        assert done.returncode == 0
        assert 'go.wav: go forward 10 meters.\n' in done.stdout.lower()
        assert 'no text' not in done.stdout

    def test_a_full_standard_error(self, folder):
        """As above; a pipe without a reader is as good as a full disk."""
        reader, writer = os.pipe()
        os.close(reader)
        command = [str(executable('transcribe')), '--model', str(MODEL), '--quiet']
        command += [str(folder / 'silence.wav'), str(folder / 'go.wav')]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=writer, text=True, timeout=120
        )
        os.close(writer)
        assert done.returncode == 0
        assert 'go.wav: go forward 10 meters.\n' in done.stdout.lower()

    def test_file_names_in_latin_1_and_raw_audio(self, folder):
        name = os.path.join(os.fsencode(folder), b'caf\xe9.wav')
        os.link(folder / 'go.wav', name)
        raw = folder / 'x.raw'
        raw.write_bytes(bytes(1000))
        command = [os.fsencode(executable('transcribe')), b'--model', os.fsencode(MODEL)]
        done = subprocess.run([*command, os.fsencode(raw), name], capture_output=True, timeout=120)
        os.unlink(name)
        assert done.returncode == 1
        assert done.stdout.decode().lower().endswith('caf\ufffd.wav: go forward 10 meters.\n')
        assert 'x.raw is not a recording that can be read' in done.stderr.decode()
        assert done.stderr.count(b'\n') == 1

    def test_control_characters_of_names_are_escaped(self, folder, tmp_path):
        name = 'a\x1b[31m\x07\n\x9b.wav'
        os.link(folder / 'go.wav', tmp_path / name)
        (tmp_path / f'not{name}').write_text('no recording')
        shown = f'{tmp_path}/a\\x1b[31m\\x07\\n\\x9b.wav'
        done = transcribe(str(tmp_path / name), str(tmp_path / f'not{name}'), str(tmp_path / name))
        assert done.stdout.lower() == 2 * f'{shown}: go forward 10 meters.\n'
        assert 'nota\\x1b[31m\\x07\\n\\x9b.wav is not a recording' in done.stderr
        assert done.stderr.count('\n') == 1 and done.stderr.strip().isprintable()
        done = transcribe('--format', 'json', str(tmp_path / name))
        assert done.stdout.replace('\n', '').isprintable()
        assert json.loads(done.stdout)['file'] == str(tmp_path / name)  # a program reads it

    def test_special_tokens_in_a_prompt(self, folder):
        done = transcribe('--prompt', '<|en|>', str(folder / 'go.wav'))
        assert done.returncode == 2
        assert "prompt is '<|en|>', but must not contain '<|'" in done.stderr

    def test_progress_in_a_terminal(self, folder):
        terminal = Terminal('transcribe', '--model', str(MODEL), str(folder / 'go.wav'))
        assert terminal.read() == 0
        assert terminal.output().capitalize() == 'Go forward 10 meters.\n'
        assert 'loading' in terminal.screen
        assert '%' in terminal.screen

    def test_subtitles_are_utf_8_in_any_locale(self, folder, monkeypatch):
        monkeypatch.setenv('PYTHONIOENCODING', 'latin-1')
        arguments = ('--format', 'srt', '--model', str(MODEL), str(folder / 'go.wav'))
        assert run('transcribe', *arguments).returncode == 0
        code = (
            'from distil_whisper_ros.cli.output import use_utf8; use_utf8(); '
            "print('\\u524d\\u8fdb caf\\xe9')"
        )
        done = subprocess.run([sys.executable, '-c', code], capture_output=True, timeout=60)
        assert done.stdout.decode() == '前进 café\n'


def word(text: str, start: float, end: float) -> Word:
    return Word(text, start, end, 0.9)


def test_subtitles_are_short_and_break_at_pauses():
    words = tuple(word(f'word{i}', i * 0.5, i * 0.5 + 0.4) for i in range(30))
    words += (word('later', 20.0, 20.5),)
    hypothesis = Hypothesis((Segment('', 0.0, 21.0, 0.0, 0.0, 0.0, words),))
    found = cues(hypothesis)
    assert all(end - start <= 6.0 and len(text) <= 84 for start, end, text in found)
    assert found[-1] == (20.0, 20.5, 'later')
    assert ' '.join(text for _, _, text in found).split() == [w.text for w in words]
    assert srt(found).count(' --> ') == vtt(found).count(' --> ') == len(found)
    assert clock(3723.0456, ',') == '01:02:03,046'


@pytest.fixture(scope='module')
def hearing(room):
    with robot(environment=room.environment) as (client, _):
        client.wait_state('ready')
        yield client


class Terminal:
    """A person's terminal in which a command runs."""

    def __init__(self, name: str, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [str(executable(name)), *arguments],
            stdin=slave,
            stderr=slave,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.screen = ''

    def press(self, key: str) -> None:
        os.write(self._master, key.encode())

    def close(self) -> None:
        os.close(self._master)

    def output(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def read(self, timeout: float = 60.0) -> int:
        """Read the screen until the command ends; return its exit code."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self._master], [], [], 0.2)
            if ready:
                try:
                    self.screen += os.read(self._master, 65536).decode(errors='replace')
                except OSError:
                    break
            elif self.process.poll() is not None:
                break
        os.close(self._master)
        return self.process.wait(5)


class TestListen:
    def test_in_a_terminal(self, hearing, room):
        terminal = Terminal('listen')
        hearing.wait_state('waiting')
        # Seven seconds: on a busy machine the text so far of a short sentence comes at its end.
        room.say(speech()['librivox/0870'][0], wait=False)
        assert terminal.read() == 0
        assert terminal.output().startswith('And Mr. John Dashwood had then leisure to consider')
        assert 'hearing' in terminal.screen
        assert '█████' in terminal.screen  # the level
        # The end of the text so far fits beside the level.
        assert re.search(r'[█·]\S* \S*[^\r]*(Dashwood|leisure|how much)', terminal.screen)
        assert 's after the end of speech' in terminal.screen
        room.hush()

    @pytest.mark.parametrize(('key', 'code'), [('q', 130), ('\x1b', 130)])
    def test_a_key_cancels(self, hearing, key, code):
        hearing.wait_state('ready')
        terminal = Terminal('listen', '--start-timeout', '60')
        hearing.wait_state('waiting')
        terminal.press(key)
        assert terminal.read() == code
        assert 'canceled' in terminal.screen

    @pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_cancels(self, hearing, number):
        hearing.wait_state('ready')
        command = [str(executable('listen')), '--start-timeout', '60']
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        hearing.wait_state('waiting')
        process.send_signal(number)
        out, error = process.communicate(timeout=30)
        assert (process.returncode, out, error) == (130, b'', b'listen: canceled\n')
        hearing.wait_state('ready')

    def test_a_terminal_that_is_closed_cancels(self, hearing):
        hearing.wait_state('ready')
        terminal = Terminal('listen', '--start-timeout', '60')
        hearing.wait_state('waiting')
        terminal.close()
        assert terminal.process.wait(30) == 130
        hearing.wait_state('ready')

    def test_nohup_keeps_it(self, hearing):
        hearing.wait_state('ready')
        command = ['nohup', str(executable('listen')), '--start-timeout', '60']
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        hearing.wait_state('waiting')
        process.send_signal(signal.SIGHUP)
        time.sleep(1)
        assert (process.poll(), hearing.state) == (None, 'waiting')
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode == 130
        hearing.wait_state('ready')

    def test_a_key_stops(self, hearing, room):
        hearing.wait_state('ready')
        terminal = Terminal('listen', '--end-silence', '5')
        hearing.wait_state('waiting')
        room.say(goforward())
        terminal.press(' ')
        assert terminal.read() == 0
        assert terminal.output().capitalize() == 'Go forward 10 meters.\n'

    def test_commands_in_a_pipe(self, hearing, room):
        hearing.wait_state('ready')
        arguments = ('--quiet', '--command', 'go forward ten meters', '--command', 'stop')
        command = [str(executable('listen')), *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        hearing.wait_state('waiting')
        room.say(goforward(), wait=False)
        out, error = process.communicate(timeout=30)
        assert (process.returncode, out, error) == (0, b'go forward ten meters\n', b'')

    def test_nobody_speaks(self, hearing):
        hearing.wait_state('ready')
        done = run('listen', '--start-timeout', '0.4')
        assert done.returncode == 1
        assert 'no speech was heard within 0.4 s' in done.stderr

    def test_without_a_recognizer(self, hearing):
        done = run('listen', '--namespace', 'nobody')
        assert done.returncode == 2
        assert 'there is no recognizer at /nobody/speech/listen' in done.stderr

    def test_it_leaves_no_shared_memory(self, hearing):
        """What a process leaves behind is found by the next one that gets its port."""
        environment = {**os.environ}
        del environment['FASTRTPS_DEFAULT_PROFILES_FILE']
        command = [str(executable('listen')), '--namespace', 'nobody']
        first = 7400 + 250 * hearing.domain  # of the ports of a domain

        def left() -> set[int]:
            names = (re.search('fastrtps_port([0-9]+)', path.name) for path in shared_memory())
            return {int(each[1]) for each in names if each and 0 <= int(each[1]) - first < 250}

        before = left()  # somebody who was killed may have had this domain long ago
        subprocess.run(command, env=environment, check=False, capture_output=True, timeout=60)
        assert left() <= before

    def test_the_recognizer_goes(self, hearing):
        """A server that takes the goal, and is gone before it has a result."""
        node, taken, over = rclpy.create_node('ghost', context=hearing.node.context), [], []
        executor = MultiThreadedExecutor(2, context=hearing.node.context)
        executor.add_node(node)

        def take(handle):
            taken.append(handle)
            wait_for(lambda: over, 60, 'the end')
            return Listen.Result()

        server = ActionServer(node, Listen, 'ghost/speech/listen', take)
        threading.Thread(target=executor.spin, daemon=True).start()
        command = [str(executable('listen')), '--namespace', 'ghost']
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: taken, 30, 'the goal')
        server.destroy()
        _, error = process.communicate(timeout=30)
        assert (process.returncode, error) == (2, 'listen: the recognizer is gone: see its log\n')
        over.append(True)
        executor.shutdown()
        node.destroy_node()

    def test_wrong_options(self, hearing):
        wait_for(lambda: hearing.state == 'ready', 10, 'ready')
        done = run('listen', '--max-duration', '9999')
        assert done.returncode == 1
        assert 'max_duration is 9999.0, but must be from' in done.stderr
        assert run('listen', '--max-duration', 'long').returncode == 2


@pytest.mark.parametrize(
    'name', ['listen', 'transcribe', 'doctor', 'fetch_model', 'health', 'calibrate']
)
def test_control_characters_of_wrong_arguments_are_escaped(name):
    done = run(name, 'a', 'b', '--\x1b[31m\x07')
    assert done.returncode == 2
    assert done.stderr.replace('\n', '').isprintable()
    assert r'--\x1b[31m\x07' in done.stderr


@pytest.mark.parametrize(
    ('name', 'arguments'),
    [
        ('transcribe', ['--model', str(MODEL), 'no.wav']),
        ('listen', []),
        ('calibrate', ['--model', str(MODEL)]),
        ('fetch_model', ['--check', '--turn-model', '', str(MODEL)]),
        ('doctor', []),
    ],
)
def test_a_closed_standard_output_is_one_line(name, arguments):
    done = closed('>&-', name, *arguments)
    assert done.returncode == 141
    assert done.stderr == f'{name}: standard output cannot be written: Bad file descriptor\n'


@pytest.mark.parametrize(
    ('name', 'arguments', 'code'),
    [
        ('transcribe', ['--model', str(MODEL), 'no.wav'], 1),
        ('listen', ['--namespace', 'nobody'], 2),
        ('calibrate', ['--model', str(MODEL), 'no.wav'], 1),
        ('fetch_model', ['--check', '/no/such/model'], 1),
    ],
)
def test_a_closed_standard_error_leaves_the_exit_code(name, arguments, code):
    done = closed('2>&-', name, *arguments)
    assert (done.returncode, done.stdout) == (code, '')


@pytest.mark.parametrize(
    'name', ['listen', 'transcribe', 'doctor', 'fetch_model', 'health', 'calibrate']
)
def test_help_has_examples(name):
    done = run(name, '--help')
    assert done.returncode == 0
    assert f'ros2 run distil_whisper_ros {name}' in done.stdout
    assert 'exit code' in done.stdout
    # The console script has a name that nothing else on PATH has.
    assert run(f'speech_{name}', '--help').stdout == done.stdout


def test_control_characters_of_models_are_escaped(tmp_path):
    model = tmp_path / 'm\x1b[31m'
    model.symlink_to(MODEL)
    done = run('fetch_model', '--check', '--turn-model', '', str(model))
    assert done.returncode == 0
    assert (
        done.stdout.startswith(f'{tmp_path}/m\\x1b[31m is complete') and '\x1b' not in done.stdout
    )


def test_the_doctor_escapes_control_characters(capsys):
    assert not examine('model', lambda: iter([(False, 'a\x1b[31m', 'fetch a\x1b[31m')]))
    assert '\x1b' not in capsys.readouterr().out


@pytest.mark.parametrize('name', ['microphone', 'speech_microphone', 'speech_recognizer'])
def test_help_of_the_nodes(name):
    done = run(name, '--help')
    assert done.returncode == 0
    assert '--ros-args -p' in done.stdout
