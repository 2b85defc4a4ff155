"""A chain's decoder as a function of tensors: the code, the noise of its layers, the condition."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from danlu.contracts import Classes, Condition, Export, Kind, Port, Tokens, Told, anything, kinds_of
from danlu.contracts.noise import BatchNoise
from danlu.contracts.recorded_noise import GivenNoise, RecordedNoise
from danlu.generative.base import GenerativeModel
from danlu.generative.chain_options import Output

ABOUT = {
    Output.UNROUNDED: "a code to an example, drawn where the model draws",
    Output.MEAN: "a code to the mean of its examples, which is no sample",
}
NOISE = {
    "normal": "standard normal values",
    "uniform": "uniform values on [0, 1)",
}


class Decoding(nn.Module):
    """`expand` of a chain whose layers draw nothing: their noise comes after the code."""

    def __init__(self, chain: GenerativeModel, output: Output) -> None:
        super().__init__()
        self.chain: Any = chain
        self.output = output

    def forward(self, *inputs: Tensor) -> Float[Tensor, "batch ..."]:
        """Data for each row of (code, *noise, *what it is told)."""
        (code, *noise), condition = parted(self.chain, inputs)
        return self.chain.expand(code, condition, GivenNoise(noise), self.output)


class ToldFunction(nn.Module):
    """A function of a model whose last argument is a condition, told by tensors.

    Args:
        model: whose condition it is.
        function: of tensors and a condition.
    """

    def __init__(self, model: GenerativeModel, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.model = model
        self.function = function

    def forward(self, *inputs: Tensor) -> Float[Tensor, "batch ..."]:
        """The function's value for each row."""
        plain, told = parted(self.model, inputs)
        return self.function(*plain, told)


def parted(model: GenerativeModel, inputs: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], Told]:
    """Other inputs, and the condition that the last ones tell."""
    count = len(told_ports(model))
    plain = inputs[: len(inputs) - count]
    return plain, told_by(model.description.condition, *inputs[len(plain) :])


def decoder_export(
    chain: GenerativeModel, prior: GenerativeModel, output: Output = Output.UNROUNDED
) -> Export:
    """What maps a code, as the chain's own prior draws it, to data."""
    module = Decoding(chain, output).eval()
    with torch.no_grad():
        recorded = RecordedNoise(BatchNoise(2, device=chain.device, dtype=chain.dtype))
        module.chain.expand(prior.sample(2), None, recorded, output)
    draws = [(kind, tuple(values.shape[1:])) for kind, values in recorded.draws]
    code = Port(about=f"the code; here drawn from the model's prior, {type(prior).__name__}")
    inputs = {"code": code}
    for index, (kind, _) in enumerate(draws):
        inputs[f"noise_{index}"] = Port(about=NOISE[kind])

    def example(n: int) -> list[Tensor]:
        noise = BatchNoise(n, device=chain.device, dtype=chain.dtype)
        given = [getattr(noise, kind)(*shape) for kind, shape in draws]
        return [prior.sample(n), *given, *told_example(chain, n)]

    return Export(
        about=ABOUT[output],
        module=module,
        inputs=inputs | told_ports(chain),
        output=data_port(chain),
        example=example,
    )


def told_ports(model: GenerativeModel) -> dict[str, Port]:
    """The inputs that tell a condition; none for a model that is told nothing."""
    kind = model.description.condition
    if kind is None:
        return {}
    if isinstance(kind, Classes):
        null = kind.classes
        about = f"the class; {null} stands for no class"
        return {"class_id": Port(about=about, low=0.0, high=float(null))}
    ports = {}
    for index, one in enumerate(kinds_of(kind)):
        ports[f"told_{index}"] = Port(about=f"the condition, of the kind {one.name}")
        if isinstance(one, Tokens):
            ports[f"valid_{index}"] = Port(about="1 for each of its tokens, 0 behind the last one")
    return {**ports, "given": Port(about="1 where it is told, 0 for no condition")}


def told_example(model: GenerativeModel, n: int) -> list[Tensor]:
    """Values for those inputs, of which the last row tells nothing."""
    kind, device = model.description.condition, model.device
    if kind is None:
        return []
    if isinstance(kind, Classes):
        return [torch.arange(n, device=device) % (kind.classes + 1)]
    told = anything(kind, n).to(device, model.dtype)
    values = [
        leaf.long() if leaf.dtype == torch.bool else leaf
        for leaf in pytree.tree_leaves(told)
        if isinstance(leaf, Tensor)
    ]
    return [*values, (torch.arange(n, device=device) < max(1, n - 1)).long()]


def told_by(kind: Kind | None, *inputs: Tensor) -> Told:
    """The condition that such inputs tell; None without any."""
    if kind is None:
        return None
    told = list(inputs)
    if isinstance(kind, Classes):
        return Condition(told[0], given=told[0] != kind.classes)
    *told, last = told
    given, parts = last > 0, []
    for one in kinds_of(kind):
        values = told.pop(0)
        valid = told.pop(0) > 0 if isinstance(one, Tokens) else None
        parts.append(Condition(values, valid, given))
    return Condition(tuple(parts)) if isinstance(kind, tuple) else parts[0]


def data_port(model: GenerativeModel) -> Port:
    """The output of samples."""
    description = model.description
    low, high = float(description.low), float(description.high)
    if description.levels is None:
        return Port(about="examples on the scale of the data", low=low, high=high)
    about = "examples on the scale of the data, to be rounded to its levels"
    return Port(about=about, low=low, high=high)
