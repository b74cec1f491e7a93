"""One utterance, from frames to a transcript."""
