"""`make bench-corpus`: people measure their own recordings."""

import subprocess
import sys

import numpy as np
from own_recordings import Row
import pytest
from robot import goforward, RATE, ROOT
import soundfile
from sounds import speech

from distil_whisper_ros.core.types import Outcome, Transcript


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / 'benchmarks/own_recordings.py'), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_a_folder_is_measured(tmp_path):
    said = speech()['librivox/0930']
    soundfile.write(tmp_path / 'go.wav', goforward(), RATE)
    (tmp_path / 'go.txt').write_text('go forward ten meters')
    pause = np.zeros(3 * RATE)
    soundfile.write(tmp_path / 'both.flac', np.concatenate([said[0], pause, goforward()]), RATE)
    (tmp_path / 'both.txt').write_text(f'{said[1]} go forward ten meters')
    done = run(tmp_path, '--ratios', 'clean', '--real-time', 0)
    assert done.returncode == 0, done.stderr
    assert '2 recordings, 0.2 minutes' in done.stdout
    (row,) = [line for line in done.stdout.splitlines() if 'clean' in line]
    cells = [cell.strip() for cell in row.strip('│').split('│')]
    assert cells[:7] == ['clean', '0.000', '0', '0', '0', '1', '0']  # one was heard in two parts


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['--set', 'utterance.end_silence'], 'must be NAME=VALUE'),
        (['--set', 'utterance.end_silence=-1'], 'utterance.end_silence is -1'),
        (['--set', 'audio.source=file'], 'audio.source is set by the benchmark itself'),
        (['--set', 'mute.at_start=true'], 'mute.at_start is set by the benchmark itself'),
        (['--ratios', 'nan'], "invalid ratio value: 'nan'"),
        ([], 'has no recordings'),
    ],
)
def test_what_cannot_be_measured(tmp_path, arguments, sentence):
    done = run(tmp_path, *arguments)
    assert done.returncode in (1, 2)
    assert sentence in done.stderr and 'Traceback' not in done.stderr


def test_a_wrong_path_and_recordings_without_text(tmp_path):
    done = run(tmp_path / 'typo')
    assert done.returncode == 1 and done.stderr == f'{tmp_path / "typo"} is not a folder\n'
    soundfile.write(tmp_path / 'go.wav', goforward(), RATE)
    soundfile.write(tmp_path / 'left.wav', goforward(), RATE)
    (tmp_path / 'go.txt').write_text('go forward ten meters')
    done = run(tmp_path, '--ratios', 'clean', '--real-time', 0)
    assert done.returncode == 0 and '1 recording,' in done.stdout
    assert f'left out: 1 of 2 recordings have no text, as {tmp_path / "left.wav"}' in done.stderr


def test_librispeech_and_a_recording_that_cannot_be_read(tmp_path):
    chapter = tmp_path / '1089' / '134686'
    chapter.mkdir(parents=True)
    soundfile.write(chapter / '1089-134686-0000.flac', goforward(), RATE)
    (chapter / '1089-134686-0001.flac').write_bytes(b'no recording')
    (chapter / '1089-134686.trans.txt').write_text(
        '1089-134686-0000 GO FORWARD TEN METERS\n1089-134686-0001 STOP\n'
    )
    done = run(tmp_path, '--ratios', 'clean', '--real-time', 0)
    assert done.returncode == 0, done.stderr
    assert '1 recording,' in done.stdout and '│ clean' in done.stdout and '0.000' in done.stdout
    assert '1089-134686-0001.flac is not a recording that can be read' in done.stderr
    (chapter / '1089-134686-0000.flac').unlink()
    done = run(tmp_path, '--real-time', 0)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'no recording can be read' in done.stderr


def test_a_model_that_is_not_there(tmp_path):
    soundfile.write(tmp_path / 'go.wav', goforward(), RATE)
    (tmp_path / 'go.txt').write_text('go forward ten meters')
    done = run(tmp_path, '--model', '/no/model')
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert "model.id is the folder '/no/model', which does not exist" in done.stderr


def test_cuts_are_missing_words_at_an_end():
    row = Row()
    for text in ('go forward ten meters', 'forward ten meters', 'go forward', '', 'so forward'):
        heard = [Transcript(Outcome.TRANSCRIBED, text=text)] if text else []
        row.add('go forward ten meters', heard)
    assert row.cuts() == (2, 3)
    assert row.utterances == [1, 1, 1, 0, 1]
