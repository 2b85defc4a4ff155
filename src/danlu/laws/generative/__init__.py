"""Laws of generative."""
