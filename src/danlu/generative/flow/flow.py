r"""Normalising flow (RealNVP): an invertible network turns data into Gaussian noise, and back.

$\log p(x \mid c) = \log \mathcal N(f_c(x); 0, I) + \log|\det \partial f_c / \partial x|$, with f a
stack of couplings, affine or of another row of `TRANSFORMS`, whose Jacobian is triangular: density
and sample cost one pass each.
Before each coupling, activation normalisation keeps the numbers standardised. On images f works on
several scales: couplings over a checkerboard of pixels, a squeeze of pixels into channels,
couplings over channels, and a split, whose half leaves under a Gaussian that the other half
predicts. Values on levels are dequantised and, by default, spread by a logit; their likelihood is
a lower bound, a density of continuous values is exact. The class c reaches every coupling and
every split.

Use it where the density itself is wanted, exact and in one pass, or codes that lead back to their
data without loss. Samples of a lower temperature are cleaner, less varied, and not of the model.

Sources: arXiv:1605.08803 (RealNVP); arXiv:1410.8516 (couplings); arXiv:1807.03039 (activation
normalisation, learned split priors, temperature).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.conditioning import conditioner
from danlu.contracts import DanluError, DataDescription, Told, unknown
from danlu.contracts.noise import Noise
from danlu.generative.chain import Chain, ChainOptions, Layer
from danlu.generative.parts import MASKS, NETWORKS
from danlu.generative.parts.actnorm import ActNorm
from danlu.generative.parts.coupling_networks import FEATURES, Make
from danlu.generative.parts.couplings import Coupling
from danlu.generative.parts.dequantise import Dequantise
from danlu.generative.parts.logit import Logit
from danlu.generative.parts.priors import GaussianPrior
from danlu.generative.parts.split import Split
from danlu.generative.parts.squeeze import FACTOR, Squeeze
from danlu.generative.parts.transforms import TRANSFORMS, Transform
from danlu.generative.recipe import Recipe, Recipes, Regime, plan_of
from danlu.generative.tiny import TINY

DENSE_UP_TO = 1024
"""Most numbers of an image whose couplings are dense by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowOptions(ChainOptions):
    """Options of flows: those of the chain, and the temperature.

    Attributes:
        temperature: factor of the noise behind a sample; only 1 samples the model.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        ChainOptions.__post_init__(self)
        if not self.temperature > 0:
            raise DanluError(f"The temperature must be positive, got {self.temperature}.")


class Tempered:
    """Normal noise times a temperature."""

    def __init__(self, noise: Noise, temperature: float) -> None:
        self.noise = noise
        self.temperature = temperature

    def normal(self, *shape: int) -> Float[Tensor, "batch *shape"]:
        """Normal values with the temperature as deviation, `[batch, *shape]`."""
        return self.temperature * self.noise.normal(*shape)

    def uniform(self, *shape: int) -> Float[Tensor, "batch *shape"]:
        """Uniform values on [0, 1), `[batch, *shape]`."""
        return self.noise.uniform(*shape)


class Flow(Chain):
    """A chain of bijections and splits under a Gaussian, trained by its exact likelihood."""

    Options: ClassVar[type] = FlowOptions

    @override
    def draw(self, noise: Noise, n: int, condition: Told, options: FlowOptions) -> Tensor:
        # Alike for the prior and for the Gaussians of splits, which draw while decoding.
        return super().draw(Tempered(noise, options.temperature), n, condition, options)


class _Stack:
    """Layers of a flow while it is built, with the shape that reaches the next one."""

    def __init__(
        self,
        description: DataDescription,
        make: Make,
        couplings: int,
        transform: Callable[[], Transform],
    ) -> None:
        self.layers: list[Layer] = []
        self.shape = description.shape
        self.kind = description.condition
        self.make = make
        self.couplings = couplings
        self.transform = transform

    def couple(self, name: str) -> None:
        """Couplings under the alternating masks of a row, each on normalised numbers."""
        mask = MASKS[name].target
        for index in range(self.couplings):
            move = self.transform()
            network = self.make(self.shape, move.parameters_per_number * self.shape[0])
            embedding = conditioner(self.kind, FEATURES)
            self.layers += [
                ActNorm(self.shape),
                Coupling(mask(self.shape, index % 2), network, embedding, move),
            ]

    def squeeze(self) -> None:
        """Pixels to channels."""
        channels, height, width = self.shape
        self.layers.append(Squeeze())
        self.shape = (channels * FACTOR**2, height // FACTOR, width // FACTOR)

    def split(self) -> None:
        """The second half of the channels leaves."""
        channels, *rest = self.shape
        self.shape = (channels // 2, *rest)
        network = self.make(self.shape, 2 * (channels - channels // 2))
        embedding = conditioner(self.kind, FEATURES)
        self.layers.append(Split(self.shape[0], network, embedding))


def build(  # noqa: PLR0913 - runs of earlier versions name all but `transform`
    description: DataDescription = TINY,
    *,
    couplings: int = 4,
    levels: int = 1,
    width: int = 128,
    depth: int = 1,
    network: str = "auto",
    squash: str = "auto",
    transform: str = "affine",
) -> Flow:
    """A flow for images or vectors.

    Args:
        description: of the data.
        couplings: of one kind in a row.
        levels: squeezes and splits, on images whose sides can be halved so often.
        width: of the networks in the couplings.
        depth: residual blocks of each.
        network: dense or convolutional; auto by the size of the data.
        squash: what spreads values on levels: logit or affine; auto for the logit.
        transform: what couplings do with a number, a row of TRANSFORMS.
    """
    if transform not in TRANSFORMS:
        raise unknown("transform", transform, TRANSFORMS)
    make = maker(network, description, width=width, depth=depth)
    stack = _Stack(description, make, couplings, TRANSFORMS[transform].build)
    stack.layers += to_the_line(description, squash)
    if description.is_image:
        for _ in range(levels):
            if any(side % FACTOR for side in stack.shape[1:]):
                break
            stack.couple("checkerboard")
            stack.squeeze()
            stack.couple("channel-half")
            stack.split()
    stack.couple("checkerboard")
    stack.layers.append(ActNorm(stack.shape))
    code = replace(description, shape=stack.shape, levels=None, low=-3.0, high=3.0, condition=None)
    return Flow(description, stack.layers, GaussianPrior(code))


def maker(network: str, description: DataDescription, *, width: int, depth: int) -> Make:
    """What makes the networks of a row of NETWORKS for the described data; auto by its size.

    Raises:
        DanluError: nobody knows the name, or vectors are to be convolved.
    """
    if network == "auto":
        dense = not description.is_image or description.dims <= DENSE_UP_TO
        network = "dense" if dense else "convolutional"
    known = NETWORKS if description.is_image else {"dense": NETWORKS["dense"]}
    if network not in known:
        raise unknown("network", network, known)
    return lambda shape, outputs: known[network].target(shape, outputs, width=width, depth=depth)


def to_the_line(description: DataDescription, squash: str) -> list[Layer]:
    """Layers that make values on levels continuous and spread them over the line."""
    if squash not in ("auto", "logit", "affine"):
        raise unknown("squash", squash, ("auto", "logit", "affine"))
    if description.levels is None:
        if squash == "logit":
            raise DanluError("The logit needs values on levels, whose range is known.")
        return []
    half = description.spacing / 2
    logit = [] if squash == "affine" else [Logit(description.low - half, description.high + half)]
    return [Dequantise(description), *logit]


RECIPES: Recipes = {
    Regime.VECTOR: Recipe(model={"couplings": 8}, plan=plan_of(256, 2e-3)),
    Regime.SMALL_IMAGE: Recipe(plan=plan_of(128, 1e-3)),
    Regime.IMAGE: Recipe(model={"couplings": 2, "levels": 2, "width": 256}, plan=plan_of(64, 1e-3)),
}
