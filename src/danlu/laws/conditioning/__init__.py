"""Laws of what networks are told."""
