"""Other attempts to be faster on a CPU: time and word error rate of each.

    python benchmarks/attempts.py [--only NAME,NAME] [--quick]

All encode 30 s, on the clean utterances of up to 7 s, so that the numbers are of the attempt
alone. `torch.compile` needs a C++ compiler, `torchao` needs pip install torchao==0.18.0; an
attempt is skipped, with a message, where its requirement is missing.
"""

import argparse
from collections.abc import Callable
from importlib.util import find_spec
import shutil
import statistics
import sys
import time
from typing import Any
from unittest.mock import patch

import jiwer
from robot import MODEL
import torch
from utterances import Clip, short
from word_errors import normal

from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.transcriber import Transcriber

Run = Callable[[Any], str]


def ours(dtype: str, threads: int = 0) -> tuple[Run, Transcriber]:
    torch.set_num_threads(threads or torch.get_num_threads())
    transcriber = Transcriber(
        ModelSettings(id=str(MODEL), dtype=dtype, audio_context_margin=30.0, word_timestamps=False)
    )
    return lambda samples: transcriber(Utterance.whole(samples)).text, transcriber


def while_speaking() -> Run:
    """Encode blocks of 2 s while the person speaks: a block attends to earlier blocks only.

    Only the word error rate counts: the time is that of encoding everything at once.
    """
    run, transcriber = ours('float32')
    whisper = transcriber._whisper
    encode, attend = whisper.encode, torch.nn.functional.scaled_dot_product_attention
    block = torch.arange(1500) // 100  # of each position; there are 50 a second

    def blind(query, key, value):
        return attend(query, key, value, attn_mask=block[:, None] >= block[None])

    def encode_blocks(features):
        with patch.object(torch.nn.functional, 'scaled_dot_product_attention', blind):
            return encode(features)

    whisper.encode = encode_blocks
    return run


def without_onednn() -> Run:
    run, _ = ours('float32')

    def plain(samples) -> str:
        with torch.backends.mkldnn.flags(enabled=False):
            return run(samples)

    return plain


def compiled_encoder() -> Run:
    run, transcriber = ours('float32')
    whisper = transcriber._whisper
    whisper.encode = torch.compile(whisper.encode)
    return run


def static_cache() -> Run:
    """Transformers' own generation with a static cache and a compiled decoder."""
    _, transcriber = ours('float32')
    whisper = transcriber._whisper
    model = whisper.model
    model.generation_config.cache_implementation = 'static'
    model.forward = torch.compile(model.forward)

    def run(samples) -> str:
        features = whisper.features([samples], 480_000)
        with torch.no_grad():
            tokens = model.generate(features, num_beams=1, max_new_tokens=128)
        return whisper.processor.batch_decode(tokens, skip_special_tokens=True)[0]

    return run


def torchao() -> Run:
    """The encoder of transformers with torchao's dynamic int8, and our decoder in int8."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_  # type: ignore

    run, transcriber = ours('int8')
    whisper = transcriber._whisper
    encoder = whisper.model.get_encoder()
    quantize_(encoder, Int8DynamicActivationInt8WeightConfig())
    whisper.encode = lambda features: encoder(features).last_hidden_state
    return run


ATTEMPTS: dict[str, tuple[Callable[[], Run], str]] = {
    'int8 (the default)': (lambda: ours('int8')[0], ''),
    'int8, 1 thread': (lambda: ours('int8', 1)[0], ''),
    'float32': (lambda: ours('float32', 2)[0], ''),
    'float32 without oneDNN': (without_onednn, ''),
    'encoding while speaking': (while_speaking, ''),
    'bfloat16': (lambda: ours('bfloat16')[0], ''),
    'torch.compile, encoder': (compiled_encoder, 'g++'),
    'torch.compile, static cache': (static_cache, 'g++'),
    'torchao int8, encoder': (torchao, 'torchao'),
}


def measure(run: Run, clips: list[Clip]) -> tuple[float, float, float]:
    """Return the time of the first run, the median time, and the word error rate."""
    began = time.perf_counter()
    run(clips[0][0])
    first = time.perf_counter() - began
    times, texts = [], []
    for number, (samples, _) in enumerate(clips, 1):
        began = time.perf_counter()
        texts.append(run(samples))
        times.append(time.perf_counter() - began)
        print(f'\r{number} of {len(clips)} ', end='', file=sys.stderr)
    print('\r', end='', file=sys.stderr)
    rate = jiwer.wer(
        [normal(reference) for _, reference in clips], [normal(text) for text in texts]
    )
    return first, statistics.median(times), rate


def main() -> None:
    parser = argparse.ArgumentParser(description='Other attempts to be faster on a CPU.')
    parser.add_argument('--only', default='', help='attempts, separated by commas')
    parser.add_argument('--quick', action='store_true', help='3 utterances')
    arguments = parser.parse_args()
    clips = short()[:3] if arguments.quick else short()
    names = arguments.only.split(',') if arguments.only else [*ATTEMPTS]
    print(f'{"":30}{"median s":>9}{"of int8":>9}{"WER":>7}{"first s":>9}')
    base = None
    for name in names:
        attempt, needs = ATTEMPTS[name]
        if needs and not (find_spec(needs) or shutil.which(needs)):
            print(f'{name:30}  skipped: {needs} is not installed')
            continue
        try:
            first, median, rate = measure(attempt(), clips)
        except Exception as error:  # that an attempt fails is a result
            print(f'{name:30}  fails: {str(error).strip().splitlines()[0][:80]}')
            continue
        base = base or median
        print(f'{name:30}{median:9.3f}{median / base:9.2f}{rate:7.3f}{first:9.1f}', flush=True)


if __name__ == '__main__':
    main()
