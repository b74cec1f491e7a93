"""Threads of the processor: they leave it to other programs while they wait for each other."""

import os
import subprocess
import sys

import pytest
from robot import goforward, MODEL
import torch

from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.threads import one_thread
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


@pytest.mark.parametrize('shares, encoding', [(False, 2), (True, 1)])
def test_int8_decodes_with_one_thread_and_encodes_with_all_free_cores(
    monkeypatch, shares, encoding
):
    transcriber = Transcriber(
        ModelSettings(id=str(MODEL), dtype='int8', warm_up=False), shares_cores=lambda: shares
    )
    whisper, threads = transcriber._whisper, {}

    def watched(name, call):
        def watch(*args):
            threads[name] = torch.get_num_threads()
            return call(*args)

        return watch

    monkeypatch.setattr(whisper, 'encode', watched('encoder', whisper.encode))
    network = whisper.decoders.greedy.network
    monkeypatch.setattr(network, 'forward', watched('decoder', network.forward))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert transcriber(Utterance.whole(goforward())).text == 'Go forward 10 meters.'
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert threads == {'encoder': encoding, 'decoder': 1}
