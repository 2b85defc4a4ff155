"""danlu.losses."""
