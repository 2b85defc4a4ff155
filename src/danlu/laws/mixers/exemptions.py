"""The laws of the mixers' contract that a member need not obey, and why.

What follows from a declared fact (not causal, of fixed length, a state that grows) needs no entry.
"""

_SORTED = "which part of the past is near depends on how all tokens are sorted"

EXEMPT: dict[str, dict[str, str]] = {
    "mixers/reformer": dict.fromkeys(("split", "steps", "future", "prefixes"), _SORTED),
    "mixers/transformer-vq": {
        "gradient": "straight-through: the gradient by keys is not that of the hard choice"
    },
}
"""`mixers/name` -> law -> reason."""
