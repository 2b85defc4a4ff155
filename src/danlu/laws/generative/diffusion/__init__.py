"""Laws of diffusion."""
