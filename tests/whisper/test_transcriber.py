"""The transcriber: real weights, real speech, and clear errors for wrong models."""

import json
import re
import shutil
from typing import Any

import numpy as np
import pytest
from robot import goforward, MODEL
from sounds import speech
import torch
from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor, pipeline

from distil_whisper_ros.core.errors import ModelError, SettingError
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.speech.words import words
from distil_whisper_ros.whisper.checkpoint import find_model
from distil_whisper_ros.whisper.decoding.fallback import compression_ratio
from distil_whisper_ros.whisper.device import choose_device
from distil_whisper_ros.whisper.transcriber import Transcriber


def plain(text: str) -> list[str]:
    return [word.lower() for word in words(text)]


def test_the_text_is_right(transcriber):
    hypothesis = transcriber(Utterance.whole(goforward()))
    assert hypothesis.text == 'Go forward 10 meters.'
    assert hypothesis.language == 'en'
    (segment,) = hypothesis.segments
    assert -0.5 < segment.mean_log_probability < 0
    assert segment.no_speech_probability < 0.1
    assert segment.end == pytest.approx(len(goforward()) / 16_000)
    assert set(hypothesis.parts) == {'features', 'encoder', 'decoder', 'words'}


@pytest.mark.parametrize('name', ['something', 'librivox/0870', 'librivox/0930'])
def test_the_text_is_that_of_the_model_cards_pipeline(transcriber, name):
    """The card's own code on the same weights, greedy as we are."""
    model = AutoModelForSpeechSeq2Seq.from_pretrained(MODEL, use_safetensors=True).float()
    processor = AutoProcessor.from_pretrained(MODEL)
    card = pipeline(
        'automatic-speech-recognition',
        model=model,
        tokenizer=processor.tokenizer,
        feature_extractor=processor.feature_extractor,
        max_new_tokens=128,
        device='cpu',
    )
    samples = speech()[name][0]
    expected: Any = card(
        {'raw': samples, 'sampling_rate': 16_000}, generate_kwargs={'num_beams': 1}
    )
    text = re.sub(r'<\|\w*\|>', '', expected['text'])  # transformers 4.46 leaves them there
    assert transcriber(Utterance.whole(samples)).text == text.strip()


def test_a_beam_search_can_be_chosen(transcriber):
    settings = ModelSettings(id=str(MODEL), beam_width=5)
    assert plain(transcriber(Utterance.whole(goforward()), settings).text) == [
        'go', 'forward', '10', 'meters'
    ]  # fmt: skip


def test_a_prompt_does_not_become_text(transcriber):
    settings = ModelSettings(id=str(MODEL), prompt='Kinect, Zora.')
    text = transcriber(Utterance.whole(goforward()), settings).text
    assert 'forward' in text
    assert 'Zora' not in text


@pytest.mark.parametrize('seconds', [0.1, 0.5])
def test_very_short_audio(transcriber, seconds):
    hypothesis = transcriber(Utterance.whole(goforward()[: int(seconds * 16_000)]))
    assert len(hypothesis.segments) == 1


def test_long_audio_is_cut_and_nothing_is_lost_or_repeated(transcriber):
    pause = np.zeros(12_000, np.float32)
    parts, said = [], []
    for name, (samples, _) in list(speech().items()) * 2:
        if name.startswith('librivox'):
            parts += [samples, pause]
            said.append(plain(transcriber(Utterance.whole(samples)).text))
    whole = np.concatenate(parts)
    assert len(whole) > 50 * 16_000
    probabilities = [
        float(np.abs(whole[i : i + 512]).max() > 0.01) for i in range(0, len(whole), 512)
    ]
    hypothesis = transcriber(Utterance.whole(whole, tuple(probabilities)))
    assert len(hypothesis.segments) >= 2
    expected = sum(said, [])
    got = plain(hypothesis.text)
    assert abs(len(got) - len(expected)) <= 4
    common = sum(word in got for word in set(expected)) / len(set(expected))
    assert common > 0.9


def test_an_english_model_ignores_language_and_task(transcriber):
    settings = ModelSettings(id=str(MODEL), language='de', task='translate')
    assert transcriber(Utterance.whole(goforward()), settings).text == 'Go forward 10 meters.'


def test_compression_ratio():
    assert compression_ratio('') == 0
    assert compression_ratio('go forward ten meters') < 1.2
    assert compression_ratio('thank you. ' * 30) > 2.4


def load(**settings):
    return Transcriber(ModelSettings(**{'id': str(MODEL), 'warm_up': False, **settings}))


def test_progress_is_reported():
    reported = []
    Transcriber(ModelSettings(id=str(MODEL)), lambda step, share: reported.append((step, share)))
    assert reported[0][0].startswith('loading')
    assert reported[-1][0].startswith('warming up')
    assert all(0 <= share <= 1 for _, share in reported)


def test_bfloat16_and_float16_run_on_the_cpu_too():
    for dtype in ('bfloat16', 'float16'):
        assert 'forward' in load(dtype=dtype)(Utterance.whole(goforward())).text


class TestWrongModels:
    """Each is refused with one line that has the remedy."""

    @pytest.fixture
    def folder(self, tmp_path):
        target = tmp_path / 'model'
        shutil.copytree(MODEL, target)
        return target

    def refused(self, **settings) -> str:
        with pytest.raises((ModelError, SettingError)) as error:
            load(**settings)
        message = str(error.value)
        assert '\n' not in message
        return message

    def test_a_folder_that_does_not_exist(self):
        message = self.refused(id='/models/nothing')
        assert message == "model.id is the folder '/models/nothing', which does not exist"

    def test_a_name_that_cannot_be_on_the_hub(self):
        assert 'must be a name on the hub' in self.refused(id='what is this?')

    def test_the_hub_cannot_be_reached(self, monkeypatch, tmp_path):
        import huggingface_hub.constants

        monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_CACHE', str(tmp_path))
        message = self.refused(id='distil-whisper/distil-medium.en')
        assert 'is not in the cache on this machine, and the hub cannot be reached' in message
        assert 'name a folder that holds the model' in message

    def test_offline(self):
        message = self.refused(id='distil-whisper/no-such-model', offline=True)
        assert 'model.offline is true' in message

    def test_not_whisper(self, folder):
        config = json.loads((folder / 'config.json').read_text())
        (folder / 'config.json').write_text(json.dumps({**config, 'model_type': 'wav2vec2'}))
        assert "is not a Whisper model but 'wav2vec2'" in self.refused(id=str(folder))

    def test_pickled_weights_are_never_loaded(self, folder):
        (folder / 'model.safetensors').rename(folder / 'pytorch_model.bin')
        message = self.refused(id=str(folder))
        assert 'pytorch_model.bin is a pickle, which may run code and is never loaded' in message

    def test_truncated_weights(self, folder):
        with (folder / 'model.safetensors').open('r+b') as file:
            file.truncate(1_000_000)
        message = self.refused(id=str(folder))
        assert 'model.safetensors is damaged or was not downloaded whole (1.0 MB)' in message
        assert 'fetch the model again' in message

    def test_weights_that_are_no_weights(self, folder):
        (folder / 'model.safetensors').write_text('version https://git-lfs.github.com/spec/v1\n')
        assert 'model.safetensors is damaged' in self.refused(id=str(folder))

    @pytest.mark.parametrize('name', ['config.json', 'preprocessor_config.json'])
    def test_a_missing_file_is_named(self, folder, name):
        (folder / name).unlink()
        assert f'has no {name}' in self.refused(id=str(folder))

    def test_broken_config(self, folder):
        (folder / 'config.json').write_text('{')
        assert 'config.json cannot be read' in self.refused(id=str(folder))

    def test_no_gpu(self):
        if torch.cuda.is_available():
            pytest.skip('this machine has a GPU')
        message = self.refused(device='cuda')
        assert "model.device is 'cuda', but torch" in message
        assert 'set model.device to cpu' in message

    def test_no_such_device(self):
        assert 'must be one of: auto, cpu, cuda' in self.refused(device='gpu')

    def test_out_of_memory_while_loading_and_while_transcribing(self, monkeypatch, transcriber):
        """A fake: this machine has no GPU whose memory could be filled."""

        def full(*_arguments, **_options):
            raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB')

        with monkeypatch.context() as patch:
            patch.setattr(AutoModelForSpeechSeq2Seq, 'from_pretrained', full)
            message = self.refused()
        assert 'does not fit in the memory of cpu' in message
        assert 'choose a smaller model' in message
        with monkeypatch.context() as patch:
            patch.setattr(transcriber._whisper.model, 'generate', full)
            patch.setattr(transcriber._whisper.decoders.greedy, 'decode', full)
            patch.setattr(transcriber._whisper.decoders.beam, 'decode', full)
            for beam_width in (1, 2):
                settings = ModelSettings(id=str(MODEL), beam_width=beam_width)
                with pytest.raises(ModelError, match='does not fit'):
                    transcriber(Utterance.whole(goforward()), settings)
        assert 'forward' in transcriber(Utterance.whole(goforward())).text

    def test_remote_code_is_never_run(self, folder):
        config = json.loads((folder / 'config.json').read_text())
        config['auto_map'] = {
            'AutoModelForSpeechSeq2Seq': 'evil.Model',
            'AutoConfig': 'evil.Config',
        }
        (folder / 'config.json').write_text(json.dumps(config))
        (folder / 'evil.py').write_text('raise SystemExit("code of the model ran")')
        text = load(id=str(folder))(Utterance.whole(goforward())).text
        assert 'forward' in text  # transformers' own Whisper, not the folder's code


def test_auto_uses_a_gpu_if_there_is_one():
    expected = 'cuda' if torch.cuda.is_available() else 'cpu'
    assert choose_device('auto').type == expected


def test_a_folder_is_found_without_the_hub():
    assert find_model(str(MODEL), '', False, lambda *_: None) == MODEL
