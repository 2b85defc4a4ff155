"""What the library has: rooms listed, methods explained, their pages."""
