"""`speech_calibrate`: the choice of a margin by data, and the tool with the small Whisper."""

import os
import subprocess
import sys

import pytest
from robot import executable, goforward, MODEL, RATE
import soundfile
import yaml

from distil_whisper_ros.cli import calibrate as calibration
from distil_whisper_ros.cli.calibrate import choose, mistakes, plot, Row
from distil_whisper_ros.cli.progress import ProgressBar
from distil_whisper_ros.cli.reference_texts import reference_texts
from distil_whisper_ros.core.errors import SettingError
from distil_whisper_ros.core.settings import settings_from


def row(margin: float, time: float, wrong: int = 3, twice: int = 0) -> Row:
    return Row(margin, time, wrong, twice, 0)


@pytest.mark.parametrize(
    ('rows', 'least', 'margin'),
    [
        ([row(30, 1.0), row(7, 0.5), row(3, 0.4)], 0, 3),
        ([row(30, 1.0), row(7, 0.5), row(3, 0.4)], 5, 7),
        ([row(30, 1.0), row(7, 0.5), row(3, 0.4, wrong=4)], 0, 7),
        ([row(30, 1.0), row(7, 0.5, wrong=2), row(3, 0.4, twice=1)], 0, 7),
        ([row(30, 1.0), row(7, 0.5), row(3, 0.49)], 0, 7),  # not worth it
        ([row(30, 1.0), row(7, 1.1), row(3, 1.2)], 0, 30),  # what fails is decoded twice
    ],
)
def test_the_fastest_margin_that_is_as_right_as_30_s(rows, least, margin):
    assert choose(rows, least).margin == margin


def test_mistakes_are_words_without_case_and_punctuation():
    assert mistakes('go forward ten meters', 'Go forward, ten meters.') == 0
    assert mistakes('go forward ten meters', 'Go forward meters now.') == 2


def test_the_texts_of_a_folder(tmp_path):
    (tmp_path / 'deeper').mkdir()
    (tmp_path / 'transcripts.tsv').write_text('a.wav\tgo left\n')
    (tmp_path / 'deeper/1.trans.txt').write_text('1-1 GO RIGHT\n')
    (tmp_path / 'stop.txt').write_text('stop\n')
    (tmp_path / 'noise.txt').write_text('...\n')
    texts = reference_texts(tmp_path)
    assert texts[tmp_path / 'a.wav'] == 'go left'
    assert texts[tmp_path / 'deeper/1-1.flac'] == 'GO RIGHT'
    assert texts[tmp_path / 'stop.wav'] == 'stop'
    assert tmp_path / 'noise.wav' not in texts


def test_a_plot_without_matplotlib_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib.figure', None)
    with pytest.raises(SettingError, match='--plot needs matplotlib: pip install matplotlib'):
        plot([row(30, 1.0)], row(30, 1.0), '', tmp_path / 'it.png')


def test_the_text_of_the_built_in_clips_is_known():
    """In noise the text with 30 s may be wrong, so it is no reference."""
    options = calibration.arguments().parse_args([])
    clips, texts = calibration.Run(options, ProgressBar(True))._clips()
    assert texts == ['Go to the kitchen and bring me a cup.'] * len(clips)


def test_what_the_plot_lacks_is_told_before_anything_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'matplotlib.figure', None)
    monkeypatch.setattr(calibration.Run, '_clips', None)
    with pytest.raises(SystemExit) as ended:
        calibration.main(['--plot', str(tmp_path / 'it.png')])
    assert ended.value.code == 2
    assert '--plot needs matplotlib: pip install matplotlib' in capsys.readouterr().err


@pytest.mark.parametrize('name', ['it', 'it.xyz'])
def test_a_plot_needs_the_name_of_a_picture(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setattr(calibration.Run, '_clips', None)
    with pytest.raises(SystemExit) as ended:
        calibration.main(['--plot', str(tmp_path / name)])
    assert ended.value.code == 2
    assert f'{name}, but must be named as .png, .svg or .pdf' in capsys.readouterr().err


@pytest.mark.parametrize('option', ['--output', '--plot'])
def test_a_pipe_is_refused_before_anything_is_measured(tmp_path, monkeypatch, capsys, option):
    pytest.importorskip('matplotlib')
    pipe = tmp_path / 'pipe.png'
    os.mkfifo(pipe)
    monkeypatch.setattr(calibration.Run, '_clips', None)
    with pytest.raises(SystemExit) as ended:
        calibration.main([option, str(pipe)])
    assert ended.value.code == 2
    expected = f'calibrate: {pipe} cannot be written: it is not a regular file\n'
    assert capsys.readouterr().err == expected
    assert pipe.is_fifo()


def calibrate(*arguments: str) -> subprocess.CompletedProcess:
    command = [str(executable('calibrate')), '--model', str(MODEL), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_recordings_to_a_table_a_file_of_parameters_and_a_plot(tmp_path):
    pytest.importorskip('matplotlib')
    soundfile.write(tmp_path / 'go.wav', goforward(), RATE)
    soundfile.write(tmp_path / 'nothing.wav', 0 * goforward(), RATE)
    (tmp_path / 'go.txt').write_text('go forward ten metres')
    output, picture = tmp_path / 'robot.yaml', tmp_path / 'it.png'
    done = calibrate(
        *('--margins', '7', '--output', str(output), '--plot', str(picture)), str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    assert 'nothing.wav: no speech was found in it; it is left out' in done.stderr
    assert 'on cpu (int8), 1 recordings, 4 words' in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if ' s ' in line]
    # Compared with the text of the file, not with that of 30 s: "10 meters".
    assert [(cells[0], cells[4]) for cells in rows] == [('30.0', '2'), ('7.0', '2')]
    written = yaml.safe_load(output.read_text())['/**']['ros__parameters']['model']
    assert f'model.audio_context_margin: {written["audio_context_margin"]}' in done.stdout
    settings = settings_from({f'model.{name}': value for name, value in written.items()})
    assert settings.model.id == str(MODEL)
    assert picture.read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize(
    ('arguments', 'code', 'said'),
    [
        (['--output', '/nowhere/robot.yaml'], 2, 'there is no folder for /nowhere/robot.yaml'),
        (['--margins', '31'], 2, 'invalid margin value'),
        (['--dtype', 'int4'], 2, "calibrate: dtype is 'int4', but must be one of"),
        (['/nowhere/a.wav'], 1, 'there is no recording in which somebody speaks'),
    ],
)
def test_wrong_arguments_are_one_line(arguments, code, said):
    done = calibrate(*arguments)
    assert done.returncode == code
    assert said in done.stderr and 'Traceback' not in done.stderr
