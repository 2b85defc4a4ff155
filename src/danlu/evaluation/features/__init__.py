"""Feature spaces: where samples and held-out data are compared."""
