import pytest
import torch
from torch import nn

from danlu.optim import OPTIMIZERS, OptimizerOptions, Rule, Scheduled, named_parameters


class Tied(nn.Module):
    """An embedding that is also the output's weight."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.norm = nn.LayerNorm(3)
        self.out = nn.Linear(3, 5)
        self.out.weight = self.embed.weight
        self.fixed = nn.Parameter(torch.ones(2, 2), requires_grad=False)


def by_path(module, modules=None):
    return {row.path: row for row in named_parameters(module, modules or [module])}


def test_shared_parameters_appear_once_and_fixed_ones_not_at_all():
    assert list(by_path(Tied())) == ["embed.weight", "norm.weight", "norm.bias", "out.bias"]


def test_names_are_given_from_the_root():
    model = nn.ModuleDict({"critic": nn.Linear(2, 2), "generator": nn.Linear(2, 2)})
    rows = named_parameters(model, [model["generator"]])
    assert [(row.path, row.name, row.module_type) for row in rows] == [
        ("generator.weight", "weight", nn.Linear),
        ("generator.bias", "bias", nn.Linear),
    ]


def test_biases_norms_and_embeddings_have_no_decay():
    model = nn.ModuleDict({"tied": Tied(), "plain": nn.Linear(3, 3)})
    decays = {path: row.rule.decay for path, row in by_path(model).items()}
    assert [path for path, decay in decays.items() if decay] == ["plain.weight"]


def test_an_outer_rule_goes_before_an_inner_one():
    class Inner(nn.Linear):
        def parameter_rules(self):
            return {"weight": Rule(rate=0.1), "bias": Rule(rate=0.2)}

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Inner(2, 2)

        def parameter_rules(self):
            return {"inner.weight": Rule(rate=3.0)}

    rates = {path: row.rule.rate for path, row in by_path(Outer()).items()}
    assert rates == {"inner.weight": 3.0, "inner.bias": 0.2}


def test_a_rule_for_nothing_is_an_error():
    class Wrong(nn.Linear):
        def parameter_rules(self):
            return {"wieght": Rule()}

    with pytest.raises(ValueError, match="wieght"):
        by_path(Wrong(2, 2))


def test_a_player_outside_the_model_is_an_error():
    with pytest.raises(ValueError, match="outside the model"):
        named_parameters(nn.Linear(2, 2), [nn.Linear(2, 2)])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_groups_follow_rules_and_schedules_set_them(name):
    options = OptimizerOptions(
        name=name,
        rate=0.1,
        weight_decay=0.4,
        warmup=0.0,
        schedule="linear",
        schedules={"weight_decay": "cosine"},
    )
    layer = nn.Linear(2, 2)
    optimizer = OPTIMIZERS[name].build(named_parameters(layer, [layer]), options)
    scheduled = Scheduled(optimizer, options)
    scheduled.set(0.5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.05])
    assert [group["weight_decay"] for group in optimizer.param_groups] == pytest.approx([0.2, 0.0])
    assert scheduled.rate == pytest.approx(0.05)


def test_bad_settings_say_what_is_wrong():
    layer = nn.Linear(2, 2)
    named = named_parameters(layer, [layer])
    for options, match in (
        (OptimizerOptions(schedule="cosin"), "did you mean 'cosine'"),
        (OptimizerOptions(schedules={"betas": "linear"}), "no number 'betas'"),
    ):
        with pytest.raises(ValueError, match=match):
            Scheduled(OPTIMIZERS["adamw"].build(named, options), options)
    with pytest.raises(ValueError, match="rate must be positive"):
        OptimizerOptions(rate=0.0)
    with pytest.raises(ValueError, match="warmup"):
        OptimizerOptions(warmup=1.0)
