"""Threads of the processor: they leave it to other programs while they wait for each other."""

from itertools import count
import os
import subprocess
import sys

import pytest
from robot import goforward, MODEL
import torch

from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.threads import one_core_less, one_thread
from distil_whisper_ros.whisper.transcriber import Transcriber


@pytest.mark.parametrize('chosen, passive', [('', True), ('active', False)])
def test_threads_wait_without_work(chosen, passive):
    """What the user sets is kept."""
    environment = {**os.environ, 'OMP_DISPLAY_ENV': 'verbose'}
    environment.pop('OMP_WAIT_POLICY', None)
    if chosen:
        environment['OMP_WAIT_POLICY'] = chosen
    code = 'import distil_whisper_ros.whisper.transcriber'
    ran = subprocess.run(
        [sys.executable, '-c', code], env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert 'GOMP_SPINCOUNT' in ran.stderr
    assert ("GOMP_SPINCOUNT = '0'" in ran.stderr) == passive


def test_one_thread_is_left_to_the_block_that_asks_for_it():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), one_thread():
        assert torch.get_num_threads() == 1
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


@pytest.mark.parametrize('cores, threads, left', [(2, 2, 1), (1, 1, 1), (6, 2, 2), (4, 4, 3)])
def test_a_core_is_left_where_there_are_as_many_threads(monkeypatch, cores, threads, left):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(cores)))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with one_core_less():
            assert torch.get_num_threads() == left
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    'busy, expected', [((), [2, 2, 2, 2]), ((0, 1, 2), [1, 1, 2, 2]), (range(9), [1, 1, 1, 1])]
)
def test_int8_decodes_with_one_thread_and_encodes_with_all_that_are_free(
    monkeypatch, busy, expected
):
    """Something else computes beside the first layers, or all."""
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {0, 1})
    questions = count()
    transcriber = Transcriber(
        ModelSettings(id=str(MODEL), dtype='int8', warm_up=False),
        shares_cores=lambda: next(questions) in busy,
    )
    whisper = transcriber._whisper
    encoding, decoding = [], []

    def watched(threads, call):
        def watch(*args):
            threads.append(torch.get_num_threads())
            return call(*args)

        return watch

    encoder, network = whisper.encoder, whisper.decoders.greedy.network
    layers = [watched(encoding, layer) for layer in encoder._layers]
    monkeypatch.setattr(encoder, '_layers', layers)
    monkeypatch.setattr(network, 'forward', watched(decoding, network.forward))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert transcriber(Utterance.whole(goforward())).text == 'Go forward 10 meters.'
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert encoding == expected
    assert set(decoding) == {1}
