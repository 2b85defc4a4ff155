"""Whole tasks made of the library's parts, one package each."""
