"""The model: its weights, its encoder, and the ways of decoding; `model.py` chooses among them."""
