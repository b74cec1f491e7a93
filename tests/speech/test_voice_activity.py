"""What voice activity costs."""

import subprocess
import sys

COUNT = """
import os
from distil_whisper_ros.speech.voice_activity import VoiceActivity
import numpy as np
activity = VoiceActivity()
before = len(os.listdir('/proc/self/task'))
frame = np.random.default_rng(0).normal(0, 0.01, 512).astype(np.float32)
for _ in range(20):
    activity(frame)
assert len(os.listdir('/proc/self/task')) == before, 'it starts threads'
assert 'OMP_THREAD_LIMIT' not in os.environ
import torch
torch.set_num_threads(2)
torch.nn.functional.gelu(torch.randn(64, 100_000))
assert len(os.listdir('/proc/self/task')) > before, 'torch has no threads any more'
between = len(os.listdir('/proc/self/task'))
activity(frame)
assert len(os.listdir('/proc/self/task')) == between, 'it starts threads behind torch'
"""


def test_it_starts_no_threads_and_leaves_torch_its_own():
    run = subprocess.run([sys.executable, '-c', COUNT], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
