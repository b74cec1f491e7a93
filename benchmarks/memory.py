"""Disk space and memory that a model needs: computed from its architecture, or measured.

    python benchmarks/memory.py
    python benchmarks/memory.py --measure models/base models/tiny.en

Weights: the parameters of WhisperForConditionalGeneration, counted without allocating them, at 2
bytes each (float16, as the hub has them, unless a file says fp32). Work: for one utterance
the encoder's largest activations, which each of its CUDA graphs has too, the keys and values of
the decoder's cross-attention over 1500 positions and of its self-attention over 448, in float16.
Process: Python, ROS and torch without a model; 0.5 GB was measured here, CUDA's context on a
Jetson adds about 0.5 GB.

`--measure` loads a model on the CPU in a process of its own for each precision, transcribes a
sentence, and prints how much memory that takes above the imported libraries: the peak, and what is
resident afterwards. Pages of the file with the weights count while they are mapped. faster-whisper
has one model here, tiny.en.
"""

import argparse
import json
from pathlib import Path
import subprocess
import sys
from typing import Any

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
WITH_GRAPHS = 3  # without a graph, in that of 30 s, and in two that are about half as long


def config_of(width, encoder, decoder, heads, bins, vocabulary) -> Any:
    from transformers import WhisperConfig

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
    import torch
    from transformers import WhisperForConditionalGeneration

    config = config_of(*shape)
    with torch.device('meta'):
        model = WhisperForConditionalGeneration(config)
    model.tie_weights()
    return sum(weight.numel() for weight in model.parameters())


def status() -> dict[str, float]:
    """Return the memory of this process in MB."""
    lines = Path('/proc/self/status').read_text().splitlines()
    pairs = (line.split()[:2] for line in lines if line.startswith('Vm'))
    return {name.rstrip(':'): int(size) / 1024 for name, size in pairs}


def load_and_print(model: str, kind: str) -> None:
    """Load a model and transcribe a sentence; print the memory that it took as JSON."""
    if kind != 'faster-whisper int8':  # as the node does, before numpy starts its threads
        from distil_whisper_ros.core.memory import share_one_heap

        share_one_heap()
    from robot import goforward

    samples = goforward()
    if kind == 'faster-whisper int8':
        from engines import faster_whisper
        import faster_whisper as _imported  # noqa: F401

        before = status()
        faster_whisper('int8')(samples)
    else:
        from transformers import WhisperForConditionalGeneration as _loaded  # noqa: F401

        from distil_whisper_ros.core.settings import ModelSettings
        from distil_whisper_ros.core.types import Utterance
        from distil_whisper_ros.whisper.transcriber import Transcriber

        before = status()
        Transcriber(ModelSettings(id=model, dtype=kind))(Utterance.whole(samples))
    after = status()
    found = {
        'libraries': before['VmRSS'],
        'peak': after['VmHWM'] - before['VmRSS'],
        'resident': after['VmRSS'] - before['VmRSS'],
    }
    print(json.dumps(found))


def measured(model: str, kind: str) -> dict[str, float]:
    """Return the memory in MB: of the libraries, the peak above them, and resident above them."""
    command = [sys.executable, __file__, '--child', kind, '--measure', model]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def print_measured(models: list[str]) -> None:
    kinds = [(model, kind) for model in models for kind in ('float32', 'int8')]
    if any(model.rstrip('/').endswith('tiny.en') for model in models):
        kinds.append(('tiny.en', 'faster-whisper int8'))
    print(f'{"MB":32}{"libraries":>10}{"peak":>7}{"resident":>10}')
    for model, kind in kinds:
        row = measured(model, kind)
        print(
            f'{f"{model}, {kind}":32}{row["libraries"]:10.0f}{row["peak"]:7.0f}'
            f'{row["resident"]:10.0f}',
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description='Memory of models.')
    parser.add_argument('--measure', nargs='+', metavar='MODEL', help='on the CPU, here')
    parser.add_argument('--child', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        load_and_print(arguments.measure[0], arguments.child)
    elif arguments.measure:
        print_measured(arguments.measure)
    else:
        print_computed()


def print_computed() -> None:
    print(
        '| model | parameters | disk, weights in memory (float16) | work | whole process |\n'
        '|---|---|---|---|---|'
    )
    for name, shape in MODELS.items():
        width, _, decoder, *_ = shape
        count = parameters(*shape)
        weights = 2 * count / 1e9
        caches = 2 * 2 * decoder * width * (POSITIONS + TOKENS) / 1e9
        activations = WITH_GRAPHS * 2 * POSITIONS * width * (4 + 4 + 1) / 1e9
        logits = 4 * TOKENS * shape[-1] / 1e9
        work = caches + activations + logits
        print(
            f'| `{name}` | {count / 1e6:.0f} M | {weights:.2f} GB | {work:.2f} GB | '
            f'{weights + work + PROCESS:.1f} GB |'
        )


if __name__ == '__main__':
    main()
