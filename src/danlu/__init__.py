"""Train every generative family under one contract and see which one to use."""

__version__ = "0.1.0"
