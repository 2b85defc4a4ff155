"""Keys and values that causal layers remember, and which of them a query may see.

A memory is a state whose tensors have keys along their second axis; "keys", "order" and "valid" are
always among them.
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from danlu.contracts import SequenceContext, State


def remembered(new: State, context: SequenceContext, state: State | None) -> State:
    """What is known of the keys so far, with positions, order and validity of each.

    Args:
        new: tensors `[batch, length, ...]` of the new tokens.
        context: where the new tokens stand.
        state: what this function gave for the tokens before.
    """
    assert context.order is not None
    valid = context.valid
    new = {
        **new,
        "positions": context.positions,
        "order": context.order,
        "valid": torch.ones_like(context.order, dtype=torch.bool) if valid is None else valid,
    }
    if state is None:
        return new
    return {name: torch.cat([state[name], part], dim=1) for name, part in new.items()}


def visible(
    q_order: Int[Tensor, "batch length"], seen: State, *, causal: bool, window: int | None = None
) -> Bool[Tensor, "batch 1 length keys"]:
    """Which keys each query sees; a window counts the token itself."""
    behind = q_order[:, :, None] - seen["order"][:, None, :]
    allowed = seen["valid"][:, None, :].expand_as(behind)
    if causal:
        allowed = allowed & (behind >= 0)
    if window is not None:
        allowed = allowed & (behind.abs() < window)
    return allowed[:, None]


def last(seen: State, keep: int) -> State:
    """The last `keep` keys, behind padding where there are fewer."""
    missing = keep - seen["keys"].shape[1]
    if missing > 0:
        seen = lengthened(seen, keep)
    age = torch.where(seen["valid"], seen["order"], -1)
    kept = age.argsort(dim=1, stable=True)[:, age.shape[1] - keep :]
    rows = torch.arange(len(kept), device=kept.device)[:, None]
    return {name: part[rows, kept] for name, part in seen.items()}


def join_padded(states: list[State]) -> State:
    """States with different numbers of keys as rows of one."""
    longest = max(state["keys"].shape[1] for state in states)
    longer = [lengthened(state, longest) for state in states]
    return {name: torch.cat([state[name] for state in longer]) for name in longer[0]}


def lengthened(state: State, length: int) -> State:
    """The same keys after padding on the left, which nobody may see."""
    longer: State = {}
    for name, part in state.items():
        if name == "position":
            longer[name] = part
            continue
        padding = part.new_zeros(len(part), length - part.shape[1], *part.shape[2:])
        longer[name] = torch.cat([padding, part], dim=1)
    return longer
