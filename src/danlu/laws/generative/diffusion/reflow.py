"""Laws of flows that learn from their own pairs, on data whose straight flow is known."""

import torch
from torch import Tensor, nn

from danlu.conditioning.classes import ClassEmbedding
from danlu.contracts import Batch, Progress
from danlu.contracts.noise import BatchNoise
from danlu.data import Examples, ExampleStream
from danlu.generative.diffusion.analytic import MixtureDenoiser
from danlu.generative.diffusion.distilled import DISTIL
from danlu.generative.diffusion.distilled import build as build_distilled
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.parts import STRAIGHT
from danlu.generative.diffusion.reflow import REFLOW, Reflow, paired
from danlu.generative.diffusion.straightness import straightness
from danlu.generative.tiny import TINY_VECTOR
from danlu.laws.draws import seed, seeded
from danlu.laws.gaps import gap
from danlu.laws.generative.diffusion.diffusion_parts import ExactNetwork
from danlu.laws.generative.exact_maps import LINE
from danlu.laws.law import Rows, table

FINE = DiffusionOptions(evaluations=201)
PAIRS = 48
BISECTIONS, NODES = 50, 4001


def mixture() -> MixtureDenoiser:
    """Two unequal components on a line, float64."""
    return MixtureDenoiser(
        torch.tensor([[1.0], [-1.0]], dtype=torch.float64),
        torch.tensor([0.3, 0.5], dtype=torch.float64),
        torch.tensor([0.4, 0.6], dtype=torch.float64),
    )


def distribution(x: Tensor) -> Tensor:
    """The distribution function of the mixture."""
    law = mixture()
    parts = torch.special.ndtr((x[..., None] - law.means[:, 0]) / law.variances.sqrt())
    return (law.log_weights.exp() * parts).sum(-1)


def quantile(z: Tensor) -> Tensor:
    """Where the exact flow carries a normal number on the line: to its quantile of the mixture."""
    share = torch.special.ndtr(z)
    low, high = torch.full_like(z, -8.0), torch.full_like(z, 8.0)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        above = distribution(middle) > share
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return (low + high) / 2


class StraightNetwork(nn.Module):
    """The velocity of the pairs of a line: z - T(z), where the one line through x starts from z."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = ClassEmbedding(0, 1)
        self.noise = torch.linspace(-5.0, 5.0, NODES, dtype=torch.float64)
        self.data = quantile(self.noise)

    def forward(self, x: Tensor, t: Tensor, condition: None) -> Tensor:
        """The velocity at x, by linear interpolation of a table over z."""
        wide = t[:, None]
        lines = (1 - wide) * self.data + wide * self.noise  # [batch, nodes], rising
        i = torch.searchsorted(lines, x).clamp(1, NODES - 1)
        before, after = lines.gather(1, i - 1), lines.gather(1, i)
        share = (x - before) / (after - before)
        velocity = self.noise - self.data
        return velocity[i - 1] + share * (velocity[i] - velocity[i - 1])


def model(network: nn.Module) -> Reflow:
    """A reflow of a network, whose pairs are made with many steps."""
    return Reflow(LINE, network, pairs=PAIRS, shares=(0.5, 0.5), fine=FINE)


def exact() -> ExactNetwork:
    """The velocity of independent pairs of the mixture and noise."""
    return ExactNetwork(mixture(), STRAIGHT, error=0.0)


def pairs() -> tuple[Tensor, Tensor]:
    """Samples and noise of the pairs that the exact flow makes, float64."""
    data = ExampleStream(
        Examples(torch.zeros(3, 1, dtype=torch.float64), None, LINE), LINE, batch=3, seed=seed()
    )
    with seeded():
        batch = next(paired(model(exact()).double(), data).once(PAIRS))
    return batch.x.double(), batch.extra["noise"].double()


def marginals() -> float:
    """Pairs on a line are quantiles of one another, so samples keep the data's law."""
    x, z = pairs()
    return gap(distribution(x), torch.special.ndtr(z))


def straight_loss() -> float:
    """On its pairs the straight flow has next to no loss, beside the flow that made them."""
    x, z = pairs()
    batch, losses = Batch(x, None, torch.arange(PAIRS), extra={"noise": z}), []
    for network in (StraightNetwork(), exact()):
        with seeded():
            losses.append(model(network).loss(batch, REFLOW, Progress(0, 0.0, 0)).total.item())
    return losses[0] / losses[1]


def one_step() -> float:
    """One step of a straight flow is exact."""
    z = torch.linspace(-2.0, 2.0, 21, dtype=torch.float64)[:, None]
    options = DiffusionOptions(solver="euler", evaluations=1)
    once = Reflow(LINE, StraightNetwork(), pairs=PAIRS, shares=(0.5, 0.5), fine=options)
    return gap(once.carried(z, None), quantile(z))


def loss_of_pairs() -> float:
    """A pair asks for the velocity of its line at a time of its own, squared and averaged."""
    z = torch.linspace(-2.0, 2.0, PAIRS, dtype=torch.float64)[:, None]
    x, network = 0.3 * z + 0.1 * z**2, exact()
    batch = Batch(x, None, torch.arange(PAIRS), extra={"noise": z})
    with seeded(1):
        found = model(network).loss(batch, REFLOW, Progress(0, 0.0, 0)).total
    with seeded(1):
        t = model(network).pair_times(REFLOW, BatchNoise(PAIRS, dtype=torch.float64))
    state = (1 - t[:, None]) * x + t[:, None] * z
    errors = [value - (b - a) for value, a, b in zip(network(state, t, None), x, z, strict=True)]
    return gap(found, torch.stack(errors).square().sum() / PAIRS)


def times_of_players() -> float:
    """A flow's last step is from pure noise alone; pairs before it are asked for at all times."""
    distilled = build_distilled(TINY_VECTOR)
    draws = [distilled.pair_times(name, BatchNoise(500)) for name in (DISTIL, REFLOW)]
    within = [((t >= 0) & (t <= 1)).all().item() for t in draws]
    last = [gap(draws[0], 1.0) == 0, draws[1].min().item() < 0.2, draws[1].max().item() > 0.8]
    return gap([*within, *last], [True] * 5)


def straightness_adds() -> float:
    """Two coordinates with one velocity are twice as bent as one of them."""
    z = torch.linspace(-2.0, 2.0, 21, dtype=torch.float64)[:, None]
    line, plane = (straightness(lambda x, t: x * t, part) for part in (z, z.expand(21, 2)))
    return gap(plane, 2 * line)


def straightness_falls() -> float:
    """The flow of pairs on a line is straight, that of independent pairs is not."""
    z = torch.linspace(-2.0, 2.0, 21, dtype=torch.float64)[:, None]
    bent, straight = (
        straightness(model(each).drift(None), z, start=0.999, steps=40)
        for each in (exact(), StraightNetwork())
    )
    return straight / bent


def gaussian_straightness() -> float:
    """The straightness of a Gaussian's flow is that of its closed form."""
    std = 0.4
    law = MixtureDenoiser(
        torch.zeros(1, 1, dtype=torch.float64),
        torch.tensor([std], dtype=torch.float64),
        torch.ones(1, dtype=torch.float64),
    )
    z = torch.tensor([[1.0]], dtype=torch.float64)
    network = ExactNetwork(law, STRAIGHT, error=0.0)
    found = straightness(model(network).drift(None), z, start=0.999, steps=800)
    t = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    # The deviation r of the marginal is what the trajectory of z = 1 follows.
    rate = (t - (1 - t) * std**2) / ((1 - t).square() * std**2 + t.square()).sqrt()
    return gap(found, ((1 - std) - rate).square().mean().item())


_LAWS: Rows = {
    "definition": [
        ("reflow/loss", 1e-9, loss_of_pairs),
    ],
    "contract": [
        ("reflow/times", 0.0, times_of_players),
    ],
    "self-consistency": [
        ("reflow/straightness adds", 1e-12, straightness_adds),
    ],
    "closed form": [
        ("reflow/marginals", 2e-3, marginals),
        ("reflow/straight loss", 1e-3, straight_loss),
        ("reflow/one step", 1e-2, one_step),
        ("reflow/straightness falls", 1e-3, straightness_falls),
    ],
    "quadrature": [
        ("reflow/straightness", 2e-3, gaussian_straightness),
    ],
}

LAWS = table(_LAWS)
