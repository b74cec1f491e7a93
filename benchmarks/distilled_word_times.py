"""The starts of words by the attention of a decoder with few layers, as distilled models have.

    python benchmarks/distilled_word_times.py [--model models/tiny.en] [--layers 0 -1]

A distilled decoder has the first and the last layer of its teacher's, and its heads for alignment
are not known. The decoder here keeps these layers of a whole one, without training, so it cannot
write; it is given the text of the whole one, token by token, and its attention tells the times.
They are compared with forced alignment, as in word_timestamps.py, for several choices of heads. A
trained decoder should be better than that.
"""

import argparse
import copy
from dataclasses import replace

import numpy as np
from robot import MODEL
from sounds import speech
import torch
from word_timestamps import aligned, matches, plain, spelled, utterance

from distil_whisper_ros.core.scheduler import JobContext
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.whisper.audio_context import FULL_CONTEXT
from distil_whisper_ros.whisper.clip import Clip
from distil_whisper_ros.whisper.decoding.network import DecoderNetwork
from distil_whisper_ros.whisper.segment_decoder import Call, Clock
from distil_whisper_ros.whisper.transcriber import Transcriber

Heads = dict[int, list[int]]


def truncated(whisper, layers: list[int], heads: Heads) -> DecoderNetwork:
    """Return a decoder with some layers of the model's."""
    model = copy.deepcopy(whisper.model)
    decoder = model.get_decoder()
    decoder.layers = torch.nn.ModuleList([decoder.layers[layer] for layer in layers])
    return DecoderNetwork(model, heads)


def choices(whisper, layers: list[int]) -> dict[str, tuple[list[int], Heads]]:
    """Return the layers of the decoder and the heads, by the name of the choice."""
    every = list(range(whisper.model.config.decoder_attention_heads))
    whole = list(range(len(whisper.model.get_decoder().layers)))
    last = len(layers) - 1
    found = {
        'whole decoder, its own heads': (whole, whisper.decoders.greedy.network.alignment_heads),
        'whole decoder, upper half': (whole, dict.fromkeys(whole[len(whole) // 2 :], every)),
        'kept layers, the last: all heads': (layers, {last: every}),
        'kept layers, the first: all heads': (layers, {0: every}),
        'kept layers, all heads': (layers, dict.fromkeys(range(len(layers)), every)),
    }
    own = whisper.decoders.greedy.network.alignment_heads.get(layers[-1] % len(whole))
    if own:
        found["kept layers, the teacher's heads of the last"] = (layers, {last: own})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description='Word times of distilled decoders.')
    parser.add_argument('--model', default=str(MODEL))
    parser.add_argument('--layers', type=int, nargs='+', default=[0, -1])
    arguments = parser.parse_args()
    settings = ModelSettings(id=arguments.model, dtype='float32', audio_context_margin=30.0)
    transcriber = Transcriber(settings)
    whisper, segments = transcriber._whisper, transcriber._segments
    variants = {
        name: truncated(whisper, *choice)
        for name, choice in choices(whisper, arguments.layers).items()
    }
    errors: dict[str, list[float]] = {name: [] for name in variants}
    call = Call(settings, JobContext(), Clock(None), [])
    for name, (samples, text) in speech().items():
        if name.startswith('cards'):
            continue
        heard = utterance(samples)
        clip = Clip.of(heard, 0, len(heard.samples))
        theirs = aligned(samples, plain(text.replace('-', ' ')))
        with torch.inference_mode():
            (result,) = segments.decoder.decode([clip], ['en'], '', FULL_CONTEXT, call)
            assert result.attention is not None
            states = whisper.encode(whisper.features([samples], FULL_CONTEXT))
            prefix = whisper.special_tokens.prefix('en', 'transcribe')
            given = torch.tensor([[*prefix, *result.tokens]])
            for variant, network in variants.items():
                cache = network.new_cache(states, given.shape[1])
                network.forward(given, cache, True)
                attention = network.audio_attention(cache)[0][:, len(prefix) - 1 :]
                positions = result.attention.shape[-1]
                forced = replace(result, attention=attention[..., :positions])
                ours = spelled([word for word, _ in segments.builder.words(forced, clip)])
                pairs = matches([word for word, _ in ours], [word for word, _ in theirs])
                errors[variant] += [
                    ours[i][1].start - theirs[j][1]
                    for i, j in pairs
                    if not i or ours[i][1] is not ours[i - 1][1]
                ]
    print(f'{"start of a word less forced alignment, s":46}{"words":>6}{"median":>8}{"95 %":>7}')
    for variant, values in errors.items():
        distance = np.abs(values)
        print(
            f'{variant:46}{len(values):6}{np.median(values):+8.2f}'
            f'{np.quantile(distance, 0.95):7.2f}'
        )


if __name__ == '__main__':
    main()
