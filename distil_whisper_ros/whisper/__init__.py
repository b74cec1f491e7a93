"""The model: its weights, its encoder, and the ways of decoding; `model.py` chooses among them."""

import os

# Before huggingface_hub is imported, which reads it once: see docs/security.md.
os.environ.setdefault('HF_HUB_DISABLE_TELEMETRY', '1')
