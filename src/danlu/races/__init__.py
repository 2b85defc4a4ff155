"""Races: many families on the same data in the same time."""
