"""The memory of a model: one copy of its weights, loaded straight to where they are used."""

from memory import measured
import pytest
from robot import goforward, MODEL
import torch

from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper import model_loading
from distil_whisper_ros.whisper.model_loading import load_weights
from distil_whisper_ros.whisper.quantization import has_full_int8
from distil_whisper_ros.whisper.transcriber import Transcriber


def test_stacked_weights_are_the_only_copy(transcriber):
    whisper = transcriber._whisper.model
    for part in (whisper.get_encoder(), whisper.get_decoder()):
        attention = part.layers[0].self_attn
        places = {
            projection.weight.untyped_storage().data_ptr()
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        }
        assert len(places) == 1
    # transformers computes with the same weights.
    with torch.inference_mode():
        features = transcriber._whisper.features([goforward()], 480_000)
        theirs = whisper.get_encoder()(features).last_hidden_state
        torch.testing.assert_close(
            transcriber._whisper.encode(features), theirs, atol=1e-3, rtol=0
        )


@pytest.mark.parametrize('direct', [True, False])
def test_a_model_goes_straight_to_the_gpu(monkeypatch, direct):
    """Where that fails, it goes the long way, whose error tells the reason."""
    real, maps = model_loading.AutoModelForSpeechSeq2Seq, []

    class Loader:
        @staticmethod
        def from_pretrained(folder, **options):
            maps.append(options.pop('device_map', None))
            if maps[-1] and not direct:
                raise RuntimeError('We encountered some issues during automatic conversion')
            found, info = real.from_pretrained(folder, **options)
            monkeypatch.setattr(type(found), 'to', lambda self, _device: self)
            return found, info

    monkeypatch.setattr(model_loading, 'AutoModelForSpeechSeq2Seq', Loader)
    load_weights(MODEL, 'it', torch.device('cuda:1'), torch.float32)
    assert maps == [{'': torch.device('cuda:1')}] + [None] * (not direct)


def test_a_full_gpu_is_not_tried_by_the_long_way(monkeypatch):
    """That takes more memory, of which a Jetson has one for both."""
    tries = []

    class Loader:
        @staticmethod
        def from_pretrained(_folder, **options):
            tries.append(options.get('device_map'))
            raise torch.cuda.OutOfMemoryError('CUDA out of memory')

    monkeypatch.setattr(model_loading, 'AutoModelForSpeechSeq2Seq', Loader)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        load_weights(MODEL, 'it', torch.device('cuda:0'), torch.float32)
    assert len(tries) == 1


def test_beam_search_works_without_the_weights_of_an_int8_encoder():
    settings = ModelSettings(id=str(MODEL), dtype='int8', beam_width=2, warm_up=False)
    transcriber = Transcriber(settings)
    kept = transcriber._whisper.model.get_encoder().layers[0].fc1.weight.numel()
    assert (kept == 0) == has_full_int8()
    assert transcriber(Utterance.whole(goforward())).text.lower().startswith('go forw')


def test_int8_needs_less_memory_than_float32():
    """Of the file's float weights only what is read again stays in memory."""
    kinds = ('float32', 'int8', 'faster-whisper int8')
    found = {kind: measured(str(MODEL), kind) for kind in kinds}
    assert found['int8']['peak'] < found['float32']['peak'] - 20
    assert found['int8']['resident'] < found['float32']['resident'] - 20
    # Above the libraries: PyTorch and transformers alone are larger than faster-whisper's.
    assert found['int8']['peak'] < found['faster-whisper int8']['peak'] + 150
