"""Kernel density: a generative model that keeps its examples and is fitted without training."""

from danlu.generative.kernel_density.kernel_density import KernelDensity

__all__ = ["KernelDensity"]
