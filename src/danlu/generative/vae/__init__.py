"""danlu.generative.vae."""
