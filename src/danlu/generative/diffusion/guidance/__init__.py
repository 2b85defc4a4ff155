"""Guidance: denoiser to denoiser, one method a file; they compose by being applied in turn."""
