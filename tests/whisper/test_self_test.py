"""The self-test of the warm-up, and the switches of the ways to run a model."""

from typing import Any

import numpy as np
import pytest
from robot import goforward, MODEL
from test_decoding import alike, task
import torch
from transformers import WhisperFeatureExtractor

from distil_whisper_ros.core.errors import ModelError, SettingError
from distil_whisper_ros.core.scheduler import JobContext
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper import device, model
from distil_whisper_ros.whisper.attention import fused_attention, math_attention
from distil_whisper_ros.whisper.decoding.cuda_graph import CudaGraphDecoder, StaticStep
from distil_whisper_ros.whisper.decoding.network import DecoderNetwork
from distil_whisper_ros.whisper.encoder import Encoder
from distil_whisper_ros.whisper.features import BACKGROUND, LogMel
from distil_whisper_ros.whisper.self_test import self_test, spoken_clip
from distil_whisper_ros.whisper.transcriber import Transcriber

GO = 'Go forward 10 meters.'
SECONDS = 16_000


@pytest.fixture
def check(transcriber, monkeypatch):
    """Run the self-test with a CUDA graph's decoder; return what it warns of."""
    whisper = transcriber._whisper
    monkeypatch.setattr(whisper.decoders, 'cuda_graph', CudaGraphDecoder(whisper.decoders.greedy))

    def run() -> list[str]:
        notices: list[str] = []
        monkeypatch.setattr(whisper.decoders, '_on_notice', notices.append)
        with torch.inference_mode():
            self_test(whisper, 'a model', 'float16', 10 * SECONDS, notices.append)
        return notices

    return run


def test_the_clip_is_understood(transcriber):
    assert 'kitchen' in transcriber(Utterance.whole(spoken_clip())).text


def test_a_graph_that_is_right_is_kept(transcriber, check):
    assert check() == []
    assert transcriber._whisper.decoders.cuda_graph is not None


@pytest.mark.parametrize('factor', [float('nan'), 3.0])
def test_a_graph_with_other_probabilities_is_switched_off(transcriber, check, monkeypatch, factor):
    output = StaticStep.output

    def wrong(step, count):
        ids, values = output(step, count)
        return ids, [[factor * value - 0.5 for value in row] for row in values]

    monkeypatch.setattr(StaticStep, 'output', wrong)
    (notice,) = check()
    assert notice.startswith('the self-test decodes another text with a CUDA graph than without')
    assert transcriber._whisper.decoders.cuda_graph is None


def test_a_graph_with_another_text_is_switched_off(transcriber, check, monkeypatch):
    output = StaticStep.output

    def wrong(step, count):
        ids, values = output(step, count)
        return [[ids[0][0], 1000, *ids[0][2:]]], values

    monkeypatch.setattr(StaticStep, 'output', wrong)
    (notice,) = check()
    assert 'another text with a CUDA graph than without' in notice
    assert transcriber._whisper.decoders.cuda_graph is None
    assert transcriber(Utterance.whole(goforward())).text == GO


def test_a_graph_that_cannot_be_captured_is_switched_off(transcriber, check, monkeypatch):
    def fail(*_arguments):
        raise RuntimeError('CUDA error: operation not permitted when stream is capturing\nmore')

    monkeypatch.setattr(StaticStep, '__init__', fail)
    (notice,) = check()
    assert notice.startswith('decoding with a CUDA graph failed (CUDA error: operation not permit')
    assert '\n' not in notice
    assert transcriber._whisper.decoders.cuda_graph is None


@pytest.mark.parametrize('factor', [float('nan'), 2.0])
def test_fused_attention_that_is_wrong_is_not_used(transcriber, check, monkeypatch, factor):
    whisper = transcriber._whisper
    monkeypatch.setattr(model.Whisper, 'may_change_attention', True)
    broken = {'sdpa': lambda *parts: factor * fused_attention(*parts), 'math': math_attention}
    monkeypatch.setattr(model, 'ATTENTION', broken)
    whisper.use_attention('sdpa')
    try:
        (notice,) = check()
        assert 'other values with the fused attention of PyTorch' in notice
        assert whisper.encoder.attention is math_attention
        assert transcriber(Utterance.whole(goforward())).text == GO
        broken['sdpa'] = fused_attention
        whisper.use_attention('sdpa')
        assert check() == []
        assert whisper.encoder.attention is fused_attention
    finally:
        whisper.encoder.attention = whisper.decoders.greedy.network.attention = fused_attention


def test_a_test_that_needs_too_much_memory_is_left_out(transcriber, check, monkeypatch):
    """Plain products need more of it than fused attention, which may fit where they do not."""

    def full(*_parts):
        raise RuntimeError('CUDA out of memory')

    whisper = transcriber._whisper
    monkeypatch.setattr(model.Whisper, 'may_change_attention', True)
    monkeypatch.setattr(model, 'ATTENTION', {'sdpa': fused_attention, 'math': full})
    try:
        assert check() == []
        assert (
            whisper.encoder.attention
            is whisper.decoders.greedy.network.attention
            is fused_attention
        )
    finally:
        whisper.encoder.attention = whisper.decoders.greedy.network.attention = fused_attention


def test_states_that_are_not_finite_are_an_error(transcriber, check, monkeypatch):
    encode = transcriber._whisper.encode
    monkeypatch.setattr(transcriber._whisper, 'encode', lambda x: encode(x) * float('inf'))
    with pytest.raises(ModelError, match='a model computes values that are not finite in float16'):
        check()


def test_the_warm_up_runs_it(monkeypatch):
    monkeypatch.setattr(Encoder, '__call__', lambda *_: torch.full((1, 500, 384), float('nan')))
    with pytest.raises(ModelError, match='not finite in float32: set model.dtype to float32'):
        Transcriber(ModelSettings(id=str(MODEL), dtype='float32'))


def test_math_attention_is_that_of_pytorch(transcriber):
    whisper, wanted = transcriber._whisper, task(transcriber)
    graph = CudaGraphDecoder(whisper.decoders.greedy)
    with torch.inference_mode():
        features = whisper.features([goforward()], 10 * SECONDS)
        (fused,) = whisper.decoders.greedy.decode(whisper.encode(features), wanted, JobContext())
        whisper.use_attention('math')
        try:
            for decoder in (whisper.decoders.greedy, graph):
                alike(decoder.decode(whisper.encode(features), wanted, JobContext())[0], fused)
        finally:
            whisper.use_attention('sdpa')


def test_the_engine_of_transformers():
    settings = ModelSettings(
        id=str(MODEL), engine='transformers', attention='math', warm_up=False
    )  # fmt: skip
    transcriber = Transcriber(settings)
    assert transcriber.precision == 'float32'
    assert transcriber._whisper.decoders.greedy is transcriber._whisper.encoder is None
    assert transcriber._whisper.model.config._attn_implementation == 'eager'
    assert transcriber(Utterance.whole(goforward())).text == GO


def test_engines_that_cannot_run(monkeypatch):
    with pytest.raises(SettingError, match="model.engine is 'transformers', which has no int8"):
        Transcriber(ModelSettings(id=str(MODEL), engine='transformers', dtype='int8'))
    monkeypatch.setattr(DecoderNetwork, 'supports', lambda _model: False)
    with pytest.raises(ModelError, match="model.engine is 'fast', but it does not know the arch"):
        Transcriber(ModelSettings(id=str(MODEL), engine='fast'))


@pytest.mark.parametrize('bands', [80, 128])
def test_features_are_those_of_transformers(bands):
    extractor = WhisperFeatureExtractor(feature_size=bands)
    batch = [np.tile(goforward(), 2)[:50_000], goforward()[:20_000], np.zeros(100, np.float32)]
    expected = extractor(
        batch, sampling_rate=16_000, return_tensors='pt', padding='max_length', max_length=60_000
    ).input_features
    found = LogMel(extractor, torch.device('cpu'))(batch, 60_000)
    sentence, short, shortest = found
    torch.testing.assert_close(sentence, expected[0], atol=1e-5, rtol=0)
    for clip, theirs, samples in zip((short, shortest), expected[1:], batch[1:]):
        end = len(samples) // extractor.hop_length + 1
        torch.testing.assert_close(clip[:, :end], theirs[:, :end], atol=1e-5, rtol=0)
        assert end < clip.shape[1]
        assert (clip[:, end:] == BACKGROUND).all()


def test_soft_noise_is_behind_short_clips_alone():
    """It is softer than speech and louder than silence, and behind clips of up to 2 s."""
    log_mel = LogMel(WhisperFeatureExtractor(), torch.device('cpu'))
    short, long = goforward()[: 2 * SECONDS], goforward()[: 2 * SECONDS + 1]
    with_noise, with_silence = log_mel([short, long], 3 * SECONDS)
    end = 2 * 100 + 1  # frames of 10 ms
    loudest, silence = (40 * float(each) for each in (with_noise.max(), with_silence[:, -1].max()))
    noise = 40 * with_noise[:, end:]  # dB
    assert noise.min() == noise.max()
    assert 40 <= loudest - float(noise.max()) <= 56
    assert float(noise.min()) - silence >= 24
    assert with_silence[:, end + 3 :].max() == with_silence.min()


def test_float16_ends_where_transformers_ends_it(transcriber):
    """Large models overflow between layers: their largest values are cut, not infinite."""

    class Overflow:
        def __call__(self, x, _attention):
            return torch.full_like(x, float('inf')).copysign(x)

    encoder: Any = Encoder(transcriber._whisper.model, False)
    encoder._layers, encoder._positions = [Overflow()], encoder._positions.half()
    encoder._encoder = type(
        'Parts',
        (),
        {'conv1': lambda _, x: x, 'conv2': lambda _, x: x, 'layer_norm': lambda _, x: x},
    )()
    states = encoder(torch.ones(1, 384, 16, dtype=torch.float16))
    assert states.abs().max() <= 65504 - 1000 + 8


def test_the_times_of_stages_are_waited_for_only_if_asked(transcriber, monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, 'synchronize', waited.append)
    monkeypatch.setattr(transcriber, 'device', torch.device('cuda:1'))
    transcriber(Utterance.whole(goforward()))
    assert waited == []
    monkeypatch.setattr(transcriber, 'times_stages', True)
    transcriber(Utterance.whole(goforward()))
    assert set(waited) == {torch.device('cuda:1')}


@pytest.mark.parametrize('requested', ['auto', 'cuda'])
def test_a_gpu_has_a_number(monkeypatch, requested):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    assert device.choose_device(requested) == torch.device('cuda:0')
    assert device.choose_device('cuda:1') == torch.device('cuda:1')


@pytest.mark.parametrize('requested', ['', 'CUDA', 'cuda:x', 'cuda:-1', 'cpu:3', 'mps', 'cuda '])
def test_what_is_no_device_is_told(monkeypatch, requested):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    with pytest.raises(SettingError, match=f"model.device is '{requested}', but must be one of"):
        device.choose_device(requested)


@pytest.mark.parametrize(
    ('cuda', 'said'),
    [
        (None, 'is a build for the CPU: install the PyTorch build for this GPU, or'),
        ('12.6', r'cannot use a GPU: run doctor, which says why \(in a container: the nvidia run'),
    ],
)
def test_why_there_is_no_gpu(monkeypatch, cuda, said):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(torch.version, 'cuda', cuda)
    with pytest.raises(SettingError, match=f"^model.device is 'cuda', but torch [^ ]+ {said}"):
        device.choose_device('cuda')


@pytest.mark.parametrize('requested', ['cuda:1', 'cuda:128', 'cuda:99999'])
def test_a_gpu_that_is_not_there_is_told(monkeypatch, requested):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    with pytest.raises(SettingError, match='but this machine has 1 GPUs: the last one is cuda:0'):
        device.choose_device(requested)
