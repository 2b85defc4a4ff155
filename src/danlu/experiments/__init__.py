"""danlu.experiments."""
