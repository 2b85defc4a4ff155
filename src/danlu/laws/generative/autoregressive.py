"""Laws of models that draw one number after the other, on codes small enough to enumerate."""

from itertools import product

import torch

from danlu.contracts import Classes, Condition, DataDescription, DataKind
from danlu.contracts.noise import ItemNoise
from danlu.generative.autoregressive.autoregressive import Autoregressive, build
from danlu.generative.autoregressive.choosing import AutoregressiveOptions, allowed, pick
from danlu.laws.draws import seed, seeded
from danlu.laws.gaps import gap, largest, rarity, sigmas
from danlu.laws.law import Rows, table

CODES = DataDescription(shape=(4,), levels=3, low=0.0, high=2.0, condition=Classes(2))
"""Rows of 4 ids out of 3: 81 of them."""


def tiny() -> Autoregressive:
    """A small model whose probabilities are far from equal."""
    with seeded(7):
        model = build(CODES, dim=8, depth=1, heads=2).double().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.5 * torch.randn_like(parameter))
    return model


def every_code() -> torch.Tensor:
    """All rows of ids."""
    return torch.tensor(list(product(range(3), repeat=4)))


def sums_to_one() -> float:
    """Probabilities of all rows sum to 1."""
    model, codes, worst = tiny(), every_code(), 0.0
    for condition in (None, 0, 1):
        found = model.log_prob(codes.double(), condition=condition).value
        worst = largest(worst, gap(found.exp().sum().item(), 1))
    return worst


def steps_agree() -> float:
    """Step by step is all at once."""
    model, codes = tiny(), every_code()
    classes = Condition(torch.arange(len(codes)) % 2)
    total, state = torch.zeros(len(codes)), None
    token = model.embedding.vector(classes, len(codes))
    for ids in codes.unbind(1):
        y, state = model.stack.step(token, state)
        total = total + model.logits(y).log_softmax(1).gather(1, ids[:, None])[:, 0]
        token = model.tokens(ids)
    return gap(total, model.log_prob_of_ids(codes, classes))


def draws_follow() -> float:
    """Rows appear as often as they should."""
    model, codes, n = tiny(), every_code(), 4000
    ids = model.sample(n, condition=1, seed=seed(5), batch=n).long()
    place = ids @ torch.tensor([27, 9, 3, 1])
    expected = model.log_prob(codes.double(), condition=1).value.exp()
    return rarity(place.bincount(minlength=81), n, expected)


def levels_are_ids() -> float:
    """Levels of the data are ids."""
    there = DataDescription(kind=DataKind.IMAGE, shape=(1, 2, 2), levels=3, low=-1.0, high=1.0)
    model, codes = build(there, dim=8, depth=1, heads=2).double(), every_code()
    x = model.data(codes)
    worst = gap(model.ids(x), codes) + gap(x, (codes - 1.0).unflatten(1, (1, 2, 2)))
    return largest(worst, gap(model.log_prob(x).value, model.log_prob_of_ids(codes, None).detach()))


def truncation() -> float:
    """Options give the right probabilities."""
    logits = torch.tensor([[0.1, 0.4, 0.2, 0.3]]).log()
    by_hand = [
        (AutoregressiveOptions(), [0.1, 0.4, 0.2, 0.3]),
        (AutoregressiveOptions(temperature=0.0), [0.0, 1.0, 0.0, 0.0]),
        (AutoregressiveOptions(temperature=0.5), [1 / 30, 16 / 30, 4 / 30, 9 / 30]),
        (AutoregressiveOptions(top_k=2), [0.0, 4 / 7, 0.0, 3 / 7]),
        (AutoregressiveOptions(top_p=0.65), [0.0, 4 / 7, 0.0, 3 / 7]),
        (AutoregressiveOptions(top_p=0.75), [0.0, 4 / 9, 2 / 9, 3 / 9]),
    ]
    return largest(gap(allowed(logits, options), torch.tensor([p])) for options, p in by_hand)


def picks_by_intervals() -> float:
    """An id owns an interval."""
    p = torch.tensor([0.25, 0.0, 0.5, 0.25]).expand(5, 4)
    found = pick(p, torch.tensor([0.0, 0.249, 0.25, 0.749, 0.999]))
    return gap(found, torch.tensor([0, 0, 2, 2, 3]))


def items_are_their_own() -> float:
    """A row does not depend on its batch."""
    model = tiny()
    with torch.no_grad():
        options = AutoregressiveOptions()
        rows = [
            model.draw_ids(
                ItemNoise(seed(3), items, dtype=torch.float64), len(items), None, options
            )
            for items in (range(64), range(17, 18))
        ]
    return gap(rows[0][17:18], rows[1])


_LAWS: Rows = {
    "enumeration": [
        ("autoregressive/total", 1e-12, sums_to_one),
    ],
    "self-consistency": [
        ("autoregressive/steps", 1e-12, steps_agree),
        ("autoregressive/levels", 1e-12, levels_are_ids),
    ],
    "statistics": [
        ("autoregressive/draws", sigmas(81), draws_follow),
    ],
    "contract": [
        ("autoregressive/items", 0.0, items_are_their_own),
    ],
    "closed form": [
        ("autoregressive/truncation", 1e-12, truncation),
        ("autoregressive/pick", 0.0, picks_by_intervals),
    ],
}

LAWS = table(_LAWS)
