"""danlu.experiments.checks."""
