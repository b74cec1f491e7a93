"""The decoders: greedy, CUDA graph, speculative, and transformers' own generation."""
