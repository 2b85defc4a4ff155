r"""Scales $\eta$ for Amos: how large the entries of a trained tensor are expected to be.

The first of these that speaks decides: a pattern of the user, the `scale` of a rule that a module
gives in `parameter_rules()`, the tables by module type and by name below. What none of them knows
is an error: a wrong guess would train badly without a word.

| tensor | $\eta$ |
|---|---|
| scale of a norm | 1 |
| any bias, shift of a norm | 1/2 |
| embedding of size d | $\sqrt{2/d}$ |
| linear kernel | $\sqrt{1/\text{in}}$ |
| convolution kernel | $\sqrt{2/\text{in}}$, in = input channels × kernel area |
| recurrent kernel | $(2\,\text{in})^{-1/4}$ |
| of any other module: shift, offset | 1/2 |
| its scale, gain, gamma, or a logarithm | 1 |

A pattern reads `REGEX=SCALE` with the whole name of the parameter; SCALE is a number, or `G/in`
for $\sqrt{G/\text{in}}$: a linear kernel behind a ReLU wants `2/in`, a first convolution `8/in`.

Source: arXiv:2210.11693 section 4 and its appendix.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence

from torch import Size, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from danlu.contracts import DanluError
from danlu.optim.parameters import NamedParameter

Scale = Callable[[Size], float]


def fixed(value: float) -> Scale:
    """The same scale for any shape."""
    return lambda shape: value


def fan_in(gain: float, axis: int = 0) -> Scale:
    """sqrt(gain / in), where every axis but that of the outputs counts as input."""
    return lambda shape: math.sqrt(gain * shape[axis] / max(shape.numel(), 1))


HALF, ONE = fixed(0.5), fixed(1.0)
NORM = {"weight": ONE, "bias": HALF}

BY_TYPE: Mapping[type[nn.Module], Mapping[str, Scale]] = {
    nn.Linear: {"weight": fan_in(1.0), "bias": HALF},
    nn.Bilinear: {"weight": fan_in(1.0), "bias": HALF},
    _ConvTransposeNd: {"weight": fan_in(2.0, axis=1), "bias": HALF},
    _ConvNd: {"weight": fan_in(2.0), "bias": HALF},
    nn.Embedding: {"weight": fan_in(2.0)},
    nn.EmbeddingBag: {"weight": fan_in(2.0)},
    nn.LayerNorm: NORM,
    nn.GroupNorm: NORM,
    nn.RMSNorm: NORM,
    _NormBase: NORM,
    nn.MultiheadAttention: {".*weight": fan_in(1.0), "in_proj_bias|bias_k|bias_v": HALF},
    nn.RNNBase: {"weight_.*": lambda shape: (2 * shape[1]) ** -0.25, "bias_.*": HALF},
}

BY_NAME: Mapping[str, Scale] = {
    "(.*_)?(bias|beta|shift|offset)": HALF,
    "(.*_)?(scale|gain|gamma)|log_.*|.*_log": ONE,
}
"""For modules of a type that is not in the table above."""


def scale_of(row: NamedParameter, patterns: Sequence[str] = ()) -> float:
    """The scale of a parameter, positive.

    Raises:
        DanluError: nobody knows it, or a pattern cannot be read.
    """
    for pattern in patterns:
        expression, scale = parse_scale(pattern)
        if expression.fullmatch(row.path):
            return scale(row.parameter.shape)
    if row.rule.scale is not None:
        return row.rule.scale
    tables = [BY_TYPE.get(parent, {}) for parent in row.module_type.__mro__]
    for name, scale in (pair for table in [*tables, BY_NAME] for pair in table.items()):
        if re.fullmatch(name, row.name):
            return scale(row.parameter.shape)
    shape = tuple(row.parameter.shape)
    raise DanluError(
        f"Amos has no scale for the parameter {row.path!r} of shape {shape}: let "
        f"{row.module_type.__name__}.parameter_rules() give Rule(scale=...), or set "
        f"optimizer.scales={re.escape(row.path)}=0.5 or another scale."
    )


def parse_scale(pattern: str) -> tuple[re.Pattern[str], Scale]:
    """A pattern and its scale from `REGEX=NUMBER` or `REGEX=GAIN/in`.

    Raises:
        DanluError: the text reads otherwise.
    """
    expression, equals, text = pattern.rpartition("=")
    gain, slash, unit = text.partition("/")
    try:
        if not equals or (slash and unit.strip() != "in"):
            raise ValueError(pattern)
        value, compiled = float(gain), re.compile(expression.strip())
        if not 0 < value < math.inf:
            raise ValueError(pattern)
    except (ValueError, re.error) as error:
        raise DanluError(
            f"A scale reads REGEX=NUMBER or REGEX=GAIN/in with a positive number, got {pattern!r}."
        ) from error
    return compiled, fan_in(value) if slash else fixed(value)
