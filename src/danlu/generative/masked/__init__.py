"""Masked models: tokens from those on both sides."""
