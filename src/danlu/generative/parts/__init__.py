"""danlu.generative.parts."""
