"""danlu.layers."""
