"""Figures of trained models: samples, likelihoods, costs, beside yardsticks."""
