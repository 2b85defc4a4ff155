"""danlu.cli."""
