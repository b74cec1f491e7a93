"""Threads of the processor: they leave it to other programs while they wait for each other."""

import os
import subprocess
import sys

import pytest


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
