"""A chain's decoder as a function of tensors: the code, the noise of its layers, the class."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from danlu.contracts import Export, Port
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
        """Data for each row of (code, *noise), or of (code, *noise, class ids)."""
        code, *noise = inputs
        condition = noise.pop() if self.chain.description.classes else None
        return self.chain.expand(code, condition, GivenNoise(noise), self.output)


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
        return [prior.sample(n), *given, *class_example(chain, n)]

    return Export(
        about=ABOUT[output],
        module=module,
        inputs=inputs | class_port(chain),
        output=data_port(chain),
        example=example,
    )


def class_port(model: GenerativeModel) -> dict[str, Port]:
    """The input of class ids; nothing for a model without classes."""
    null = model.description.classes
    if not null:
        return {}
    return {
        "class_id": Port(about=f"the class; {null} stands for no class", low=0.0, high=float(null))
    }


def class_example(model: GenerativeModel, n: int) -> list[Int[Tensor, " n"]]:
    """Ids for that input, the null class included; nothing for a model without classes."""
    null = model.description.classes
    return [torch.arange(n, device=model.device) % (null + 1)] if null else []


def data_port(model: GenerativeModel) -> Port:
    """The output of samples."""
    description = model.description
    low, high = float(description.low), float(description.high)
    if description.levels is None:
        return Port(about="examples on the scale of the data", low=low, high=high)
    about = "examples on the scale of the data, to be rounded to its levels"
    return Port(about=about, low=low, high=high)
