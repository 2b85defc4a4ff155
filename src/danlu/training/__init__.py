"""danlu.training."""
