"""The ways of decoding: greedy, CUDA graph, speculative, and transformers itself."""
