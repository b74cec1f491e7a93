"""Disk space and memory that a model needs, computed from its architecture.

    python benchmarks/memory.py

Weights: the parameters of WhisperForConditionalGeneration, counted without allocating them, at 2
bytes each (float16, as the hub has them, unless a file says fp32). Work: for one utterance
the encoder's largest activations, the keys and values of the decoder's cross-attention over 1500
positions and of its self-attention over 448, in float16. Process: Python, ROS and torch without a
model; 0.5 GB was measured here, CUDA's context on a Jetson adds about 0.5 GB.
"""

import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

# name: width, encoder layers, decoder layers, heads, mel bins, vocabulary
MODELS = {
    'openai/whisper-tiny.en': (384, 4, 4, 6, 80, 51864),
    'openai/whisper-base.en': (512, 6, 6, 8, 80, 51864),
    'openai/whisper-small.en': (768, 12, 12, 12, 80, 51864),
    'distil-whisper/distil-small.en': (768, 12, 4, 12, 80, 51864),
    'distil-whisper/distil-medium.en': (1024, 24, 2, 16, 80, 51864),
    'openai/whisper-medium.en': (1024, 24, 24, 16, 80, 51864),
    'distil-whisper/distil-large-v3': (1280, 32, 2, 20, 128, 51866),
    'openai/whisper-large-v3-turbo': (1280, 32, 4, 20, 128, 51866),
}
PROCESS = 1.0  # GB: Python, ROS, torch and CUDA's context
POSITIONS, TOKENS = 1500, 448


def config_of(width, encoder, decoder, heads, bins, vocabulary) -> WhisperConfig:
    return WhisperConfig(
        vocab_size=vocabulary,
        num_mel_bins=bins,
        d_model=width,
        encoder_layers=encoder,
        decoder_layers=decoder,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
    )


def parameters(*shape: int) -> int:
    config = config_of(*shape)
    with torch.device('meta'):
        model = WhisperForConditionalGeneration(config)
    model.tie_weights()
    return sum(weight.numel() for weight in model.parameters())


def main() -> None:
    print(
        '| model | parameters | disk, weights in memory (float16) | work | whole process |\n'
        '|---|---|---|---|---|'
    )
    for name, shape in MODELS.items():
        width, _, decoder, *_ = shape
        count = parameters(*shape)
        weights = 2 * count / 1e9
        caches = 2 * 2 * decoder * width * (POSITIONS + TOKENS) / 1e9
        activations = 2 * POSITIONS * width * (4 + 4 + 1) / 1e9
        logits = 4 * TOKENS * shape[-1] / 1e9
        work = caches + activations + logits
        print(
            f'| `{name}` | {count / 1e6:.0f} M | {weights:.2f} GB | {work:.2f} GB | '
            f'{weights + work + PROCESS:.1f} GB |'
        )


if __name__ == '__main__':
    main()
