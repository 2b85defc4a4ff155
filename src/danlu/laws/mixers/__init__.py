"""Laws of mixers."""
