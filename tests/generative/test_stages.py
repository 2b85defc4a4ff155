import pytest
import torch
from typing_extensions import override

from danlu.contracts import DanluError, DataDescription, Stage
from danlu.data import Examples, ExampleStream
from danlu.generative.chain import Chain
from danlu.generative.compositions import latent_flow
from danlu.generative.parts.priors import GaussianPrior
from danlu.generative.parts.split import Split
from danlu.generative.stages import Staged, encode_data
from danlu.generative.tiny import TINY
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
    assert torch.equal(drawn.condition, drawn.index % 3)


def test_the_likelihood_has_the_weakest_bound_and_the_data_measure():
    options = Staged.Options(draws=2)
    evidence = small().log_prob(next(stream()).x, condition=1, options=options)
    assert (evidence.bound, evidence.measure, evidence.condition) == ("none", "counting", "class")
    assert evidence.evaluations > 2


def test_a_share_outside_the_budget_and_a_code_of_two_tensors_are_refused():
    with pytest.raises(DanluError, match="share"):
        latent_flow(share=1.0)
    plane = DataDescription(shape=(2,), levels=None, low=-1.0, high=1.0, classes=0)
    line = DataDescription(shape=(1,), levels=None, low=-1.0, high=1.0, classes=0)
    first = Chain(plane, [Split(1, torch.nn.Linear(1, 2))], GaussianPrior(line))
    model = Staged(plane, first, GaussianPrior(line), share=0.5)
    data = ExampleStream(Examples(torch.randn(8, 2), None, plane), plane, batch=4, seed=0)
    with pytest.raises(DanluError, match="several tensors"):
        encode_data(model, data)
