"""Smart Turn itself, and what happens without it."""

import os
from pathlib import Path
import subprocess
import sys
import threading
from zipfile import ZipFile

from huggingface_hub.errors import LocalEntryNotFoundError
import numpy as np
import pytest
from robot import goforward, RATE, raw, RECORDINGS, TURN_MODEL, wait_for
import unpack_smart_turn

from distil_whisper_ros.audio.log_mel import log_mel
from distil_whisper_ros.core.errors import ModelError
from distil_whisper_ros.speech import turn_detector
from distil_whisper_ros.speech.turn_detector import HEARD, load, TurnDetector
from distil_whisper_ros.whisper.checkpoint import find_turn_model
from distil_whisper_ros.whisper.checkpoint import TURN_MODEL as FILE

PAUSE = np.random.default_rng(0).normal(0, 3e-4, round(0.13 * RATE)).astype(np.float32)


def untold(_step, _share):
    pass


@pytest.fixture(scope='module')
def detector():
    notices: list[str] = []
    made = TurnDetector(lambda: find_turn_model(str(TURN_MODEL), True, untold), notices.append)
    yield made
    made.close()
    assert not notices


def test_the_spectrogram_is_that_of_transformers():
    from transformers import WhisperFeatureExtractor

    samples = np.pad(goforward(), (HEARD - len(goforward()), 0))
    theirs = WhisperFeatureExtractor(chunk_length=8)(
        samples, sampling_rate=RATE, do_normalize=True, return_tensors='np'
    ).input_features[0]
    assert np.abs(log_mel(samples) - theirs).max() < 1e-4


def test_the_spectrogram_keeps_no_other_core_busy():
    """Threads of numpy's BLAS would spin beside the transcription."""
    code = (
        'import time, numpy as np\n'
        'from distil_whisper_ros.audio.log_mel import log_mel\n'
        'samples = np.random.default_rng(0).normal(0, 0.1, 128000).astype(np.float32)\n'
        'log_mel(samples)\n'
        'time.sleep(0.3)\n'  # threads that were made at the import have gone to sleep
        'mine, all = time.thread_time(), time.process_time()\n'
        'for _ in range(10):\n'
        '    log_mel(samples)\n'
        '    time.sleep(0.05)\n'
        'print((time.process_time() - all) / (time.thread_time() - mine))'
    )
    ran = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert float(ran.stdout) < 1.5


def test_it_is_busy_until_it_has_answered_but_not_while_it_loads(monkeypatch):
    asked, found, judging, answer = (threading.Event() for _ in range(4))

    def find():
        asked.set()
        assert found.wait(30)
        return find_turn_model(str(TURN_MODEL), True, untold)

    def judge(*_):
        judging.set()
        assert answer.wait(30)
        return 0.5

    detector = TurnDetector(find)
    try:
        assert not detector.busy
        loading = detector.load()
        assert asked.wait(30) and not detector.busy  # a download may take minutes
        found.set()
        assert loading.future.result(30)
        monkeypatch.setattr(turn_detector, 'judged', judge)
        job = detector.ask(PAUSE)
        assert judging.wait(30) and detector.busy
        answer.set()
        assert job is not None and job.future.result(30) == 0.5
        wait_for(lambda: not detector.busy, 5, 'the end of its work')
    finally:
        found.set()
        answer.set()
        detector.close()


def test_it_hears_whether_a_sentence_is_complete(detector):
    said = raw(RECORDINGS / 'something.raw')  # "go somewhere and do something"

    def ask(seconds: float) -> float:
        return detector.ask(np.concatenate((said[: round(seconds * RATE)], PAUSE))).future.result(
            30
        )

    assert ask(2.35) > 0.6
    # Of a single place, processors with and without VNNI compute 0.57 and less than 0.5.
    assert np.mean([ask(seconds) for seconds in (1.2, 1.3, 1.4, 1.5)]) < 0.5


def test_longer_speech_than_it_hears_is_cut_in_front(detector):
    said = np.concatenate((goforward(), PAUSE))
    longer = np.concatenate((np.zeros(2 * HEARD - len(said), np.float32), said))
    answers = [detector.ask(each).future.result(30) for each in (longer, longer[-HEARD:])]
    assert answers[0] == answers[1]


def notices_of(find) -> list[str]:
    notices: list[str] = []
    detector = TurnDetector(find, notices.append)
    try:
        assert detector.load().future.result(30) is False
        assert detector.ask(PAUSE) is None
    finally:
        detector.close()
    return notices


def test_without_a_file_there_is_one_notice(tmp_path):
    (notice,) = notices_of(lambda: find_turn_model(str(tmp_path), True, untold))
    assert f'{tmp_path}' in notice and FILE in notice
    assert notice.startswith('without turn detection, utterances end after utterance.end_silence')


def test_without_onnxruntime_there_is_one_notice(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    (notice,) = notices_of(lambda: find_turn_model(str(TURN_MODEL), True, untold))
    assert 'onnxruntime is not installed: pip install onnxruntime' in notice


class Broken:
    """An onnxruntime that is installed, but cannot be imported."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def find_spec(self, name, *_):
        if name == 'onnxruntime':
            raise self._error


@pytest.mark.parametrize(
    'error',
    [
        ImportError('numpy.core.multiarray failed to import'),
        AttributeError('_ARRAY_API not found'),
        ModuleNotFoundError("No module named 'flatbuffers'", name='flatbuffers'),
    ],
)
def test_a_broken_onnxruntime_is_named_once(monkeypatch, error):
    monkeypatch.delitem(sys.modules, 'onnxruntime', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [Broken(error), *sys.meta_path])
    (notice,) = notices_of(lambda: find_turn_model(str(TURN_MODEL), True, untold))
    assert f'onnxruntime cannot be imported ({error}): install it again' in notice


def test_a_model_that_gives_no_probability_is_named_once(monkeypatch):
    import onnxruntime

    for wrong in (lambda *_: [np.zeros(0)], lambda *_: [np.full((1, 1), np.nan)]):
        monkeypatch.setattr(onnxruntime.InferenceSession, 'run', wrong)
        (notice,) = notices_of(lambda: find_turn_model(str(TURN_MODEL), True, untold))
        assert f'{FILE} cannot be used as Smart Turn' in notice


def test_an_unexpected_error_is_one_notice_too():
    def find():
        raise RuntimeError('odd')

    (notice,) = notices_of(find)
    assert "internal error: RuntimeError('odd')" in notice


@pytest.mark.parametrize('content', [b'', b'no model', 'half'])
def test_a_damaged_file_is_named(tmp_path, content):
    if content == 'half':
        content = (TURN_MODEL / FILE).read_bytes()[:4_000_000]
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ModelError, match=f'{FILE} cannot be used as Smart Turn'):
        load(tmp_path / FILE)


def test_a_giant_is_never_read(tmp_path):
    path = tmp_path / FILE
    path.touch()
    os.truncate(path, 10**12)
    with pytest.raises(ModelError, match='it has more than 500000000 bytes'):
        load(path)


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('/no/such/file.onnx', 'where there is no smart-turn-v3.2-cpu.onnx'),
        ('~nobody-of-that-name/x', 'where there is no smart-turn'),
        ('models/typo.onnx', 'where there is no smart-turn'),
        ('a b', 'must be a name on the hub'),
        ('pipecat-ai/smart-turn-v3', 'fetch it once with a network'),
    ],
)
def test_a_file_that_is_not_there(name, reason, tmp_path, monkeypatch):
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path))
    with pytest.raises(ModelError, match=reason):
        find_turn_model(name, True, untold)


def test_a_file_a_folder_and_the_cache_are_found(tmp_path, monkeypatch):
    assert find_turn_model(str(TURN_MODEL), True, untold) == TURN_MODEL / FILE
    assert find_turn_model(str(TURN_MODEL / FILE), True, untold) == TURN_MODEL / FILE
    hub = tmp_path / 'models--pipecat-ai--smart-turn-v3'
    snapshot = hub / 'snapshots' / ('a' * 40)
    snapshot.mkdir(parents=True)
    (hub / 'refs').mkdir()
    (hub / 'refs' / 'main').write_text('a' * 40)
    (snapshot / FILE).write_bytes(b'model')
    monkeypatch.setattr('distil_whisper_ros.whisper.checkpoint.snapshot_download', _cached(hub))
    assert find_turn_model('pipecat-ai/smart-turn-v3', False, untold) == snapshot / FILE


def test_the_hub_is_asked_for_the_file_alone(tmp_path, monkeypatch):
    asked = []

    def download(**more):
        asked.append(more)
        if more.get('local_files_only'):
            raise LocalEntryNotFoundError('not in the cache')
        if len(asked) > 2:
            (tmp_path / FILE).write_bytes(b'model')
        return str(tmp_path)

    monkeypatch.setattr('distil_whisper_ros.whisper.checkpoint.snapshot_download', download)
    name = 'pipecat-ai/smart-turn-v3'
    with pytest.raises(ModelError, match=f'{name} has no {FILE}'):
        find_turn_model(name, False, untold)
    assert find_turn_model(name, False, untold) == tmp_path / FILE
    assert all((each['repo_id'], each['allow_patterns']) == (name, [FILE]) for each in asked)
    assert [bool(each.get('local_files_only')) for each in asked] == [True, False] * 2
    with pytest.raises(ModelError, match='is not in the cache on this machine'):
        find_turn_model(name, True, untold)


def test_the_file_in_the_wheel_is_checked(tmp_path, monkeypatch):
    model = (TURN_MODEL / FILE).read_bytes()
    assert len(model) == 8_679_182

    def unpack(content: bytes) -> Path:
        with ZipFile(tmp_path / 'pipecat_ai-1.14.0-py3-none-any.whl', 'w') as wheel:
            wheel.writestr(unpack_smart_turn.PLACE, content)
        monkeypatch.setattr(sys, 'argv', ['unpack', str(tmp_path), str(tmp_path / 'models')])
        unpack_smart_turn.main()
        return tmp_path / 'models' / FILE

    with pytest.raises(SystemExit, match='does not have the sha256 2bb02631'):
        unpack(model[:-1] + b'x')
    assert not (tmp_path / 'models').exists()
    assert unpack(model).read_bytes() == model


def _cached(hub: Path):
    from huggingface_hub import snapshot_download

    return lambda **more: snapshot_download(**more, cache_dir=hub.parent)
