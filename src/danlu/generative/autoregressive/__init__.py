"""Models that draw one number after the other, each given those before."""
