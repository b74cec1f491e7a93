"""Files as people have them: wrong headers, odd levels, opposite channels, formats of phones."""

from pathlib import Path
import sys
import tracemalloc

import numpy as np
import pytest
from robot import goforward, RATE
import soundfile

from distil_whisper_ros.audio.file_source import FileSource
from distil_whisper_ros.audio.levels import level
from distil_whisper_ros.audio.recordings import load_recording, Recording
from distil_whisper_ros.core.errors import FileError

DATA = Path(__file__).parent / 'data'


def similarity(samples: np.ndarray) -> float:
    said = goforward()
    return float(np.corrcoef(samples[: len(said)], said)[0, 1])


def written(path: Path, samples: np.ndarray, **more) -> Recording:
    soundfile.write(path, samples, RATE, **more)
    return load_recording(path)


def test_a_good_recording_has_no_notice(tmp_path):
    recording = written(tmp_path / 'a.wav', np.stack([goforward()] * 2, 1))
    assert recording.notices == ()
    assert (recording.sample_rate, recording.channels) == (RATE, 2)


@pytest.mark.parametrize('scale', [2.0**15, 2.0**23, 2.0**31])
def test_floats_in_the_range_of_whole_numbers(tmp_path, scale):
    recording = written(tmp_path / 'a.wav', goforward() * scale, subtype='FLOAT')
    assert 'where full scale is 1: all are divided by' in recording.notices[0]
    assert similarity(recording.samples) > 0.999
    assert -50 < level(recording.samples) < -10


def test_a_click_beyond_full_scale_does_not_make_the_rest_silent(tmp_path):
    samples = goforward()
    samples[100] = 1e9
    recording = written(tmp_path / 'a.wav', samples, subtype='FLOAT')
    assert recording.notices == ()
    assert level(recording.samples[200:]) == pytest.approx(level(goforward()[200:]), abs=0.1)


@pytest.mark.parametrize('loudness', [-50, -60, -70])
def test_a_quiet_recording_is_amplified(tmp_path, loudness):
    gain = 10 ** ((loudness - level(goforward())) / 20)
    recording = written(tmp_path / 'a.wav', goforward() * gain, subtype='FLOAT')
    assert 'it is very quiet' in recording.notices[0]
    assert -35 < level(recording.samples) < -20
    assert similarity(recording.samples) > 0.99
    # A click is not loud speech.
    clicked = goforward() * gain
    clicked[500] = 1.0
    assert 'it is very quiet' in written(tmp_path / 'b.wav', clicked).notices[0]


def test_silence_is_told_and_not_amplified(tmp_path):
    assert written(tmp_path / 'a.wav', np.zeros(RATE)).notices == ('it holds only zeros',)
    faint = np.random.default_rng(0).normal(0, 1e-5, RATE)
    recording = written(tmp_path / 'b.wav', faint, subtype='FLOAT')
    assert 'it is silent' in recording.notices[0]
    assert np.abs(recording.samples).max() < 1e-3


@pytest.mark.parametrize('rate', [16_000, 48_000])
def test_opposite_channels_are_not_mixed_to_nothing(tmp_path, rate):
    noise = np.random.default_rng(0).normal(0, 1e-4, (2, len(goforward())))
    both = np.stack([0.5 * goforward(), -0.6 * goforward()], 1) + noise.T
    path = tmp_path / 'a.wav'
    soundfile.write(path, both, rate)
    recording = load_recording(path)
    assert recording.notices == (
        'its channels cancel each other out when they are mixed: channel 1 is used',
    )
    assert level(recording.samples) == pytest.approx(level(goforward() * np.float32(0.6)), abs=0.5)


def test_channels_without_a_relation_are_mixed(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, (RATE, 8))
    assert written(tmp_path / 'a.wav', noise).notices == ()
    noise[:, 1:] = 0  # one microphone of eight
    assert written(tmp_path / 'b.wav', noise).notices == ()


def test_one_channel_of_an_array(tmp_path):
    path = tmp_path / 'a.wav'
    playback = np.random.default_rng(0).normal(0, 0.1, len(goforward()))
    soundfile.write(path, np.stack([goforward(), playback, -goforward()], 1), RATE)
    assert similarity(load_recording(path, 0).samples) > 0.999
    assert similarity(load_recording(path, 2).samples) < -0.999
    with pytest.raises(FileError) as error:
        load_recording(path, 3)
    assert str(error.value) == (
        f'the recording {path} cannot be used: microphone.channel is 3, but the recording has '
        'no channel beyond 2 (the first is 0)'
    )


def header(path: Path, place: int, value: int, order, size: int = 4) -> None:
    content = bytearray(path.read_bytes())
    content[place : place + size] = value.to_bytes(size, order)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ('value', 'notice'),
    [
        (0, 'its header tells 0 bytes of audio'),
        (1000, 'its header tells 1000 bytes of audio'),
        (0xFFFFFFFF, 'its header tells no length'),
        (0x7FFFF000, 'its header tells no length'),
        (90_000_000, 'its header tells 90000000 bytes of audio, but only'),
    ],
)
@pytest.mark.parametrize('name', ['a.wav', 'a.aiff', 'a.au', 'a.caf'])
def test_a_wrong_length_in_the_header(tmp_path, name, value, notice):
    path = tmp_path / name
    soundfile.write(path, goforward(), RATE, subtype='PCM_16')
    content = path.read_bytes()
    if name == 'a.au':
        header(path, 8, value, 'big')
    elif name == 'a.caf':
        header(path, content.index(b'data') + 4, value, 'big', 8)
    elif name == 'a.aiff':
        header(path, content.index(b'SSND') + 4, value, 'big')
    else:
        header(path, content.index(b'data') + 4, value, 'little')
        header(path, 4, 0, 'little')
    recording = load_recording(path)
    assert notice in recording.notices[0]
    assert len(recording.samples) == pytest.approx(len(goforward()), abs=10)
    assert similarity(recording.samples) > 0.99


def test_a_flac_without_a_length_and_one_that_was_cut_off(tmp_path):
    path = tmp_path / 'a.flac'
    soundfile.write(path, goforward(), RATE)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert len(load_recording(path).samples) == len(goforward())
    path.write_bytes(content[: len(content) // 2])
    recording = load_recording(path)
    assert 'it is damaged after 1.0 s' in recording.notices[0]
    assert similarity(np.pad(recording.samples, (0, len(goforward())))) > 0.3


def test_chunks_behind_the_audio_are_not_heard(tmp_path):
    path = tmp_path / 'a.wav'
    soundfile.write(path, goforward(), RATE)
    title = b'LIST' + (5000).to_bytes(4, 'little') + bytes(5000)
    path.write_bytes(path.read_bytes() + title)
    recording = load_recording(path)
    assert recording.notices == ()
    assert len(recording.samples) == len(goforward())


@pytest.mark.parametrize(
    ('name', 'subtype'), [('a.mp3', None), ('a.oga', 'VORBIS'), ('a.opus', 'OPUS')]
)
def test_mp3_opus_and_oga(tmp_path, name, subtype):
    path = tmp_path / name
    form = 'MP3' if name == 'a.mp3' else 'OGG'
    if form not in soundfile.available_formats():
        pytest.skip(f'this libsndfile has no {form}')
    soundfile.write(path, goforward(), RATE, format=form, subtype=subtype)
    assert similarity(load_recording(path).samples) > 0.9


@pytest.mark.parametrize('name', ['go.m4a', 'go.webm'])
def test_recordings_of_phones_and_browsers(name):
    pytest.importorskip('av')
    recording = load_recording(DATA / name)
    assert recording.notices == ()
    said = goforward()  # an encoder delays by up to a tenth of a second
    heard = recording.samples[:40_000]
    scores = np.correlate(np.pad(said, 4000), heard, 'valid')
    assert np.abs(scores).max() / (heard @ heard) > 0.7


@pytest.mark.parametrize(('name', 'kind'), [('go.m4a', 'M4A'), ('go.webm', 'WebM')])
def test_without_pyav_one_sentence_says_what_to_install(monkeypatch, name, kind):
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(FileError, match='which needs PyAV: install it') as error:
        FileSource(str(DATA / name)).open()
    assert kind in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('name', ['go.m4a', 'go.webm'])
def test_a_damaged_file_of_a_phone_is_one_sentence(tmp_path, name):
    pytest.importorskip('av')
    path = tmp_path / name
    content = (DATA / name).read_bytes()
    for end in (100, len(content) // 2):
        path.write_bytes(content[:end])
        try:
            assert len(load_recording(path).samples)
        except FileError as error:
            assert str(path) in str(error)
            assert '\n' not in str(error)


def test_the_data_of_macos_is_no_recording(tmp_path):
    path = tmp_path / '._a.wav'
    path.write_bytes(b'\0\5\x16\7' + bytes(4000))
    with pytest.raises(FileError, match='macOS keeps other data of a file in it'):
        load_recording(path)


def test_a_long_odd_recording_is_kept_once(tmp_path):
    """Ten minutes at 48 kHz in stereo, in another range and with opposite channels."""
    path = tmp_path / 'long.wav'
    second = np.random.default_rng(0).normal(0, 3000, 48_000).astype(np.float32)
    with soundfile.SoundFile(path, 'w', 48_000, 2, 'FLOAT') as recording:
        for _ in range(600):
            recording.write(np.stack([second, -second], 1))
    tracemalloc.start()
    try:
        loaded = load_recording(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(loaded.notices) == 2
    assert most < 100e6


def test_the_file_source_tells_what_is_odd(tmp_path):
    path = tmp_path / 'a.wav'
    soundfile.write(path, np.stack([goforward(), -goforward()], 1), RATE)
    notices: list[str] = []
    source = FileSource(str(path), on_notice=notices.append)
    source.open()
    assert len(notices) == 1 and 'cancel each other out' in notices[0]
    health = source.health()
    assert health.open and health.problem == notices[0]
    assert (health.sample_rate, health.channels) == (RATE, 2)
    chosen = FileSource(str(path), channel=1)
    chosen.open()
    assert chosen.health().problem == ''
