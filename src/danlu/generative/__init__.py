"""danlu.generative."""
