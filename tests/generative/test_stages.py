from dataclasses import replace

import pytest
import torch
from typing_extensions import override

from danlu.contracts import CapabilityError, DanluError, DataDescription, Losses, Player, Stage
from danlu.contracts.noise import BatchNoise
from danlu.data import Examples, ExampleStream
from danlu.generative import FAMILIES
from danlu.generative.base import GenerativeModel
from danlu.generative.chain import Chain
from danlu.generative.composing import encode_data
from danlu.generative.compositions import latent_flow
from danlu.generative.diffusion.rectified_flow import RectifiedFlow
from danlu.generative.flow.flow import build as flow
from danlu.generative.parts.priors import GaussianPrior
from danlu.generative.parts.split import Split
from danlu.generative.stages import Staged
from danlu.generative.tiny import TINY
from danlu.generative.vae.vae import VAE
from danlu.generative.vae.vae import build as vae
from danlu.generative.vq import vq
from danlu.training import Budget, Hook, Plan, Trainer, TrainingRun


def stream(n=24, batch=8):
    values = torch.randint(4, (n, 1, 4, 4), dtype=torch.uint8)
    examples = Examples(values, torch.arange(n) % 3, TINY)
    return ExampleStream(examples, TINY, batch=batch, seed=0)


def small():
    return latent_flow(latent=4, width=8, flow_width=16, flow_blocks=1)


def copied(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(module, before):
    return any(not torch.equal(value, before[name]) for name, value in module.state_dict().items())


class Watch(Hook):
    """Remembers the weights at the start of each stage."""

    def __init__(self):
        self.stages, self.first, self.prior = [], [], []

    @override
    def on_stage(self, trainer, stage):
        self.stages.append(stage.name)
        self.first.append(copied(trainer.model.first))
        self.prior.append(copied(trainer.model.prior))


def test_the_first_model_trains_then_the_prior_over_its_frozen_codes():
    torch.manual_seed(0)
    model, watch = small(), Watch()
    trainer = Trainer(
        model, stream(), Plan(batch=8), Budget(steps=10), run=TrainingRun(hooks=(watch,))
    )
    outcome = trainer.run()
    assert outcome.steps == 10
    assert watch.stages == ["first.train", "prior.train"]
    assert changed(model.first, watch.first[0])
    assert not changed(model.first, watch.first[1])
    assert all(torch.equal(watch.prior[0][name], value) for name, value in watch.prior[1].items())
    assert changed(model.prior, watch.prior[1])


def test_stages_share_the_budget_and_name_their_players():
    stages = small().stages()
    assert [(stage.name, stage.share) for stage in stages] == [
        ("first.train", pytest.approx(0.6)),
        ("prior.train", pytest.approx(0.4)),
    ]
    assert all(isinstance(stage, Stage) for stage in stages)
    assert [play.name for stage in stages for play in stage.plays] == ["first.model", "prior.model"]


def test_prepared_codes_belong_to_their_examples():
    model, data = small(), stream()
    codes = encode_data(model, data)
    assert codes.description.shape == (4,)
    again = encode_data(model, data)
    whole = next(iter(codes.once(24)))
    assert torch.equal(whole.x, next(iter(again.once(24))).x)
    drawn = next(codes)
    assert torch.equal(drawn.x, whole.x[drawn.index])
    assert torch.equal(drawn.condition.ids, drawn.index % 3)


def test_the_likelihood_has_the_weakest_bound_and_the_data_measure():
    model = small()
    options = model.Options(first=model.first.Options(draws=2))
    evidence = model.log_prob(next(stream()).x, condition=1, options=options)
    assert (evidence.bound, evidence.measure, evidence.condition) == ("none", "counting", "class")
    assert evidence.evaluations > 2


def test_a_share_outside_the_budget_and_an_unknown_prior_are_refused():
    with pytest.raises(DanluError, match="share"):
        latent_flow(share=1.0)
    with pytest.raises(DanluError, match="did you mean 'ddpm'"):
        latent_flow(prior="dddpm")


def test_a_prior_is_over_the_last_code_of_a_chain_that_keeps_others():
    plane = DataDescription(shape=(2,), levels=None, low=-1.0, high=1.0)
    line = replace(plane, shape=(1,))
    first = Chain(plane, [Split(1, torch.nn.Linear(1, 2))], GaussianPrior(line))
    prior = flow(line, couplings=1, width=4)
    model, x = Staged(plane, first, prior, share=0.5), torch.randn(8, 2)
    data = ExampleStream(Examples(x, None, plane), plane, batch=4, seed=0)
    codes = next(iter(encode_data(model, data).once(8)))
    assert torch.equal(codes.x, x[:, :1])
    code = model.encode(x)
    assert isinstance(code, tuple)
    assert torch.equal(model.decode(code), x)
    expected = prior.log_prob(x[:, :1]).value + first.contributions(x, None, BatchNoise(8))[1]
    torch.testing.assert_close(model.log_prob(x).value, expected.detach())
    assert model.sample(3).shape == (3, 2)


class Halves(GenerativeModel):
    """No chain: an example is its two rows, each of them a tensor of the code."""

    can = frozenset({"sample", "encode", "decode", "reconstruct"})

    def __init__(self, description):
        super().__init__(description)
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    @override
    def players(self):
        return {"model": [self]}

    @override
    def loss(self, batch, player, progress):
        return Losses.of(size=(self.weight * batch.x).square().mean())

    @override
    def encode(self, x, *, condition=None, seed=0):
        return self.weight * x[:, 0, :2], self.weight * x[:, 0, 2:].flatten(1)

    @override
    def decode(self, code, *, condition=None, seed=0):
        first, second = code
        return torch.cat([first, second.unflatten(1, (2, 4))], dim=1)[:, None] / self.weight


def test_a_first_model_that_is_no_chain_and_whose_code_has_two_tensors():
    told = replace(TINY, levels=None, condition=None)
    code = DataDescription(shape=(16,), levels=None, low=-2.0, high=2.0)
    shapes = ((2, 4), (8,))
    model = Staged(told, Halves(told), flow(code, couplings=1, width=4), share=0.5, shapes=shapes)
    x = 2 * torch.rand(6, 1, 4, 4) - 1
    data = ExampleStream(Examples(x, None, told), told, batch=6, seed=0)
    codes = next(iter(encode_data(model, data).once(6)))
    torch.testing.assert_close(codes.x, 2 * x.flatten(1))
    torch.testing.assert_close(model.reconstruct(x), x)
    found = model.log_prob(x)
    assert (found.bound, found.dims) == ("none", 16)
    torch.testing.assert_close(found.value, model.prior.log_prob(codes.x).value)
    assert model.sample(3).shape == (3, 1, 4, 4)
    Trainer(model, data, Plan(batch=6), Budget(steps=4)).run()
    other = Staged(told, Halves(told), model.prior, share=0.5, shapes=((8,), (8,)))
    with pytest.raises(DanluError, match="told were"):
        other.log_prob(x)


@pytest.mark.parametrize("prior", ["gan", "flow", "vae", "ddpm", "meanflow"])
def test_a_prior_is_any_family_and_the_whole_can_what_its_parts_can(prior):
    torch.manual_seed(0)
    model = latent_flow(latent=4, width=8, flow_width=8, flow_blocks=1, prior=prior)
    assert isinstance(model.prior, FAMILIES[prior].target)
    assert ("log_prob" in model.can) == ("log_prob" in model.prior.can)
    x, data = next(stream()).x, stream()
    if "log_prob" in model.can:
        assert model.log_prob(x[:2]).value.isfinite().all()
    else:
        with pytest.raises(CapabilityError, match=f"{type(model.prior).__name__} has no log_prob"):
            model.log_prob(x[:2])
    Trainer(model, data, Plan(batch=8), Budget(steps=4)).run()
    assert model.sample(3, condition=1).shape == (3, 1, 4, 4)


def test_a_prior_over_ids_is_any_family():
    torch.manual_seed(0)
    model = vq(codes=4, width=4, prior="flow")
    Trainer(model, stream(), Plan(batch=8), Budget(steps=4)).run()
    assert model.sample(3, condition=1).shape == (3, 1, 4, 4)


def test_what_no_part_knows_of_conditions_is_no_capability():
    first = vae(replace(TINY, condition=None), latent=4, width=8)
    model = Staged(TINY, first, GaussianPrior(first.prior.description), share=0.5)
    assert "condition" not in model.can
    with pytest.raises(CapabilityError, match="has no condition"):
        model.sample(2, condition=1)


class Followed(RectifiedFlow):
    """A flow that notes its hooks and prepares data of its own."""

    def __init__(self, flow):
        super().__init__(flow.description, flow.network)
        self.started, self.finished, self.prepared = [], [], []

    @override
    def stages(self):
        def prepare(model, data):
            model.prepared.append(data.description.shape)
            return data

        plays = (Player("model"),)
        return [Stage(name=name, share=0.5, plays=plays, prepare=prepare) for name in "ab"]

    @override
    def start(self, batch):
        self.started.append((batch, self.training))

    @override
    def finish(self, batches):
        self.finished.append(list(batches))


class FollowedVAE(VAE):
    """A VAE that notes its last touches and what prepares its data."""

    finished, prepared = 0, ()

    @override
    def stages(self):
        def prepare(model, data):
            self.prepared = (model,)
            return data

        return [Stage(name="train", share=1.0, plays=(Player("model"),), prepare=prepare)]

    @override
    def finish(self, batches):
        assert all(batch.condition is None for batch in batches)
        self.finished += 1


def followed():
    torch.manual_seed(0)
    model = small()
    first = FollowedVAE(model.first.description, model.first.block, model.first.prior)
    return Staged(TINY, first, Followed(model.prior), share=0.5)


def test_the_prior_starts_once_on_codes_of_the_trained_first_model():
    model, data = followed(), stream()
    Trainer(model, data, Plan(batch=8), Budget(steps=12)).run()
    ((batch, training),) = model.prior.started
    model.eval()
    codes = next(iter(encode_data(model, data).once(24)))
    assert training
    assert torch.equal(batch.x, codes.x[batch.index])
    assert torch.equal(batch.condition.ids, batch.index % 3)


def test_a_restored_model_does_not_start_its_prior_again():
    model, other = followed(), followed()
    prepare = model.stages()[1].prepare
    assert prepare is not None
    prepare(model, stream())
    other.load_state_dict(model.state_dict())
    prepare(other, stream())
    assert (len(model.prior.started), len(other.prior.started)) == (1, 0)


def test_last_touches_go_to_the_side_that_has_trained():
    model = followed()
    Trainer(model, stream(), Plan(batch=8), Budget(steps=12)).run()
    assert model.first.finished == 1
    assert len(model.prior.finished) == 2
    assert {tuple(batch.x.shape) for part in model.prior.finished for batch in part} == {(8, 4)}


def test_each_side_prepares_its_own_data():
    model = followed()
    Trainer(model, stream(), Plan(batch=8), Budget(steps=12)).run()
    assert model.first.prepared[0] is model.first
    assert model.prior.prepared == [(4,), (4,)]


def test_the_mismatch_is_that_of_the_prior_at_the_code():
    model, x = small(), next(stream()).x
    code = model.encode(x)
    assert torch.equal(model.prior_mismatch(x), model.prior.prior_mismatch(code))


def test_options_of_the_prior_reach_it():
    model = small()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))

    def sampled(**given):
        return model.Options(prior=model.prior.Options(solver="euler", **given))

    options = sampled(evaluations=4, guidance=1.0)
    assert model.sampling_evaluations(options) == 5
    few, more = (sampled(evaluations=n) for n in (2, 9))
    assert not torch.equal(model.sample(2, options=few), model.sample(2, options=more))
    assert model.picture_options.first.output == "mean"
    half = sampled(evaluations=4, guidance=3.0, guided_until=0.5)
    whole = sampled(evaluations=4, guidance=3.0)
    drawn = [model.sample(2, condition=1, options=each) for each in (half, whole)]
    assert not torch.equal(*drawn)
