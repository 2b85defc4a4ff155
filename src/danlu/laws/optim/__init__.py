"""Laws of optim."""
