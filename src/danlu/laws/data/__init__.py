"""Laws of data."""
