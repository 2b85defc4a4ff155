"""danlu.generative.quantized."""
