"""Every family's losses go through compiled networks, whole, with the values of eager.

Run with `JAXTYPING_DISABLE=1`: the run-time check of annotations is no part of a graph.
"""

from copy import deepcopy

import pytest
import torch
from torch._dynamo.backends.debugging import aot_eager
from torch._dynamo.utils import counters

from danlu.generative import FAMILIES
from danlu.generative.tiny import TINY, TINY_VECTOR
from danlu.laws.gaps import gap
from danlu.laws.generative.subjects import plays, quick, seeded_loss
from danlu.training.compiling import Compilation

pytestmark = [
    pytest.mark.long,
    pytest.mark.usefixtures("float64"),
    pytest.mark.filterwarnings("default"),  # the compiler looks at what is not a leaf
]

VECTORS = ("vae", "gan", "rectified-flow", "meanflow", "flow", "ffjord", "vq", "latent-flow")
"""Families with networks of their own for vectors."""
KINDS = [
    *((name, TINY) for name in FAMILIES),
    *((name, TINY_VECTOR) for name in VECTORS),
]
EXAMPLES = 9
"""So many that of the rows of a MeanFlow some need no derivative: those that do stay in eager."""


def built(name, description):
    torch.manual_seed(0)
    return quick(FAMILIES[name].build(description)).train()


def graphs_of(model):
    """Compile a model; the graphs that are made from then on."""
    made = []

    def backend(graph, inputs):
        made.append(graph)
        return aot_eager(graph, inputs)

    torch._dynamo.reset()
    counters.clear()
    return Compilation(model, backend=backend), made


def value_and_gradients(model, name, batch):
    losses = seeded_loss(model, name, batch)
    owned = [p for module in model.players()[name] for p in module.parameters()]
    found = torch.autograd.grad(losses.total, owned, materialize_grads=True)
    return [losses.total.detach(), *found]


@pytest.mark.parametrize(("name", "description"), KINDS)
def test_losses_go_through_graphs(name, description):
    """VAEs, flows and staged models trained in eager without a word."""
    model = built(name, description)
    eager, batches = deepcopy(model), list(plays(model, EXAMPLES))
    compilation, made = graphs_of(model)
    used = set()
    for player, batch in batches:
        found = value_and_gradients(model, player, batch)
        assert gap(found, value_and_gradients(eager, player, batch)) < 1e-9
        called = {i for i, call in enumerate(compilation.calls) if call.used}
        assert called, f"{player} calls no compiled network"
        used |= called
        assert not compilation.idle()
    assert used == set(range(len(model.networks())))
    assert len(made) >= len(used)
    assert not counters["graph_break"]


def test_more_networks_than_one_function_has_graphs_for():
    """torch keeps eight graphs of a function: of a flow's networks most stayed in eager."""
    model = FAMILIES["flow"].build(TINY, couplings=6).train()
    compilation, made = graphs_of(model)
    ((player, batch),) = plays(model)
    seeded_loss(model, player, batch)
    assert len(made) == len(compilation.networks) > torch._dynamo.config.recompile_limit


def test_a_container_of_torch_is_compiled_too():
    model = FAMILIES["vae"].build(TINY_VECTOR)
    model.block.encoder = torch.nn.Sequential(torch.nn.Linear(2, 32))
    model.block.encoder.forward = lambda x, features: torch.nn.Sequential.forward(
        model.block.encoder, x
    )
    _, made = graphs_of(model)
    seeded_loss(model, *next(iter(plays(model))))
    assert len(made) == 2
