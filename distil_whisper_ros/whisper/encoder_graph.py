"""The encoder on a GPU by CUDA graphs, for the few audio contexts that most utterances need.

A GPU is faster than Python can launch the encoder's kernels: for tiny always, for larger models
on a fast GPU. A graph has one shape, so an audio context is made a little longer, up to that of
the next graph; more silence behind the speech does not harm. Three graphs are enough: for short
and longer commands, and for the full audio context of a text that failed. Without a GPU the same
code runs directly, which is how it is tested.
"""

import torch

from ..core.audio_format import SAMPLE_RATE
from .audio_context import audio_context, FULL_CONTEXT
from .decoding.cuda_graph import capture_graph, Step
from .encoder import Encoder

DURATIONS = (3, 6)  # s of utterances that have a graph; each position more costs time
MOST_MORE = 3 * SAMPLE_RATE  # samples that are encoded beyond the audio context, for a graph


class EncoderGraphs:
    """Encode one clip with the layers of an Encoder, by a CUDA graph for each of a few lengths."""

    def __init__(self, encoder: Encoder, margin: float, hop: int) -> None:
        """Use the weights of `encoder`; each graph is captured when it is first needed.

        `margin` is the audio context margin in seconds, `hop` how many samples make a frame.
        """
        self._encoder, self._hop = encoder, hop
        self._captured: dict[int, StaticEncoder] = {}
        self.sizes: list[int] = []
        """The audio contexts that have a graph, in samples."""
        self.follow(margin)

    def follow(self, margin: float) -> None:
        """Have graphs for another margin, in seconds; those of other lengths are freed."""
        lengths = {audio_context(seconds * SAMPLE_RATE, margin) for seconds in DURATIONS}
        self.sizes = sorted(lengths | {FULL_CONTEXT})
        for frames in [*self._captured]:
            if frames * self._hop not in self.sizes:
                del self._captured[frames]

    def audio_context(self, requested: int) -> int:
        """Return how many samples to encode: those of the next graph, if it is near."""
        near = (size for size in self.sizes if requested <= size <= requested + MOST_MORE)
        return next(near, requested)

    def has(self, features: torch.Tensor) -> bool:
        """Return whether there is a graph for features of this shape."""
        return len(features) == 1 and features.shape[-1] * self._hop in self.sizes

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """Return the encoder states, as an Encoder does.

        Raises RuntimeError if no graph can be captured.
        """
        frames = features.shape[-1]
        if frames not in self._captured:
            self._captured[frames] = StaticEncoder(self._encoder, features)
        return self._captured[frames](features)


class StaticEncoder:
    """The encoder for features of one shape, in memory that does not move."""

    def __init__(self, encoder: Encoder, like: torch.Tensor) -> None:
        """Allocate memory in the shape, device and precision of `like`; capture the graph."""
        self._encoder, self._features = encoder, like.clone()
        self._states = encoder(like)
        cuda = like.device.type == 'cuda'
        self._replay: Step = capture_graph(self._run, like.device) if cuda else self._run

    def _run(self) -> None:
        self._states.copy_(self._encoder(self._features))

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """Return a copy of the states: the next clip overwrites those of the graph."""
        self._features.copy_(features)
        self._replay()
        return self._states.clone()
