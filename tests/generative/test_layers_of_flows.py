"""Parts of flows under their contracts, beside the laws that every row of their tables obeys."""

from dataclasses import replace

import pytest
import torch
from typing_extensions import override

from danlu.contracts import Batch, DanluError
from danlu.generative.chain import Chain
from danlu.generative.flow.flow import build
from danlu.generative.parts import LAYERS
from danlu.generative.parts.actnorm import ActNorm
from danlu.generative.parts.couplings import Coupling
from danlu.generative.parts.transforms import TRANSFORMS, Transform
from danlu.generative.tiny import TINY, TINY_VECTOR
from danlu.laws.generative import flow_layers


class Bent(Transform):
    """Three parameters: a shift, and two slopes that meet at the shifted zero."""

    parameters_per_number = 3

    @override
    def forward(self, x, theta):
        shift, below, above = theta.unbind(1)
        log_slope = torch.where(x < 0, below, above)
        return x * log_slope.exp() + shift, log_slope

    @override
    def inverse(self, z, theta):
        shift, below, above = theta.unbind(1)
        moved = z - shift
        return moved * (-torch.where(moved < 0, below, above)).exp()


class Skewed(Bent):
    """Its derivative is that of another map."""

    @override
    def forward(self, x, theta):
        z, log_slope = super().forward(x, theta)
        return z, -log_slope


def law(name):
    return next(law for law in flow_layers.LAWS if law.name == name)


def test_a_transform_of_its_own_number_of_parameters_enters_by_its_row(monkeypatch):
    row = replace(TRANSFORMS["affine"], target=Bent, build=Bent)
    monkeypatch.setitem(TRANSFORMS, "bent", row)
    (coupling, *_) = (p for p in build(TINY, transform="bent").modules() if type(p) is Coupling)
    assert isinstance(coupling.transform, Bent)
    monkeypatch.setattr(flow_layers, "TRANSFORMS", {"bent": row})
    monkeypatch.setattr(flow_layers, "LAYERS", {})
    cases = {words: run() for words, run in flow_layers.volumes(flow_layers.couplings)}
    assert len(cases) > 8
    assert max(cases.values()) < 1e-6
    monkeypatch.setattr(flow_layers, "TRANSFORMS", {"bent": replace(row, build=Skewed)})
    for name in ("transforms/laws", "flow-layers/volumes"):
        assert law(name).measure() > 0.01


def test_a_layer_obeys_the_laws_by_its_row(monkeypatch):
    class Wrong(ActNorm):
        """A normalisation that forgets its volume."""

        @override
        def encode(self, x, condition, noise):
            code, volume = super().encode(x, condition, noise)
            return code, torch.zeros_like(volume)

    row = replace(LAYERS["actnorm"], target=Wrong, build=lambda shape=(2,): Wrong(shape))
    monkeypatch.setattr(flow_layers, "LAYERS", {"wrong": row})
    monkeypatch.setattr(flow_layers, "TRANSFORMS", {})
    names = ("flow-layers/inverses", "flow-layers/volumes", "flow-layers/mass")
    failing = [name for name in names if not law(name).measure() <= law(name).tolerance]
    assert failing == ["flow-layers/volumes", "flow-layers/mass"]


def test_an_unknown_transform_is_answered_with_the_nearest():
    with pytest.raises(DanluError, match="did you mean 'additive'"):
        build(TINY, transform="aditive")


def test_additive_couplings_keep_volumes_and_can_be_asked_for():
    model = build(TINY_VECTOR, transform="additive", couplings=2, width=8)
    moves = [layer.transform for layer in model.links if isinstance(layer, Coupling)]
    assert {type(move).__name__ for move in moves} == {"Additive"}
    x = torch.randn(5, 2)
    assert model.log_prob(x).value.isfinite().all()


def test_every_layer_of_any_chain_starts_and_so_does_its_prior():
    torch.manual_seed(0)
    code = replace(TINY_VECTOR, condition=None)
    prior = build(code, couplings=1, width=8)
    model = Chain(code, [ActNorm((2,)), LAYERS["linear"].build()], prior)
    x = 5 + 3 * torch.randn(200, 2)
    model.start(Batch(x, None, torch.arange(200)))
    first = model.layers[0]
    torch.testing.assert_close(first.shift.detach(), x.mean(0))
    starts = [layer for layer in prior.links if isinstance(layer, ActNorm)]
    assert all(layer.shift.abs().sum() > 0 for layer in starts)
    standard = prior.encode(model.encode(x))
    torch.testing.assert_close(standard.std(0, correction=0), torch.ones(2))
