"""danlu.generative.gan."""
