"""Benchmarks beside peers, and studies of the articles' claims."""
