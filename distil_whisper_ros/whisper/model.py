"""A loaded Whisper: from samples to encoder states, and from these to tokens.

The parts are those of the Distil-Whisper model card (AutoModelForSpeechSeq2Seq, tokenizer, feature
extractor, safetensors, `low_cpu_mem_usage`), called one by one where the card's pipeline hides
them: the hallucination filter needs the token probabilities and the no-speech probability, which
the pipeline drops. The card leaves the beam width to the pipeline, whose default is 5; here
`model.beam_width` sets it.

Works with transformers 4.46 and newer.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import torch
from transformers import AutoTokenizer

from ..core.audio_format import Samples
from ..core.errors import ModelError
from ..core.memory import drop_file_pages
from ..core.settings import ModelSettings
from .attention import ATTENTION
from .audio_context import context_margin, FULL_CONTEXT
from .checkpoint_files import generation_values
from .decoding.beam import BeamDecoder
from .decoding.cuda_graph import CudaGraphDecoder
from .decoding.decoders import Decoders
from .decoding.greedy import GreedyDecoder
from .decoding.network import DecoderNetwork
from .decoding.speculative import check_assistant, SpeculativeDecoder
from .decoding.transformers_generate import TransformersDecoder
from .decoding.types import alignment_heads
from .device import free_memory
from .encoder import Encoder
from .encoder_graph import EncoderGraphs
from .features import LogMel
from .generation_config import complete_generation_config
from .model_loading import (
    check_consistent,
    first_line,
    load_feature_extractor,
    load_part,
    load_weights,
)
from .quantization import has_full_int8
from .special_tokens import SpecialTokens


class Whisper:
    """A Whisper checkpoint, its encoder and its decoders."""

    def __init__(
        self,
        folder: Path,
        settings: ModelSettings,
        device: torch.device,
        dtype: torch.dtype,
        int8: bool,
        on_notice: Callable[[str], None] = lambda notice: None,
    ) -> None:
        """Load a checkpoint from its folder.

        `settings.id` names the model in messages; `on_notice` is called with a sentence if a way
        of decoding does not work. With `int8`, for a CPU, linear layers are quantized. Raises
        ModelError if the files do not make a usable Whisper.
        """
        name = settings.id
        self._on_notice = on_notice
        self._int8 = int8
        self.device, self.dtype = device, dtype
        self.feature_extractor = load_feature_extractor(folder, name)
        self.tokenizer = load_part('tokenizer.json', AutoTokenizer, folder, name)
        self.model = model = load_weights(folder, name, device, dtype, settings.attention, int8)
        complete_generation_config(
            model.generation_config,
            generation_values(folder, name),
            self.tokenizer,
            model.config.vocab_size,
            name,
        )
        self._log_mel = LogMel(self.feature_extractor, device)
        self.special_tokens = SpecialTokens.of(model.generation_config, self.tokenizer)
        check_consistent(name, model, self.special_tokens, self.feature_extractor, self.tokenizer)
        heads = alignment_heads(model)
        transformers = TransformersDecoder(model, self.special_tokens, heads)
        self.decoders = Decoders(transformers, self.tokenizer, int8, on_notice)
        self.encoder: Encoder | None = None
        self.encoder_graphs: EncoderGraphs | None = None
        self._attention = settings.attention
        if settings.engine == 'fast' and not DecoderNetwork.supports(model):
            raise ModelError(
                f"model.engine is 'fast', but it does not know the architecture of {name}: set it "
                'to auto'
            )
        if settings.engine != 'transformers' and DecoderNetwork.supports(model):
            attention = ATTENTION[settings.attention]
            # An assistant's encoder is compared with that of the model; nothing else needs it.
            release = not settings.assistant
            self.encoder = Encoder(model, int8 and has_full_int8(), attention, release)
            self._drop_float_weights(folder)
            greedy = GreedyDecoder(model, self.special_tokens, heads, int8, attention)
            self.decoders.greedy = greedy
            self._drop_float_weights(folder)
            if BeamDecoder.supports(model.generation_config):
                self.decoders.beam = BeamDecoder(greedy, model.generation_config)
            if device.type == 'cuda' and settings.cuda_graph:
                self.decoders.cuda_graph = CudaGraphDecoder(greedy)
                margin = context_margin(settings.audio_context_margin, self.d_model)
                hop = self.feature_extractor.hop_length
                self.encoder_graphs = EncoderGraphs(self.encoder, margin, hop)

    def _drop_float_weights(self, folder: Path) -> None:
        """Drop the pages of float weights that are packed as int8 now.

        Beam search alone reads those of the decoder again, and a token a row of the embedding.
        """
        if self._int8:
            drop_file_pages(folder)

    def load_assistant(self, folder: Path, name: str, model_name: str) -> None:
        """Load an assistant for speculative decoding, of which only the decoder is kept.

        `name` and `model_name` are the names of the assistant and the model, for messages. Raises
        ModelError if the assistant does not belong to the model.
        """
        assistant = load_weights(folder, name, self.device, self.dtype, int8=self._int8)
        check_assistant(self.model, assistant, name, model_name)
        greedy = self.decoders.greedy
        if greedy is not None:
            attention = greedy.network.attention
            decoder = GreedyDecoder(assistant, self.special_tokens, {}, self._int8, attention)
            self._drop_float_weights(folder)
            self.decoders.speculative = SpeculativeDecoder(greedy, decoder)
            self.decoders.cuda_graph = None

    @property
    def may_change_attention(self) -> bool:
        """Whether the fused attention is to be tested, and not used where it is wrong."""
        on_gpu = self.device.type != 'cpu'
        return on_gpu and self._attention == 'auto' and self.encoder is not None

    def use_attention(self, kind: str) -> None:
        """Compute attention by this value of `model.attention` from now on."""
        for part in (self.encoder, *self.decoders.networks):
            if part is not None:
                part.attention = ATTENTION[kind]

    @property
    def d_model(self) -> int:
        """The width of its vectors, which tells the size of a Whisper."""
        return self.model.config.d_model

    @property
    def max_target_positions(self) -> int:
        """The maximum number of tokens in the decoder, including the prompt."""
        return self.model.config.max_target_positions

    def features(self, batch: Sequence[Samples], audio_context: int) -> torch.Tensor:
        """Return log-mel spectrograms, shape (batch, mel bands, frames).

        Each clip is padded or cut to `audio_context` samples.
        """
        return self._log_mel(batch, audio_context).to(self.dtype)

    def encode(self, features: torch.Tensor) -> torch.Tensor:
        """Return the encoder states, shape (batch, positions, d_model)."""
        if self.encoder is None:
            return self.model.get_encoder()(features).last_hidden_state
        if self.encoder_graphs is not None and self.encoder_graphs.has(features):
            try:
                return self.encoder_graphs(features)
            except RuntimeError as error:
                reason = first_line(error)
            # Behind the handler, so that the memory of the graphs is free for the next try.
            self.encoder_graphs = None
            free_memory(self.device)
            self._on_notice(
                f'encoding with a CUDA graph failed ({reason}): it is switched off, and encoding '
                'is slower'
            )
        return self.encoder(features)

    def audio_context(self, requested: int, margin: float) -> int:
        """Return how many samples are encoded: the requested number, those of a graph, or 30 s.

        `margin` is the audio context margin in seconds, for which there are graphs.
        """
        if self.encoder is None:
            return FULL_CONTEXT
        if self.encoder_graphs is not None:
            self.encoder_graphs.follow(margin)
            return self.encoder_graphs.audio_context(requested)
        return requested

    def language_probabilities(self, states: torch.Tensor) -> list[dict[str, float]]:
        """Return the probability of each language by its code, for each row of encoder states."""
        start = [[self.special_tokens.start]] * len(states)
        greedy = self.decoders.greedy
        if greedy is not None:
            network = greedy.network
            cache = network.new_cache(states, 1)
            tokens = torch.tensor(start, device=states.device)
            logits = network.logits(network.forward(tokens, cache, False))[:, 0]
        else:
            logits = self.decoders.transformers.logits(states, start)[:, 0].float()
        languages = self.special_tokens.languages
        ids = torch.tensor([*languages.values()], device=self.device)
        return [dict(zip(languages, row)) for row in logits[:, ids].softmax(-1).tolist()]

    @cached_property
    def inside_words(self) -> frozenset[int]:
        """The tokens that begin with a letter or digit: they go on with a word.

        Scripts without spaces have none, for there each token may begin a word.
        """
        pieces = self.tokenizer.convert_ids_to_tokens(range(self.special_tokens.end))
        return frozenset(
            token
            for token, piece in enumerate(pieces)
            if piece and piece[0].isascii() and piece[0].isalnum()
        )
