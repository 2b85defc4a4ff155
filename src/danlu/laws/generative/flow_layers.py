"""Laws of every row of `LAYERS`, `TRANSFORMS`, `MASKS` and `NETWORKS`: rows obey by being there.

Inverses by going there and back, log-determinants by automatic differentiation, and the integral of
the density that a layer gives under a Gaussian by quadrature. A layer that draws is averaged over
all signs of its probe, which is its expectation.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import product
from typing import TypeVar

import torch
from torch import Tensor, nn

from danlu.conditioning.classes import ClassEmbedding
from danlu.contracts import Bound, Condition, Told
from danlu.contracts.recorded_noise import GivenNoise
from danlu.generative.chain import Layer
from danlu.generative.parts import CLASSES, LAYERS, MASKS, NETWORKS, WIDTH
from danlu.generative.parts.coupling_networks import FEATURES
from danlu.generative.parts.couplings import Coupling
from danlu.generative.parts.transforms import TRANSFORMS, Transform
from danlu.laws.draws import generator, standard_normal
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.costs import calls
from danlu.laws.law import Case, Rows, law_of_cases, table

Module = TypeVar("Module", bound=nn.Module)

N = 3
IMAGE, PAIR, ROW = (2, 4, 2), (2,), (5,)
REACH, POINTS = 4.0, {2: 61, 4: 29}
"""A grid lies at sinh t for t up to this; points along each axis by the number of axes."""


def disturbed(module: Module) -> Module:
    """Away from its start, where couplings are the identity; float64."""
    source = generator()
    module = module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=source, dtype=torch.float64)
            parameter.add_(0.1 * noise)
    return module


def conditions() -> list[Told]:
    """No class, and a class for each example."""
    return [None, Condition(torch.arange(N) % CLASSES)]


def within(layer: Layer, free: Tensor) -> Tensor:
    """Numbers of the line to those that a layer takes."""
    low, high = layer.domain
    return free if math.isinf(high) else low + (high - low) * free.sigmoid()


def passed(layer: Layer, x: Tensor, condition: Told) -> tuple[Tensor, Tensor]:
    """The first tensor of the code, and the contribution; averaged over the signs of a probe."""
    probes: Iterable[tuple[float, ...]] = [()]
    if layer.stochastic:
        probes = product((0.25, 0.75), repeat=x[0].numel())
    found = []
    for probe in probes:
        u = x.new_tensor(probe).view(1, *x.shape[1:]).expand_as(x) if probe else x
        code, contribution = layer.encode(x, condition, GivenNoise([u]))
        found.append(contribution)
    return (code[0] if isinstance(code, tuple) else code), torch.stack(found).mean(0)


def members() -> Iterator[tuple[str, Layer, Tensor]]:
    """Every row on every shape that it takes, with inputs."""
    for name, row in LAYERS.items():
        for shape in row.target.tried:
            layer = disturbed(row.build(shape))
            yield f"{name} of {shape}", layer, within(layer, standard_normal(N, *shape))


def couplings() -> Iterator[tuple[str, Layer, Tensor]]:
    """Every mask of both parities with every network and every transform."""
    shapes = {"dense": (ROW, IMAGE), "convolutional": (IMAGE,)}
    for (mask, masked), (move, moved) in product(MASKS.items(), TRANSFORMS.items()):
        for (kind, made), parity in product(NETWORKS.items(), range(2)):
            for shape in shapes.get(kind, (IMAGE,)):
                transform = moved.build()
                outputs = transform.parameters_per_number * shape[0]
                network = made.target(shape, outputs, width=WIDTH, depth=1)
                embedding = ClassEmbedding(CLASSES, FEATURES)
                layer = Coupling(masked.target(shape, parity), network, embedding, transform)
                words = f"{mask} {parity}, {kind}, {move} of {shape}"
                yield words, disturbed(layer), standard_normal(N, *shape)


def inverses(rows: Callable[[], Iterable[tuple[str, Layer, Tensor]]]) -> Iterator[Case]:
    """Each layer there and back, with classes and without."""

    def there_and_back(layer: Layer, x: Tensor, condition: Told) -> float:
        code, _ = layer.encode(x, condition, GivenNoise([x.sigmoid()]))
        return gap(layer.decode(code, condition, GivenNoise([])), x)

    for words, layer, x in rows():
        exact = layer.bound == Bound.EXACT
        for condition in conditions():
            run = partial(there_and_back, layer, x, condition)
            yield words, run if exact else partial(beyond_steps, run)


def beyond_steps(run: Callable[[], float]) -> float:
    """A solve in steps says itself that it is not exact: what it may be off by is taken away."""
    return max(0.0, run() - SOLVED)


SOLVED = 1e-5
"""What a bijection by an equation may be off by, with the steps of the tiny instance."""


def volumes(rows: Callable[[], Iterable[tuple[str, Layer, Tensor]]]) -> Iterator[Case]:
    """Each contribution and log|det| of the Jacobian by autograd."""

    def apart(layer: Layer, x: Tensor, condition: Told) -> float:
        x = x.detach().requires_grad_()
        code, found = passed(layer, x, condition)
        numbers = code.flatten(1).sum(0)  # an example does not see the others
        slopes = [torch.autograd.grad(each, x, retain_graph=True)[0].flatten(1) for each in numbers]
        return gap(found, torch.linalg.slogdet(torch.stack(slopes, dim=1)).logabsdet)

    for words, layer, x in rows():
        if layer.keeps:  # what leaves contributes a density, which has a mass and no volume
            continue
        for condition in conditions():
            run = partial(apart, layer, x, condition)
            yield words, run if layer.bound == Bound.EXACT else partial(beyond_steps, run)


def masses() -> Iterator[Case]:
    """The density of every layer under a Gaussian integrates to 1, by class too."""

    def mass(layer: Layer, shape: tuple[int, ...], condition: Told) -> float:
        dims = math.prod(shape)
        side = torch.linspace(-REACH, REACH, POINTS[dims], dtype=torch.float64)
        grid = torch.cartesian_prod(*[side] * dims).view(-1, *shape)
        free = grid.sinh()  # narrow where the densities are high, and far out where they are wide
        log_cell = dims * math.log(float(side[1] - side[0])) + grid.cosh().log().flatten(1).sum(1)
        x = within(layer, free)
        if math.isfinite(layer.domain[1]):  # the cells shrink as the line is bent
            width = math.log(layer.domain[1] - layer.domain[0])
            bent = width + nn.functional.logsigmoid(free) + nn.functional.logsigmoid(-free)
            log_cell = log_cell + bent.flatten(1).sum(1)
        told = None if condition is None else condition[torch.zeros(len(x), dtype=torch.long)]
        code, contribution = passed(layer, x, told)
        normal = -0.5 * (code.square() + math.log(2 * math.pi)).flatten(1).sum(1)
        return gap((normal + contribution + log_cell).exp().sum(), torch.tensor(1.0).double())

    for name, row in LAYERS.items():
        for shape in row.target.tried:
            if math.prod(shape) in POINTS:
                layer = disturbed(row.build(shape))
                for condition in (None, Condition(torch.ones(1).long())):
                    run = partial(mass, layer, shape, condition)
                    exact = layer.bound == Bound.EXACT
                    yield f"{name} of {shape}", run if exact else partial(beyond_steps, run)
                break


def members_counted() -> Iterator[Case]:
    """Every layer calls its networks as often as it declares, both ways."""

    def apart(layer: Layer, x: Tensor) -> float:
        there = calls(layer.networks(), lambda: layer.encode(x, None, GivenNoise([x.sigmoid()])))
        code, _ = layer.encode(x, None, GivenNoise([x.sigmoid()]))
        last = code[0] if isinstance(code, tuple) else code  # what was kept is drawn
        back = calls(layer.networks(), lambda: layer.decode(last, None, GivenNoise([x[:, -1:]])))
        return gap((there / N, back / N), tuple(layer.evaluations))

    for words, layer, x in members():
        yield words, partial(apart, layer, x)


def parameters(transform: Transform, shape: tuple[int, ...]) -> Tensor:
    """Parameters of any size, for every number."""
    return 2 * standard_normal(N, transform.parameters_per_number, *shape, stream=1)


def transforms() -> Iterator[Case]:
    """A transform moves each number by itself, back again, at its slope; zeros move none."""

    def apart(transform: Transform) -> float:
        x, theta = 2 * standard_normal(N, *IMAGE), parameters(transform, IMAGE)
        x.requires_grad_()
        z, log_slope = transform(x, theta)
        (slope,) = torch.autograd.grad(z.sum(), x)
        other = x.detach().clone()
        other[:, 0, 0, 0] += 1.0
        moved = transform(other, theta)[0] - z
        moved[:, 0, 0, 0] = 0.0
        zero = torch.zeros_like(theta)
        still, flat = transform(x, zero)
        return largest(
            gap(transform.inverse(z, theta), x.detach()),
            gap(log_slope.exp(), slope),
            gap(moved, 0.0),
            gap(still, x.detach()),
            gap(flat, 0.0),
        )

    for name, row in TRANSFORMS.items():
        yield name, partial(apart, row.build().double())


def masks() -> Iterator[Case]:
    """The two parities of a mask are complements and neither is empty."""

    def apart(row: Callable[..., Tensor], shape: tuple[int, ...]) -> float:
        first, second = row(shape, 0), row(shape, 1)
        return float(not (torch.equal(first, ~second) and first.any() and second.any()))

    for (name, row), shape in product(MASKS.items(), (PAIR, ROW, IMAGE)):
        yield f"{name} of {shape}", partial(apart, row.target, shape)


def members_inverted() -> Iterator[Case]:
    """Every layer, and every mask, network and transform, leads back to its input."""
    yield from inverses(members)
    yield from inverses(couplings)


def members_measured() -> Iterator[Case]:
    """Every layer, and every mask, network and transform, contributes log|det| of its Jacobian."""
    yield from volumes(members)
    yield from volumes(couplings)


_LAWS: Rows = {
    "self-consistency": [("flow-layers/inverses", 1e-9, members_inverted)],
    "automatic differentiation": [
        ("flow-layers/volumes", 1e-9, members_measured),
        ("transforms/laws", 1e-9, transforms),
    ],
    "quadrature": [("flow-layers/mass", 1e-6, masses)],
    "contract": [("flow-layers/evaluations", 0.0, members_counted)],
    "definition": [("transforms/masks", 0.0, masks)],
}

LAWS = table(_LAWS, law_of_cases)
