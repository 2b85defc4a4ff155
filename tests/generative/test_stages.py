import pytest
import torch
from typing_extensions import override

from danlu.contracts import DanluError, DataDescription, Player, Stage
from danlu.data import Examples, ExampleStream
from danlu.generative.chain import Chain
from danlu.generative.compositions import latent_flow
from danlu.generative.diffusion.rectified_flow import RectifiedFlow
from danlu.generative.parts.priors import GaussianPrior
from danlu.generative.parts.split import Split
from danlu.generative.stages import Staged, encode_data
from danlu.generative.tiny import TINY
from danlu.generative.vae.vae import VAE
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
    options = Staged.Options(draws=2)
    evidence = small().log_prob(next(stream()).x, condition=1, options=options)
    assert (evidence.bound, evidence.measure, evidence.condition) == ("none", "counting", "class")
    assert evidence.evaluations > 2


def test_a_share_outside_the_budget_and_a_code_of_two_tensors_are_refused():
    with pytest.raises(DanluError, match="share"):
        latent_flow(share=1.0)
    plane = DataDescription(shape=(2,), levels=None, low=-1.0, high=1.0)
    line = DataDescription(shape=(1,), levels=None, low=-1.0, high=1.0)
    first = Chain(plane, [Split(1, torch.nn.Linear(1, 2))], GaussianPrior(line))
    model = Staged(plane, first, GaussianPrior(line), share=0.5)
    data = ExampleStream(Examples(torch.randn(8, 2), None, plane), plane, batch=4, seed=0)
    with pytest.raises(DanluError, match="several tensors"):
        encode_data(model, data)


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
    options = Staged.Options(evaluations=4, solver="euler", guidance=1.0)
    assert model.sampling_evaluations(options) == 5
    few, more = (Staged.Options(evaluations=n, solver="euler") for n in (2, 9))
    assert not torch.equal(model.sample(2, options=few), model.sample(2, options=more))
    assert model.picture_options.output == "mean"
    line = model.first.prior.description
    plain = Staged(TINY, model.first, GaussianPrior(line), share=0.5)
    with pytest.raises(DanluError, match="no option 'guidance'"):
        plain.sample(2, options=Staged.Options(guidance=2.0))
