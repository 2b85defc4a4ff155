"""The laws of the mixers' contract that a member need not obey, and why.

What follows from a declared fact (not causal, of fixed length, a state that grows) needs no entry.
"""

EXEMPT: dict[str, dict[str, str]] = {}
"""`mixers/name` -> law -> reason."""
