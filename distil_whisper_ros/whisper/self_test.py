"""Whether this device computes what it should: a spoken clip tells, before a person speaks.

A GPU's fused attention, its float16 and its CUDA graphs depend on the GPU, its driver and the
build of PyTorch. What differs here from the plain way is switched off with a warning, instead of
giving wrong texts.
"""

from collections.abc import Callable
from importlib import resources
import io
import math
import wave

import numpy as np
import torch

from ..core.audio_format import Samples
from ..core.errors import ModelError
from ..core.scheduler import JobContext
from .decoding.types import DecodingOptions, DecodingResult
from .device import is_out_of_memory
from .encoder_graph import EncoderGraphs
from .model import Whisper

CLIP = 'self_test.wav'  # by espeak-ng
SPOKEN = 'Go to the kitchen and bring me a cup.'
MAX_TOKENS = 32
# How much rounding may change: encoder states of norm 1, and log probabilities.
MAX_STATE_ERROR = 0.05
MAX_SCORE_ERROR = 0.25

Notice = Callable[[str], None]


def spoken_clip() -> Samples:
    """Return the clip of the self-test."""
    data = (resources.files('distil_whisper_ros.whisper') / CLIP).read_bytes()
    with wave.open(io.BytesIO(data)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), '<i2')
    return (samples / 32768.0).astype(np.float32)


def self_test(whisper: Whisper, name: str, precision: str, audio_context: int, notice: Notice):
    """Decode the clip in each way that the model would use; switch off what is wrong.

    `name` and `precision` are for messages, `notice` is called with each warning. `audio_context`
    is the number of samples to encode. Raises ModelError if the model itself fails.
    """
    features = whisper.features([spoken_clip()], audio_context)
    graphs, whisper.encoder_graphs = whisper.encoder_graphs, None
    states = _states(whisper, features, notice)
    if not bool(torch.isfinite(states).all()):
        raise ModelError(
            f'{name} computes values that are not finite in {precision}: set model.dtype to '
            'float32'
        )
    if graphs is not None:
        _test_encoder_graphs(whisper, graphs, notice)
    decoders = whisper.decoders
    if decoders.cuda_graph is not None and decoders.greedy is not None:
        options, context = _options(whisper), JobContext()
        (eager,) = decoders.greedy.decode(states, options, context)
        (graphed,) = decoders.decode(states, options, context)
        if decoders.cuda_graph is not None and not _alike(eager, graphed):
            decoders.cuda_graph = None
            notice(
                'the self-test decodes another text with a CUDA graph than without: it is '
                'switched off, and decoding is slower; model.cuda_graph false skips this test'
            )


def _test_encoder_graphs(whisper: Whisper, graphs: EncoderGraphs, notice: Notice) -> None:
    """Let the model use the graphs, which are captured here, if their states are right."""
    for size in graphs.sizes:
        features = whisper.features([spoken_clip()], size)
        whisper.encoder_graphs = None
        plain = whisper.encode(features)
        whisper.encoder_graphs = graphs
        states = whisper.encode(features)
        if whisper.encoder_graphs is None:  # it could not be captured, which was told
            return
        if not _close(states, plain):
            whisper.encoder_graphs = None
            notice(
                'the self-test encodes other values with a CUDA graph than without: it is '
                'switched off, and encoding is slower; model.cuda_graph false skips this test'
            )
            return


def _close(states: torch.Tensor, plain: torch.Tensor) -> bool:
    """Return whether rounding may make states of those; values that are not finite are wrong."""
    error = (states.float() - plain.float()).norm() / plain.float().norm()
    return bool(error < MAX_STATE_ERROR)  # a comparison with NaN is false


def _states(whisper: Whisper, features: torch.Tensor, notice: Notice) -> torch.Tensor:
    """Return the encoder states; where fused attention is wrong, use plain products from now."""
    states = whisper.encode(features)
    if not whisper.may_change_attention:
        return states
    plain = None
    whisper.use_attention('math')
    try:
        plain = whisper.encode(features)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    # Plain products need more memory, so where they do not fit there is nothing to compare with.
    if plain is None or _close(states, plain) or not bool(torch.isfinite(plain).all()):
        whisper.use_attention('sdpa')
        return states
    notice(
        'the self-test encodes other values with the fused attention of PyTorch than with plain '
        'products: the latter are used, and are slower; model.attention math skips this test'
    )
    return plain


def _options(whisper: Whisper) -> DecodingOptions:
    languages = whisper.special_tokens.languages
    language = 'en' if 'en' in languages else next(iter(languages), '')
    return DecodingOptions(
        prompt=[],
        prefix=whisper.special_tokens.prefix(language, 'transcribe'),
        language=language,
        task='transcribe',
        max_tokens=MAX_TOKENS,
        beam_width=1,
        return_attention=True,
    )


def _alike(one: DecodingResult, other: DecodingResult) -> bool:
    return one.tokens == other.tokens and all(
        math.isclose(a, b, rel_tol=0.0, abs_tol=MAX_SCORE_ERROR)
        for a, b in zip(one.log_probabilities, other.log_probabilities)
    )
