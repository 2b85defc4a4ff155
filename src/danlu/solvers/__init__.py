"""danlu.solvers."""
