"""Laws of positions."""
