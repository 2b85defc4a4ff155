"""danlu.estimators."""
