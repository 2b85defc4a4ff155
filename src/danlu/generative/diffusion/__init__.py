"""danlu.generative.diffusion."""
