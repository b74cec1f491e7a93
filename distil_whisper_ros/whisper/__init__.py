"""The model: its weights, its encoder, and the ways of decoding."""

import os

# Before huggingface_hub is imported, which reads it once: see docs/security.md.
os.environ.setdefault('HF_HUB_DISABLE_TELEMETRY', '1')
# Before OpenMP is loaded with torch, which reads it once: by default its threads wait for each
# other in a loop that keeps the processor busy. Where other programs want it too, decoding took
# 4 to 10 times as long; on a processor that has nothing else to do it takes the same.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
