"""codedose: how the share of code in the instruction-tuning mix changes a model's reasoning."""

__version__ = "0.1.0"
