"""danlu.evaluation."""
