"""danlu.generative.flow."""
