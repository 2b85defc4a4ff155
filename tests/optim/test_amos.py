"""Amos against the published JAX implementation, its scales, its state, and its users."""

import copy
import io
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from danlu.contracts import DanluError
from danlu.generative import FAMILIES
from danlu.optim import (
    OPTIMIZERS,
    Amos,
    AmosForm,
    AmosSchedule,
    NamedParameter,
    OptimizerOptions,
    Rule,
    named_parameters,
    scale_of,
    scaled_update,
    state_bytes,
)

REFERENCE = json.loads(Path(__file__).with_name("amos_reference.json").read_text())
CASES = [
    pytest.param(case, id="-".join(str(case[key]) for key in list(case)[:4]))
    for case in REFERENCE["cases"]
]


def regression(weight, bias, x, y):
    return (torch.tanh(x @ weight.T + bias) - y).square().mean()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("float64")
def test_it_ends_where_the_published_implementation_ends(case):
    problem = {name: torch.tensor(value) for name, value in REFERENCE["problem"].items()}
    weights = {name: nn.Parameter(problem.pop(name)) for name in REFERENCE["eta"]}
    optimizer = Amos(
        weights.values(),
        REFERENCE["rate"],
        list(REFERENCE["eta"].values()),
        beta=REFERENCE["beta"],
        momentum=case["momentum"],
        weight_decay=case["extra_l2"] / REFERENCE["rate"],
        form=AmosForm(clip=case["clip"], moments=case["moments"]),
    )
    for _ in range(REFERENCE["steps"]):
        optimizer.zero_grad()
        regression(**weights, **problem).backward()
        optimizer.step()
    for name, weight in weights.items():
        expected = torch.tensor(case["end"][name])
        torch.testing.assert_close(weight.detach(), expected, rtol=0.0, atol=1e-12)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 2))


def made(network, momentum=0.9):
    options = OptimizerOptions(name="amos", rate=0.05, betas=(momentum, 0.9))
    return OPTIMIZERS["amos"].build(named_parameters(network, [network]), options)


def steps(network, optimizer, n, freeze=()):
    x = torch.linspace(-1, 1, 15).view(5, 3)
    for _ in range(n):
        optimizer.zero_grad()
        network(x).square().mean().backward()
        for name, parameter in network.named_parameters():
            if name in freeze:
                parameter.grad = None
        optimizer.step()


def values(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_saved_and_loaded_it_goes_on_bit_for_bit(momentum):
    straight, first = net(), net()
    steps(straight, made(straight, momentum), 6)
    optimizer = made(first, momentum)
    steps(first, optimizer, 3)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    again = copy.deepcopy(first)
    resumed = made(again, momentum)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    steps(again, resumed, 3)
    assert torch.equal(values(again), values(straight))
    steps(first, copy.deepcopy(optimizer), 0)
    steps(first, optimizer, 3)  # saving and copying left it as it was
    assert torch.equal(values(first), values(straight))


def test_tensors_without_a_gradient_wait():
    """A tensor that joins late has its own count of steps, as if it were alone."""
    network = net()
    optimizer = made(network)
    steps(network, optimizer, 4, freeze=("0.weight",))
    assert torch.equal(network[0].weight, net()[0].weight)
    steps(network, optimizer, 1)
    ages = {optimizer.state[p]["step"] for p in network.parameters()}
    assert ages == {1, 5}


def test_states_have_the_promised_shapes_and_bytes():
    network = net()
    optimizer = made(network)
    steps(network, optimizer, 1)
    shapes = [tuple(optimizer.state[p]["second_moment"].shape) for p in network.parameters()]
    assert shapes == [(8, 1), (1,), (1,), (1,), (2, 1), (1,)]
    weights = sum(p.numel() for p in network.parameters())
    assert state_bytes(optimizer) == 4 * (2 * 14 + weights)


def test_half_precision_weights_have_full_precision_states():
    network = net().bfloat16()
    optimizer = made(network)
    x = torch.ones(2, 3, dtype=torch.bfloat16)
    before = values(network)
    network(x).square().mean().backward()
    optimizer.step()
    assert optimizer.state[network[0].weight]["second_moment"].dtype == torch.float32
    assert not torch.equal(values(network), before)


def test_channels_last_changes_nothing():
    torch.manual_seed(0)
    first = nn.Conv2d(4, 6, 3)
    second = copy.deepcopy(first).to(memory_format=torch.channels_last)
    x = torch.randn(2, 4, 5, 5)
    for layer in (first, second):
        optimizer = made(layer)
        for _ in range(3):
            optimizer.zero_grad()
            layer(x).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(first.weight, second.weight)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_scale_for_every_parameter(family):
    model = FAMILIES[family].build()
    for modules in model.players().values():
        rows = named_parameters(model, modules)
        assert all(scale_of(row) > 0 for row in rows)
        assert isinstance(OPTIMIZERS["amos"].build(rows), Amos)


def row_of(module, name):
    rows = {row.path: row for row in named_parameters(module, [module])}
    return rows[name]


@pytest.mark.parametrize(
    ("module", "name", "scale"),
    [
        (nn.Linear(8, 3), "weight", (1 / 8) ** 0.5),
        (nn.Linear(8, 3), "bias", 0.5),
        (nn.Conv2d(4, 6, 3), "weight", (2 / 36) ** 0.5),
        (nn.Conv2d(4, 6, 3, groups=2), "weight", (2 / 18) ** 0.5),
        (nn.ConvTranspose2d(4, 6, 3), "weight", (2 / 36) ** 0.5),
        (nn.Embedding(50, 8), "weight", 0.5),
        (nn.GroupNorm(2, 4), "weight", 1.0),
        (nn.GroupNorm(2, 4), "bias", 0.5),
        (nn.LSTM(3, 8), "weight_hh_l0", 0.5),
        (nn.MultiheadAttention(4, 2), "out_proj.weight", 0.5),
        (nn.MultiheadAttention(4, 2), "in_proj_weight", 0.5),
    ],
)
def test_scales_by_module_type(module, name, scale):
    assert scale_of(row_of(module, name)) == pytest.approx(scale)


class Odd(nn.Module):
    def __init__(self, *, named=False):
        super().__init__()
        self.gate = nn.Parameter(torch.ones(3))
        self.log_scale = nn.Parameter(torch.zeros(3), requires_grad=named)
        self.shift = nn.Parameter(torch.zeros(3), requires_grad=named)


class Ruled(Odd):
    def parameter_rules(self):
        return {"gate": Rule(scale=0.3)}


def test_patterns_go_before_rules_and_rules_before_types():
    assert scale_of(row_of(Ruled(), "gate")) == 0.3
    assert scale_of(row_of(Ruled(), "gate"), ("gat.=0.7",)) == 0.7
    assert scale_of(row_of(nn.Linear(8, 3), "weight"), ("weight=2/in",)) == 0.5
    assert row_of(Ruled(), "gate").rule.decay == 0.0  # a scale leaves the usual decay


def test_the_usual_names_have_scales_in_any_module():
    assert scale_of(row_of(Odd(named=True), "log_scale")) == 1.0
    assert scale_of(row_of(Odd(named=True), "shift")) == 0.5


def test_an_unknown_parameter_is_one_clear_line():
    with pytest.raises(DanluError, match=r"no scale for the parameter 'gate'.*optimizer\.scales"):
        made(Odd())


@pytest.mark.parametrize("pattern", ["gate", "gate=", "gate=0", "gate=2/out", "(gate=1", "g=-1"])
def test_a_pattern_that_cannot_be_read_says_how_it_reads(pattern):
    with pytest.raises(DanluError, match="A scale reads"):
        scale_of(row_of(Odd(), "gate"), (pattern,))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"eta": None}, "needs eta"),
        ({"eta": 0.0}, "must be positive"),
        ({"eta": [0.5]}, "2 parameters got 1"),
        ({"eta": 1.0, "beta": 1.0}, "in \\[0, 1\\)"),
        ({"eta": 1.0, "form": AmosForm(clip=0.0)}, "clip must be positive"),
    ],
)
def test_bad_settings_are_one_clear_line(settings, match):
    with pytest.raises(DanluError, match=match):
        Amos(nn.Linear(2, 2).parameters(), 0.1, **settings)


def test_sparse_gradients_are_refused():
    table = nn.Embedding(4, 2, sparse=True)
    optimizer = OPTIMIZERS["amos"].build(
        [NamedParameter("weight", nn.Embedding, "weight", table.weight)]
    )
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(DanluError, match="sparse"):
        optimizer.step()


@pytest.mark.parametrize("kind", ["inverse-square", "inverse-time"])
def test_scaled_updates_resume_bit_for_bit(kind):
    schedule = AmosSchedule(kind=kind, halve_at=4.0)

    def wrapped(network):
        inner = torch.optim.Adam(network.parameters(), lr=1.0)
        return scaled_update(inner, schedule, rate=0.01)

    straight, first = net(), net()
    steps(straight, wrapped(straight), 6)
    optimizer = wrapped(first)
    steps(first, optimizer, 3)
    resumed = wrapped(first)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    steps(first, resumed, 3)
    assert torch.equal(values(first), values(straight))


def test_scaled_updates_refuse_a_second_decay_and_impossible_numbers():
    inner = torch.optim.AdamW(net().parameters())
    with pytest.raises(DanluError, match=r"weight_decay=0\.0 inside"):
        scaled_update(inner, AmosSchedule(halve_at=10.0))
    with pytest.raises(DanluError, match="rate and overlap must be positive"):
        scaled_update(torch.optim.SGD(net().parameters()), AmosSchedule(halve_at=1.0), rate=0.0)
    with pytest.raises(DanluError, match="halve_at must be a positive"):
        AmosSchedule(halve_at=0.0)
