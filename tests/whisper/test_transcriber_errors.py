"""Failures of the model at work: each is one sentence, and the next call works again."""

import errno
import threading
from typing import Any

import numpy as np
import pytest
from robot import goforward, MODEL
from safetensors import SafetensorError
import torch

from distil_whisper_ros.core.errors import ModelError
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.transcriber import Transcriber

GO = 'Go forward 10 meters.'


@pytest.mark.parametrize(
    'message',
    [
        'NVML_SUCCESS == r INTERNAL ASSERT FAILED at "CUDACachingAllocator.cpp":1016',
        'NVML_SUCCESS == DriverAPI::get()->nvmlInit_v2_() INTERNAL ASSERT FAILED at "CUDAC',
        'NvMapMemAllocInternalTagged: 1075072515 error 12',
        'CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`',
        'CUDA out of memory. Tried to allocate 2.00 GiB',
        "[enforce fail] data. DefaultCPUAllocator: can't allocate memory: you tried to",
        'unable to mmap 151 bytes from file <model.safetensors>: Cannot allocate memory (12)',
        'std::bad_alloc',
        OSError(errno.ENOMEM, 'Cannot allocate memory'),
        SafetensorError('Error while deserializing: Cannot allocate memory (os error 12)'),
    ],
)
def test_each_spelling_of_out_of_memory(transcriber, monkeypatch, message):
    def full(*_arguments: Any) -> None:
        raise RuntimeError(message) if isinstance(message, str) else message

    with monkeypatch.context() as patch:
        patch.setattr(transcriber._whisper, 'encode', full)
        with pytest.raises(ModelError, match='does not fit in the memory of cpu: end other'):
            transcriber(Utterance.whole(goforward()))
    assert transcriber(Utterance.whole(goforward())).text == GO


def test_memory_is_freed_when_the_failed_call_holds_it_no_more(transcriber, monkeypatch):
    """Inside the handler its traceback still holds the tensors, so nothing could be freed."""
    import weakref

    held, freed = [], []

    def full(*_arguments: Any) -> None:
        tensor = torch.zeros(10)
        held.append(weakref.ref(tensor))
        raise RuntimeError('CUDA out of memory')

    monkeypatch.setattr(torch.cuda, 'empty_cache', lambda: freed.append(held[0]() is None))
    monkeypatch.setattr(torch.cuda, 'synchronize', lambda *_: None)
    monkeypatch.setattr(transcriber._whisper, 'encode', full)
    monkeypatch.setattr(transcriber._model, '_device', torch.device('cuda'))
    with pytest.raises(ModelError, match='does not fit in the memory of cuda'):
        transcriber(Utterance.whole(goforward()))
    assert freed == [True]


@pytest.mark.parametrize(
    ('told', 'sentence'),
    [
        ('CUDA out of memory', 'does not fit in the memory of cuda'),
        ('CUDA error: an illegal memory access was encountered', 'failed .RuntimeError.: CUDA'),
    ],
)
def test_the_first_error_is_told_where_cuda_fails_for_good(
    transcriber, monkeypatch, told, sentence
):
    def fail(*_arguments: Any) -> None:
        raise RuntimeError(told)

    def sticky() -> None:
        raise RuntimeError('CUDA error: an illegal memory access was encountered')

    monkeypatch.setattr(torch.cuda, 'empty_cache', sticky)
    monkeypatch.setattr(torch.cuda, 'synchronize', lambda *_: None)
    monkeypatch.setattr(transcriber._whisper, 'encode', fail)
    monkeypatch.setattr(transcriber._model, '_device', torch.device('cuda'))
    with pytest.raises(ModelError, match=sentence):
        transcriber(Utterance.whole(goforward()))


@pytest.mark.parametrize(
    'error',
    [RuntimeError('shapes\ndo not match'), TypeError('no'), AttributeError(), IndexError()],
)
def test_other_errors_are_one_sentence_too(transcriber, monkeypatch, error):
    def fail(*_arguments: Any) -> None:
        raise error

    monkeypatch.setattr(transcriber._whisper, 'encode', fail)
    with pytest.raises(ModelError) as failure:
        transcriber(Utterance.whole(goforward()))
    message = str(failure.value)
    assert '\n' not in message
    assert message.startswith(f'{MODEL} failed ({type(error).__name__})')
    assert failure.value.__cause__ is error  # the log can tell more


def test_nothing_waits_for_a_gpu_that_the_model_does_not_use(transcriber, monkeypatch):
    def synchronize(*_arguments: Any) -> None:
        raise AssertionError('the model is on the CPU')

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'synchronize', synchronize)
    assert transcriber(Utterance.whole(goforward())).text == GO


def test_a_call_ends_although_the_model_is_closed_meanwhile():
    transcriber = Transcriber(ModelSettings(id=str(MODEL), dtype='float32', warm_up=False))
    encode = transcriber._whisper.encode
    began, closed = threading.Event(), threading.Event()

    def slow(features: torch.Tensor) -> torch.Tensor:
        began.set()
        closed.wait(30)
        return encode(features)

    transcriber._whisper.encode = slow
    texts: list[str] = []
    call = threading.Thread(
        target=lambda: texts.append(transcriber(Utterance.whole(goforward())).text)
    )
    call.start()
    assert began.wait(30)
    transcriber.close()
    closed.set()
    call.join(60)
    assert texts == [GO]
    assert transcriber._model.loaded is None  # its last call unloaded it
    with pytest.raises(ModelError, match='was unloaded'):
        transcriber(Utterance.whole(goforward()))
    assert not transcriber.multilingual
    transcriber.close()


def test_values_that_are_no_numbers_while_it_works(transcriber, monkeypatch):
    encode = transcriber._whisper.encode
    monkeypatch.setattr(transcriber._whisper, 'encode', lambda x: encode(x) * float('nan'))
    with pytest.raises(ModelError, match='not finite in float32'):
        transcriber(Utterance.whole(goforward()))


def test_a_text_at_the_maximum_number_of_tokens_is_truncated(transcriber):
    for beam_width in (1, 2):
        for limit, truncated in ((2, True), (100, False)):
            settings = ModelSettings(
                id=str(MODEL), max_new_tokens=limit, beam_width=beam_width,
                audio_context_margin=30.0,
            )  # fmt: skip
            hypothesis = transcriber(Utterance.whole(goforward()), settings)
            assert hypothesis.truncated is truncated
            assert hypothesis.segments[0].truncated is truncated


def test_beam_search_with_a_long_prompt_is_truncated_too(transcriber):
    """The prompt takes positions of the decoder from the text, so its maximum is less."""
    settings = ModelSettings(
        id=str(MODEL), max_new_tokens=440, beam_width=2, prompt='word ' * 400,
        audio_context_margin=30.0, word_timestamps=False,
    )  # fmt: skip
    whisper = transcriber._whisper
    prompt = transcriber._segments.decoder.prompts.tokens(settings)
    assert len(prompt) > 200
    left = whisper.model.config.max_target_positions - 8 - len(prompt)
    generate = whisper.model.generate
    (letter,) = whisper.tokenizer.encode('a', add_special_tokens=False)

    def endless(**options: Any) -> torch.Tensor:
        assert options['max_new_tokens'] == left
        generate(**{**options, 'max_new_tokens': 2})  # that transformers takes these options
        return torch.full((1, left), letter)  # one endless word: no repetition can be dropped

    beam, whisper.decoders.beam = whisper.decoders.beam, None
    try:
        whisper.model.generate = endless
        silence = np.zeros(20 * 16_000, np.float32)
        assert transcriber(Utterance.whole(silence), settings).truncated
    finally:
        del whisper.model.generate
        whisper.decoders.beam = beam
