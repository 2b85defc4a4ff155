"""Weights of published models for our stacks: the same layers under other names.

Each function takes the state of a whole language model of the `transformers` package and returns
the state of a `Transformer` of our layers, and apart from it what stands around the stack: the
embedding, the head and, for RWKV and RoFormer, a norm behind the embedding.

Sources: arXiv:2312.00752 (Mamba); arXiv:2405.21060 (Mamba-2); arXiv:2305.13048 (RWKV-4);
arXiv:2104.09864 (RoFormer).
"""

import re
from collections.abc import Mapping

from torch import Tensor

Weights = dict[str, Tensor]

MAMBA = {
    "A_log": "log_rate",
    "D": "skip",
    "conv1d.weight": "convolution.weight",
    "conv1d.bias": "convolution.bias",
    "in_proj.weight": "inward.weight",
    "x_proj.weight": "select.weight",
    "dt_proj.weight": "delta.weight",
    "dt_proj.bias": "delta.bias",
    "out_proj.weight": "output.weight",
}
"""Our names of what is in a layer."""

MAMBA2 = {
    "A_log": "log_rate",
    "D": "skip",
    "dt_bias": "step_bias",
    "conv1d.weight": "convolution.weight",
    "conv1d.bias": "convolution.bias",
    "in_proj.weight": "input.weight",
    "norm.weight": "norm.gain",
    "out_proj.weight": "output.weight",
}

RWKV4 = {
    "time_decay": "decay",
    "time_first": "bonus",
    "time_mix_key": "key_mix",
    "time_mix_value": "value_mix",
    "time_mix_receptance": "receptance_mix",
    **{f"{name}.weight": f"{name}.weight" for name in ("key", "value", "receptance", "output")},
}
NORM = {"weight": "gain", "bias": "shift"}
ROFORMER = {
    "attention.self.query": (0, "query"),
    "attention.self.key": (0, "key"),
    "attention.self.value": (0, "value"),
    "attention.output.dense": (0, "output"),
    "intermediate.dense": (1, "network.rise"),
    "output.dense": (1, "network.fall"),
    "attention.output.LayerNorm": (0, None),
    "output.LayerNorm": (1, None),
}
"""Which layer of a block, and our name in it; None is the norm behind the layer."""


def from_mamba(state: Mapping[str, Tensor]) -> tuple[Weights, Weights]:
    """A stack of one `Mamba` in each block, with `RMSNorm`, and the rest under its own names."""
    return _state_space(state, MAMBA)


def from_mamba2(state: Mapping[str, Tensor]) -> tuple[Weights, Weights]:
    """A stack of one `Mamba2` in each block, with `RMSNorm`, and the rest under its own names."""
    return _state_space(state, MAMBA2)


def _state_space(state: Mapping[str, Tensor], names: Mapping[str, str]) -> tuple[Weights, Weights]:
    stack: Weights = {}
    rest: Weights = {}
    for name, value in state.items():
        if found := re.fullmatch(r"backbone\.layers\.(\d+)\.mixer\.(.+)", name):
            new = f"layers.{found[1]}.{names[found[2]]}"
            stack[new] = value[:, 0] if found[2] == "conv1d.weight" else value
        elif found := re.fullmatch(r"backbone\.layers\.(\d+)\.norm\.weight", name):
            stack[f"norms.{found[1]}.gain"] = value
        elif name == "backbone.norm_f.weight":
            stack["final.gain"] = value
        else:
            rest[name] = value
    return stack, rest


def from_rwkv4(state: Mapping[str, Tensor]) -> tuple[Weights, Weights]:
    """A stack of `RWKV4` and `RWKVChannels` in each block, with `LayerNorm`, and the rest."""
    stack: Weights = {}
    rest: Weights = {}
    place = {"attention": 0, "feed_forward": 1, "ln1": 0, "ln2": 1}
    for name, value in state.items():
        found = re.fullmatch(r"rwkv\.blocks\.(\d+)\.(attention|feed_forward|ln1|ln2)\.(.+)", name)
        if found:
            index = 2 * int(found[1]) + place[found[2]]
            norm = found[2].startswith("ln")
            new = f"norms.{index}.{NORM[found[3]]}" if norm else f"layers.{index}.{RWKV4[found[3]]}"
            stack[new] = value[0, 0] if value.ndim == 3 else value
        elif name.startswith("rwkv.ln_out."):
            stack[f"final.{NORM[name.rpartition('.')[2]]}"] = value
        else:
            rest[name] = value
    return stack, rest


def from_roformer(state: Mapping[str, Tensor]) -> tuple[Weights, Weights]:
    """A `PostNormTransformer` of `ShiftedSoftmax` and `MLP` in each block, with `LayerNorm`.

    The positions are `Rotary` in the interleaved layout, or `RotaryValues` where values turn too.
    """
    stack: Weights = {}
    rest: Weights = {}
    for name, value in state.items():
        found = re.fullmatch(r"roformer\.encoder\.layer\.(\d+)\.(.+)\.(weight|bias)", name)
        if found is None:
            rest[name] = value
            continue
        which, inner = ROFORMER[found[2]]
        index = 2 * int(found[1]) + which
        ours = f"norms.{index}.{NORM[found[3]]}"
        stack[ours if inner is None else f"layers.{index}.{inner}.{found[3]}"] = value
    return stack, rest
