"""Laws of whole flows: a joint density by autograd, inverses, and mass by quadrature."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from danlu.contracts import Batch, Classes, Condition, DataDescription, DataKind, Told
from danlu.generative.flow.flow import Flow, FlowOptions, build
from danlu.generative.parts import CLASSES, NETWORKS
from danlu.generative.parts.actnorm import ActNorm
from danlu.generative.parts.split import Split
from danlu.laws.draws import seed, standard_normal
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.diffusion.test_bed import RecordedNoise, item_noise
from danlu.laws.generative.flow_layers import N, conditions, disturbed
from danlu.laws.law import Rows, table

PLANE = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0, condition=Classes(CLASSES))
IMAGE = replace(PLANE, kind=DataKind.IMAGE, shape=(1, 4, 4))
WIDTH, COUPLINGS = 16, 2


def flows() -> Iterator[Flow]:
    """In the plane, and on continuous images with each kind of network."""
    for description, name in ((PLANE, "dense"), *((IMAGE, name) for name in NETWORKS)):
        flow = disturbed(build(description, network=name, width=WIDTH, couplings=COUPLINGS))
        assert isinstance(flow, Flow)
        yield flow


def log_volume(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Log-determinant of the Jacobian at one example, by autograd."""
    matrix = jacobian(lambda row: function(row).flatten(), x)
    assert isinstance(matrix, Tensor)
    return torch.linalg.slogdet(matrix.reshape(x.numel(), x.numel())).logabsdet


def inverses() -> float:
    """Flows lead back to their input."""
    worst = 0.0
    for flow in flows():
        x = standard_normal(N, *flow.description.shape)
        for condition in conditions():
            worst = largest(worst, gap(flow.reconstruct(x, condition=condition), x))
    return worst


def standard(flow: Flow, x: Tensor, condition: Told) -> Tensor:
    """All numbers as standard normal noise: what leaves early is standardised by hand."""
    left = []
    for layer in flow.links:
        code, _ = layer.encode(x, condition, item_noise(len(x)))
        if isinstance(layer, Split):
            assert isinstance(code, tuple)
            x, second = code
            # Decoding adds the deviation times the noise to the mean.
            mean, moved = (
                layer.decode(x, condition, RecordedNoise(level * torch.ones_like(second)))
                for level in (0.0, 1.0)
            )
            mean, moved = mean[:, x.shape[1] :], moved[:, x.shape[1] :]
            left.append(((second - mean) / (moved - mean)).flatten(1))
        else:
            assert isinstance(code, Tensor)
            x = code
    return torch.cat([x.flatten(1), *left], dim=1)


def one(condition: Told, index: int) -> Told:
    """The class of one example."""
    return None if condition is None else condition[index : index + 1]


def joint_density() -> float:
    """Log_prob with its splits is the joint density of all noise, by autograd."""
    worst = 0.0
    for flow in flows():
        x = standard_normal(N, *flow.description.shape)
        for condition in conditions():
            found = flow.log_prob(x, condition=condition).value
            for index in range(N):
                c, row = one(condition, index), x[index : index + 1]
                volume = log_volume(lambda v, c=c, f=flow: standard(f, v, c), row)
                noise = standard(flow, row, c)
                normal = -0.5 * (noise.square() + math.log(2 * math.pi)).sum()
                # Noise far out is a large square, which cancels to its own rounding alone.
                apart = gap(found[index] - normal, volume)
                worst = largest(worst, apart / largest(1.0, -normal.item()))
    return worst


def mass() -> float:
    """The density integrates to 1, by class too."""
    flow = next(flows())
    # The sum over a smooth density is as exact as the grid is wide: of couplings, whose scales
    # are exponentials, less than 1e-5 lies beyond three times the farthest of 500 samples.
    reach = 3 * gap(flow.sample(500, seed=seed()), 0.0)
    side = torch.linspace(-reach, reach, int(reach / 0.065), dtype=torch.float64)
    grid, cell = torch.cartesian_prod(side, side), float(side[1] - side[0]) ** 2
    found = [flow.log_prob(grid, condition=c).value.exp().sum() * cell for c in (None, 0, 1)]
    return largest(gap(each, 1) for each in found)


def temperature() -> float:
    """The noise of a sample scales with the temperature."""
    worst = 0.0
    for flow in flows():
        plain = standard(
            flow, flow.sample(N, condition=1, seed=seed(2)), Condition(torch.ones(N).long())
        )
        cool = flow.sample(N, condition=1, seed=seed(2), options=FlowOptions(temperature=0.7))
        cool = standard(flow, cool, Condition(torch.ones(N).long()))
        worst = largest(worst, gap(cool, 0.7 * plain))
    return worst


def start() -> float:
    """The first batch is standardised at every normalisation."""
    worst = 0.0
    for flow in flows():
        x = 3 + 2 * standard_normal(20, *flow.description.shape)
        ids = Condition(torch.arange(20) % CLASSES)
        flow.start(Batch(x, ids, torch.arange(20)))
        for layer in flow.links:
            code, _ = layer.encode(x, ids, item_noise(20))
            x = code[0] if isinstance(code, tuple) else code
            if isinstance(layer, ActNorm):
                channels = x.transpose(0, 1).flatten(1)
                worst = largest(worst, gap(channels.mean(1), 0.0))
                worst = largest(worst, gap(channels.std(1, correction=0), 1))
    return worst


_LAWS: Rows = {
    "automatic differentiation": [
        ("flow/joint-density", 1e-9, joint_density),
    ],
    "self-consistency": [
        ("flow/inverses", 1e-9, inverses),
        ("flow/temperature", 1e-9, temperature),
    ],
    "quadrature": [
        ("flow/mass", 1e-5, mass),
    ],
    "closed form": [
        ("flow/start", 1e-9, start),
    ],
}

LAWS = table(_LAWS)
