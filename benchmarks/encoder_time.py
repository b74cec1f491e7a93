"""The time of the encoder by audio context, for the shape of a model that is not at hand.

    python benchmarks/encoder_time.py [--model distil-whisper/distil-medium.en] [--dtype int8]

The weights are random, so there are no words; the time of the encoder does not depend on them. An
utterance of 3 s is encoded with a margin of 10 s as 13 s.
"""

import argparse
import time

from memory import config_of, MODELS
import torch
from transformers import WhisperForConditionalGeneration

from distil_whisper_ros.core.audio_format import SAMPLE_RATE
from distil_whisper_ros.whisper.audio_context import audio_context, context_margin
from distil_whisper_ros.whisper.encoder import Encoder

FRAMES = 100  # of a log-mel spectrogram in a second
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description='The time of the encoder by audio context.')
    parser.add_argument('--model', default='distil-whisper/distil-medium.en', choices=[*MODELS])
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--dtype', default='int8', choices=('int8', 'float32', 'float16'))
    parser.add_argument('--utterance', type=float, default=3.0, help='in seconds')
    arguments = parser.parse_args()
    dtype = torch.float16 if arguments.dtype == 'float16' else torch.float32
    config = config_of(*MODELS[arguments.model])
    config.decoder_layers = 1  # it is not used
    model = WhisperForConditionalGeneration(config).to(arguments.device, dtype).eval()
    encoder = Encoder(model, arguments.dtype == 'int8', release=True)
    default = context_margin(-1.0, config.d_model)
    print(f'{arguments.model}, random weights, {arguments.dtype} on {arguments.device}')
    print(f'{"margin s":>9}{"encoded s":>11}{"time s":>9}')
    contexts = {
        margin: audio_context(round(arguments.utterance * SAMPLE_RATE), margin) // SAMPLE_RATE
        for margin in (30.0, default)
    }
    best = dict.fromkeys(contexts, float('inf'))
    with torch.inference_mode():
        for _ in range(1 + ROUNDS):  # they take turns; the first one is a warm-up
            for margin, seconds in contexts.items():
                features = torch.randn(1, config.num_mel_bins, FRAMES * seconds)
                features = features.to(arguments.device, dtype)
                started = time.perf_counter()
                encoder(features).sum().item()
                best[margin] = min(best[margin], time.perf_counter() - started)
    for margin, seconds in contexts.items():
        print(f'{margin:9.1f}{seconds:11}{best[margin]:9.3f}')


if __name__ == '__main__':
    main()
