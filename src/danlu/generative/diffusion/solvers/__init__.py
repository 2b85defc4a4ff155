"""Solvers that turn noise into data: one method a file, all in the currency of denoisers."""
