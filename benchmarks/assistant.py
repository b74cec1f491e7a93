"""Speculative decoding: is the text the same, and does it come sooner?

    python benchmarks/assistant.py [--model models/base] [--assistant FOLDER] [--quick]

Without a trained Distil-Whisper at hand the assistants are the model itself with fewer layers in
its decoder: with all of them, which drafts perfectly and is as slow; and with the first and the
last, which is fast and drafts badly, since it was not trained to work without the others.
"""

import argparse
from pathlib import Path
import shutil
import statistics
import sys
import tempfile
from typing import Any

from robot import ROOT
import torch
from transformers import WhisperForConditionalGeneration
from utterances import utterances

from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.transcriber import Transcriber


def with_fewer_layers(model: Path, folder: Path, layers: int, wrong_encoder: bool = False) -> Path:
    """Write a copy whose decoder keeps the first and the last `layers` - 1; return its folder."""
    whisper: Any = WhisperForConditionalGeneration.from_pretrained(model, use_safetensors=True)
    decoder = whisper.get_decoder()
    count = len(decoder.layers)
    kept = [0, *range(count - layers + 1, count)]
    decoder.layers = torch.nn.ModuleList(decoder.layers[index] for index in kept)
    whisper.config.decoder_layers = layers
    whisper.generation_config.alignment_heads = None
    if wrong_encoder:
        whisper.get_encoder().layer_norm.weight.data += 0.1
    shutil.copytree(model, folder, dirs_exist_ok=True)
    whisper.save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description='Measure speculative decoding.')
    parser.add_argument('--model', type=Path, default=ROOT / 'models' / 'base')
    parser.add_argument(
        '--assistant', default='', help='another assistant: a folder or a name on the hub'
    )
    parser.add_argument('--dtype', default='float32', help='as model.dtype')
    parser.add_argument('--quick', action='store_true', help='6 utterances')
    arguments = parser.parse_args()
    clips = utterances()[:6] if arguments.quick else utterances()
    with tempfile.TemporaryDirectory() as folder:
        assistants = {
            'none': '',
            'the model itself': str(arguments.model),
            '2 layers': str(with_fewer_layers(arguments.model, Path(folder, '2'), 2)),
            '4 layers': str(with_fewer_layers(arguments.model, Path(folder, '4'), 4)),
        }
        if arguments.assistant:
            assistants[arguments.assistant] = arguments.assistant
        measure(arguments.model, arguments.dtype, assistants, [samples for samples, _ in clips])


def measure(model: Path, dtype: str, assistants: dict[str, str], clips: list) -> None:
    print(f'{model.name}, {dtype}, {len(clips)} utterances')
    print(f'{"assistant":20}{"same text":>10}{"decoder s":>11}{"of none":>9}{"steps of none":>15}')
    texts: list[str] = []
    alone: list[float] = []
    most = 0
    for name, assistant in assistants.items():
        settings = ModelSettings(
            id=str(model), assistant=assistant, dtype=dtype, language='en', word_timestamps=False
        )
        transcriber = Transcriber(settings)
        transcriber.times_stages = True
        network, steps = transcriber._whisper.decoders.greedy.network, []
        forward = network.forward
        network.forward = lambda *args, forward=forward, steps=steps, **more: (
            steps.append(1) or forward(*args, **more)
        )
        found, times = [], []
        for number, samples in enumerate(clips, 1):
            hypothesis = transcriber(Utterance.whole(samples))
            found.append(hypothesis.text)
            times.append(hypothesis.parts['decoder'])
            print(f'\r{name}: {number} of {len(clips)} ', end='', file=sys.stderr)
        print('\r', end='', file=sys.stderr)
        texts, alone, most = texts or found, alone or times, most or len(steps)
        same = sum(one == other for one, other in zip(found, texts))
        ratio = statistics.median(time / other for time, other in zip(times, alone))
        print(
            f'{name:20}{same:6} of {len(clips):3}{statistics.median(times):8.3f}{ratio:9.2f}'
            f'{len(steps) / most:15.2f}'
        )


if __name__ == '__main__':
    main()
