"""Laws of evaluation."""
