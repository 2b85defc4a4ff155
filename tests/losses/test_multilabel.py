"""What multi-label losses refuse, accept and keep in memory."""

import pytest
import torch
from torch.nn.functional import one_hot

from danlu.contracts import CapabilityError, DanluError
from danlu.losses import MULTILABEL
from danlu.losses.multilabel import linear_zlpr

FLAT = [name for name, row in MULTILABEL.items() if row.build().axes == 2]
SOFT = [name for name in FLAT if MULTILABEL[name].target.soft]


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_targets_outside_the_unit_interval_are_one_clear_line(name, value):
    targets = torch.tensor([[0.0, 1.0, value]])
    with pytest.raises(DanluError, match=r"^Targets must lie in \[0, 1\], got values from .*\.$"):
        MULTILABEL[name].build()(torch.zeros(1, 3), targets)


@pytest.mark.parametrize("name", sorted(set(FLAT) - set(SOFT)))
def test_soft_targets_where_they_mean_nothing(name):
    with pytest.raises(DanluError, match="takes targets 0 or 1"):
        MULTILABEL[name].build()(torch.zeros(1, 2), torch.tensor([[0.5, 1.0]]))


@pytest.mark.parametrize("name", MULTILABEL)
def test_shapes_that_do_not_fit_are_one_clear_line(name):
    with pytest.raises(DanluError, match="equal axes"):
        MULTILABEL[name].build()(torch.zeros(2, 3), torch.zeros(2, 4))


def test_targets_with_a_gradient_are_refused():
    with pytest.raises(DanluError, match="detach"):
        MULTILABEL["zlpr"].build()(torch.zeros(1, 2), torch.zeros(1, 2, requires_grad=True))


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.float64])
def test_hard_targets_of_any_type(name, kind):
    logits, targets = torch.randn(4, 3), torch.eye(4, 3)
    loss = MULTILABEL[name].build()
    torch.testing.assert_close(loss(logits, targets.to(kind)), loss(logits, targets))


@pytest.mark.parametrize("name", FLAT)
def test_an_empty_batch_has_no_losses(name):
    assert MULTILABEL[name].build()(torch.zeros(0, 3), torch.zeros(0, 3)).shape == (0,)


def test_what_only_ranks_has_no_probabilities():
    with pytest.raises(CapabilityError, match="only ranks"):
        MULTILABEL["pairwise"].build().probability(torch.zeros(2))


def test_only_what_its_author_gave_up_is_experimental():
    found = {name for name, row in MULTILABEL.items() if row.target.experimental}
    assert found == {"several-pairwise", "several-centred"}


def test_several_choices_are_predicted_by_the_best_of_each():
    logits = torch.randn(2, 4, 3)
    for name in ("several-pairwise", "several-centred"):
        picked = MULTILABEL[name].build().predict(logits)
        assert torch.equal(picked.long(), one_hot(logits.argmax(-1), 3))


def saved_bytes(run):
    """Distinct memory that autograd keeps for the backward pass of `run`."""
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(kept.values())


def test_zlpr_keeps_its_inputs_and_two_numbers_a_row():
    logits = torch.randn(8, 1000, requires_grad=True)
    targets = (torch.rand(8, 1000) < 0.01).float()
    loss = MULTILABEL["zlpr"].build()
    assert saved_bytes(lambda: loss(logits, targets)) == 4 * (2 * 8 * 1000 + 2 * 8)


def test_a_layer_in_pieces_keeps_no_logits():
    hidden, weight = torch.randn(8, 4, requires_grad=True), torch.randn(5000, 4)
    bias, right = torch.zeros(5000), torch.randint(5000, (8, 1))
    kept = saved_bytes(lambda: linear_zlpr(hidden, weight, bias, right))
    assert kept == 4 * (8 * 4 + 5000 * 4 + 5000 + 2 * 8) + 8 * 8


@pytest.mark.parametrize(
    ("right", "match"),
    [([[3]], "3 classes, filled up with -1"), ([[-2]], "-2"), ([[1, 1]], "twice")],
)
def test_wrong_indices_are_one_clear_line(right, match):
    with pytest.raises(DanluError, match=match):
        linear_zlpr(torch.zeros(1, 2), torch.zeros(3, 2), torch.zeros(3), torch.tensor(right))
