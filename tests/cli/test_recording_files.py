"""The tool transcribe with files as people have them: odd, in folders, from a pipe, silent."""

import errno
import json
import os
from pathlib import Path
import subprocess

import numpy as np
import pytest
from robot import executable, goforward, MODEL, RATE
import soundfile

from distil_whisper_ros.cli.recording_files import recordings
from distil_whisper_ros.cli.subtitles import srt, vtt
from distil_whisper_ros.cli.text_files import OutputError, write
from distil_whisper_ros.core.errors import FileError

GO = 'Go forward 10 meters.'


def transcribe(*arguments: str, **more) -> subprocess.CompletedProcess:
    command = [str(executable('transcribe')), '--model', str(MODEL), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, **more)


def noise(seconds: float, loudness: float = 1e-4) -> np.ndarray:
    return np.random.default_rng(0).normal(0, loudness, round(seconds * RATE))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Make a folder with all that is odd."""
    folder = tmp_path_factory.mktemp('odd')
    said = goforward()
    soundfile.write(folder / 'go.oga', said, RATE, format='OGG', subtype='VORBIS')
    both = np.stack([said, -said], 1)
    soundfile.write(folder / 'range.wav', both * 32768, RATE, subtype='FLOAT')
    quiet = folder / 'quiet.wav'
    soundfile.write(quiet, said * 10 ** (-20 / 20), RATE, subtype='PCM_24')
    content = bytearray(quiet.read_bytes())
    place = content.index(b'data') + 4
    content[place : place + 4] = bytes(4)
    (folder / 'cut.wav').write_bytes(content)
    soundfile.write(folder / 'late.wav', np.concatenate((noise(300), said)), RATE)
    soundfile.write(folder / 'silence.wav', np.zeros(40 * RATE), RATE)
    (folder / 'folder.wav').mkdir()
    soundfile.write(folder / 'folder.wav' / 'inner.wav', said, RATE)
    (folder / '._go.wav').write_bytes(b'\0\5\x16\7' + bytes(1000))
    (folder / 'broken.wav').symlink_to('nowhere.wav')
    os.mkfifo(folder / 'pipe.wav')
    return folder


def test_a_folder_with_all_that_is_odd(folder):
    done = transcribe(str(folder))
    assert done.returncode == 0, done.stderr
    texts = dict(line.split(': ', 1) for line in done.stdout.splitlines())
    found = {str(Path(name).relative_to(folder)): text for name, text in texts.items()}
    spoken = ('go.oga', 'range.wav', 'quiet.wav', 'cut.wav', 'late.wav', 'folder.wav/inner.wav')
    assert {name: text.lower() for name, text in found.items()} == {
        **{name: GO.lower() for name in spoken},
        'silence.wav': '',
    }
    for line in (
        f'skipped {folder}/._go.wav: macOS keeps other data of a file in it',
        f'skipped {folder}/broken.wav: the link is broken',
        f'skipped {folder}/folder.wav: it is a folder; only the recordings in it are read',
        f'skipped {folder}/pipe.wav: it is not a regular file',
        f'{folder}/quiet.wav: it is very quiet',
        f'{folder}/range.wav: its samples reach',
        'its channels cancel each other out when they are mixed: channel 0 is used',
        f'{folder}/cut.wav: its header tells 0 bytes of audio',
        f'{folder}/silence.wav: it holds only zeros',
        f'{folder}/silence.wav: no text: voice activity found no speech in it',
    ):
        assert line in done.stderr
    assert all(line.startswith('transcribe: ') for line in done.stderr.splitlines())
    assert len(done.stderr.splitlines()) == 9


def test_standard_input_and_one_channel(folder):
    with open(folder / 'range.wav', 'rb') as file:
        done = transcribe('--channel', '1', '--format', 'json', '-', stdin=file)
    assert done.returncode == 0
    content = json.loads(done.stdout)
    assert (content['file'], content['text'].capitalize()) == ('standard input', GO)
    assert 'cancel' not in done.stderr
    done = transcribe('-', input='')
    assert (done.returncode, done.stderr) == (1, 'transcribe: standard input is empty\n')


def test_a_channel_that_is_not_there_does_not_stop_the_others(folder):
    done = transcribe('--channel', '1', str(folder / 'go.oga'), str(folder / 'range.wav'))
    assert done.returncode == 1
    assert done.stdout.lower().endswith(f'range.wav: {GO.lower()}\n')
    assert 'go.oga cannot be used: --channel is 1, but the recording has no channel beyond 0' in (
        done.stderr
    )
    assert transcribe('--channel', '-2', 'a.wav').returncode == 2


def test_everything_marks_what_was_rejected(folder):
    files = str(folder / 'silence.wav'), str(folder / 'quiet.wav')
    done = transcribe('--everything', '--format', 'json', '--output', str(folder / 'out'), *files)
    assert done.returncode == 0
    silence = json.loads((folder / 'out' / 'silence.json').read_text())
    assert silence['segments']
    assert all(segment['rejected'] for segment in silence['segments'])
    quiet = json.loads((folder / 'out' / 'quiet.json').read_text())
    assert [segment['rejected'] for segment in quiet['segments']] == ['']
    done = transcribe('--everything', files[0])
    assert done.stdout.startswith('[rejected] ')


def test_subtitles_of_several_recordings_need_a_folder(folder):
    for form in ('srt', 'vtt'):
        done = transcribe('--format', form, str(folder / 'go.oga'), str(folder / 'late.wav'))
        assert done.returncode == 2
        assert done.stdout == ''
        assert done.stderr.count('\n') == 1
        assert f'--format {form} of 2 recordings needs --output' in done.stderr


def test_an_output_that_cannot_be_written_does_not_stop_the_others(folder, tmp_path):
    (tmp_path / 'go.txt').mkdir()
    (tmp_path / 'go.txt' / 'something').touch()
    files = str(folder / 'go.oga'), str(folder / 'quiet.wav')
    done = transcribe('--output', str(tmp_path), *files)
    assert done.returncode == 1
    assert f'{tmp_path}/go.txt cannot be written: Is a directory' in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ['go.txt', 'quiet.txt']
    assert (tmp_path / 'quiet.txt').read_text().capitalize() == f'{GO}\n'


def test_a_failed_write_leaves_no_file(tmp_path, monkeypatch):
    file = tmp_path / 'a.srt'
    file.write_text('older')

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OutputError, match='a.srt cannot be written: No space left on device'):
        write(file, 'text')
    assert [path.name for path in tmp_path.iterdir()] == ['a.srt']
    assert file.read_text() == 'older'
    monkeypatch.undo()
    with pytest.raises(FileError, match='cannot be written: No such file'):
        write(tmp_path / 'deeper' / 'a.srt', 'text')
    before = os.umask(0o022)
    try:
        write(file, 'naïve 前进')
    finally:
        os.umask(before)
    assert file.read_bytes().decode() == 'naïve 前进'
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_folder_that_may_not_be_read_is_one_line(tmp_path, monkeypatch):
    (tmp_path / 'closed').mkdir()
    (tmp_path / 'a.wav').touch()
    real = os.scandir

    def scandir(path):
        if str(path).endswith('closed'):
            raise PermissionError(errno.EACCES, 'Permission denied', path)
        return real(path)

    monkeypatch.setattr(os, 'scandir', scandir)
    skipped: list[str] = []
    failed: list[str] = []
    found = recordings([str(tmp_path), 'x' * 5000, 'a\0b'], skipped.append, failed.append)
    assert found == [tmp_path / 'a.wav', Path('x' * 5000), Path('a\0b')]
    assert failed == [f'the folder {tmp_path}/closed cannot be read: Permission denied']
    assert skipped == []


def test_signs_with_a_meaning_in_subtitles():
    text = 'R&D says <b>a < b</b> --> go\n\non'
    assert vtt([(0.0, 1.0, text)]).splitlines()[3:] == [
        'R&amp;D says &lt;b&gt;a &lt; b&lt;/b&gt; --&gt; go on'
    ]
    assert srt([(0.0, 1.0, text)]).splitlines()[2:] == ['R&D says ‹b>a < b‹/b> → go on']


def test_a_prompt_that_is_too_long_is_told_once(folder):
    arguments = [argument for number in range(200) for argument in ('--hotword', f'Zorb{number}')]
    done = transcribe(*arguments, str(folder / 'go.oga'), str(folder / 'quiet.wav'))
    assert done.returncode == 0
    assert done.stderr.count('the decoder takes a prompt of 223 tokens: left out are') == 1
