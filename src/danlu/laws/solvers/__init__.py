"""Laws of solvers."""
