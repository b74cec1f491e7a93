"""A loaded Whisper: it turns samples into the encoder's states, and these into tokens.

The parts are those of the Distil-Whisper model card (AutoModelForSpeechSeq2Seq, AutoProcessor,
safetensors, `low_cpu_mem_usage`), called one by one where the card's pipeline hides them: the
guard needs the token probabilities and the no-speech probability, which the pipeline drops. The
card leaves the beams to the pipeline, whose default is 5; here 1 is chosen, see `model.beam_width`.

Works with transformers 4.46 and newer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor

from ..core.audio_format import SAMPLE_RATE, Samples
from ..core.scheduler import JobContext
from .audio_context import WHOLE
from .decoding.cuda_graph import CudaGraphDecoder
from .decoding.greedy import GreedyDecoder
from .decoding.speculative import check_shared, SpeculativeDecoder
from .decoding.transformers_generate import TransformersDecoder
from .decoding.types import DecodingOptions, DecodingResult, following_heads
from .encoder import Encoder
from .quantization import has_whole_int8
from .special_tokens import SpecialTokens

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


class Whisper:
    """The model, and the ways of encoding and decoding with it."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype, int8: bool) -> None:
        """Load a checkpoint from its folder; `int8` is for products, on a CPU."""
        self._int8 = int8
        self.device, self.dtype = device, dtype
        self.processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True)
        self.model = model = self._load(folder)
        self.tokens = SpecialTokens.of(model.generation_config)
        heads = following_heads(model)
        self.generation = TransformersDecoder(model, self.tokens, heads)
        self.greedy = self.encoder = self.assisted = self.captured = None
        if GreedyDecoder.fits(model):
            self.encoder = Encoder(model, int8 and has_whole_int8())
            self.greedy = GreedyDecoder(model, self.tokens, heads, int8)
            if device.type == 'cuda':
                self.captured = CudaGraphDecoder(self.greedy)

    def take_assistant(self, folder: Path, name: str, id_: str) -> None:
        """Load an assistant, of which only the decoder is kept; raise a ModelError if it is none.

        `name` and `id_` are the assistant's and the model's, for the message.
        """
        assistant = self._load(folder)
        check_shared(self.model, assistant, name, id_)
        if self.greedy is not None:
            decoder = GreedyDecoder(assistant, self.tokens, {}, self._int8)
            self.assisted = SpeculativeDecoder(self.greedy, decoder)

    def _load(self, folder: Path) -> Any:
        # transformers 4.56 renamed the argument.
        version = tuple(int(part) for part in transformers.__version__.split('.')[:2])
        dtype = 'dtype' if version >= (4, 56) else 'torch_dtype'
        model = AutoModelForSpeechSeq2Seq.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            low_cpu_mem_usage=True,
            **{dtype: self.dtype},
        )
        return model.to(self.device).eval()

    @property
    def width(self) -> int:
        """The width of its vectors, by which its size is known."""
        return self.model.config.d_model

    @property
    def longest(self) -> int:
        """The most tokens that its decoder holds, those of the prompt included."""
        return self.model.config.max_target_positions

    def features(self, batch: Sequence[Samples], window: int) -> torch.Tensor:
        """Return the log-mel spectra of so many samples, shape (batch, bands, frames)."""
        return self.processor.feature_extractor(
            list(batch),
            sampling_rate=SAMPLE_RATE,
            return_tensors='pt',
            padding='max_length',
            max_length=window,
        ).input_features.to(self.device, self.dtype)

    def encode(self, features: torch.Tensor) -> torch.Tensor:
        """Return the encoder's states, shape (batch, positions, width)."""
        if self.encoder is not None:
            return self.encoder(features)
        return self.model.get_encoder()(features).last_hidden_state

    def window(self, wanted: int) -> int:
        """Return the samples that can be encoded at once: the wanted ones, or 30 s."""
        return WHOLE if self.encoder is None else wanted

    def decode(
        self, states: torch.Tensor, task: DecodingOptions, turn: JobContext
    ) -> list[DecodingResult]:
        """Decode a text for each of the encoder's states: here the strategy is chosen."""
        if task.beam_width > 1 or self.greedy is None:
            return self.generation.decode(states, task, turn)
        if self.assisted is not None and len(states) == 1:
            return self.assisted.decode(states, task, turn)
        return (self.captured or self.greedy).decode(states, task, turn)

    def language(self, states: torch.Tensor) -> str:
        """Return the code of the likeliest language of the first of the encoder's states."""
        logits = self.generation.logits(states[:1], [[self.tokens.start]])[0, 0]
        codes = list(self.tokens.languages)
        ids = torch.tensor([self.tokens.languages[code] for code in codes], device=self.device)
        return codes[int(logits[ids].argmax())]

    def prompt(self, text: str) -> list[int]:
        """Return the tokens of a prompt, at most half of what the decoder holds."""
        if not text:
            return []
        first, *rest = self.processor.get_prompt_ids(text).tolist()
        return [first, *rest[-(self.longest // 2 - 1) :]]
