"""Laws of layers."""
