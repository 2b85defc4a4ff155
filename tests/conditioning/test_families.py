"""Every family is told every kind: losses, samples, likelihoods and exports run as annotated."""

from dataclasses import replace

import pytest
import torch

from danlu.contracts import DanluError, name_of
from danlu.generative import FAMILIES
from danlu.generative.tiny import TINY
from danlu.laws.conditioning.conditioners import KINDS, N, some
from danlu.laws.generative.subjects import examples, quick, seeded_loss


def told(name, kind):
    description = replace(TINY, condition=kind)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return quick(FAMILIES[name].build(description).double().eval())


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
@pytest.mark.parametrize("name", ["rectified-flow", "vae", "gan", "autoregressive", "flow"])
def test_a_family_is_trained_and_used_with_every_kind(name, kind):
    model, condition = told(name, kind), some(kind)
    batch = replace(examples(model.description, N), condition=condition)
    for play in model.stages()[0].plays:
        assert seeded_loss(model, play.name, batch).total.isfinite()
    assert model.sample(N, condition=condition).shape == (N, *TINY.shape)
    if "log_prob" in model.can:
        found = model.log_prob(batch.x, condition=condition)
        assert found.condition == name_of(kind)
        assert found.value.isfinite().all()


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_a_transformer_of_images_is_told_every_kind(kind):
    model = quick(
        FAMILIES["meanflow"].build(replace(TINY, condition=kind), network="dit", width=8).double()
    )
    batch = replace(examples(model.description, N), condition=some(kind))
    assert seeded_loss(model, "model", batch).total.isfinite()
    assert model.sample(N, condition=some(kind)).isfinite().all()


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
@pytest.mark.parametrize("name", ["rectified-flow", "vae", "gan", "meanflow"])
def test_exported_functions_are_told_by_tensors(name, kind):
    model = told(name, kind)
    for part in model.exports(model.Options()).values():
        given = part.example(3)
        assert len(given) == len(part.inputs)
        assert part.module(*given).shape == (3, *TINY.shape)


def test_a_model_that_is_told_nothing_refuses_to_be():
    model = FAMILIES["vae"].build(replace(TINY, condition=None))
    with pytest.raises(DanluError, match="data without classes"):
        model.sample(2, condition=1)
