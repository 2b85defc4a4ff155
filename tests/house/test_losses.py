"""A refactor reproduces seeded losses: every family beside what it was, by `losses.py`."""

import pytest
import torch

import losses
from danlu.generative import FAMILIES

RECORDED, ROWS = losses.read()
SAME = losses.processor() == RECORDED
QUICK = (
    "vae two-moons",
    "gan two-moons",
    "flow two-moons",
    "vq two-moons",
    "latent-flow digits",
    "lm text.txt model.mixer=softmax",
    "lm text.txt model.mixer=mamba2",
)


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=() if each in QUICK else pytest.mark.long) for each in ROWS]
)
def test_losses_are_what_they_were(name):
    row, then = ROWS[name]
    assert losses.difference(losses.losses(row), then, SAME) == ""


def test_every_quick_row_is_recorded():
    assert set(QUICK) <= ROWS.keys()
    assert {row.family for row, _ in ROWS.values()} <= set(FAMILIES), "a family is gone"


def changed(play, player, value):
    """The first recorded losses with another one in their place."""
    _, then = next(iter(ROWS.values()))
    return then, [[player, value] if i == play else each for i, each in enumerate(then)]


def test_the_last_digit_is_told_on_the_same_processor():
    player, value = changed(3, "", 0.0)[0][3]
    nearest = torch.nextafter(torch.tensor(value), torch.tensor(torch.inf)).item()
    then, now = changed(3, player, nearest)
    assert losses.difference(now, then, same=True) == (
        f"play 4 of {player}: {nearest!r}, was {value!r}"
    )
    assert losses.difference(now, then, same=False) == ""


def test_another_loss_is_told_on_every_processor():
    player, value = changed(3, "", 0.0)[0][3]
    then, now = changed(3, player, value + max(abs(each) for _, each in changed(3, "", 0.0)[0]))
    assert losses.difference(now, then, same=False).startswith("play 4 of")
    then, now = changed(3, player, float("nan"))
    assert losses.difference(now, then, same=False).startswith("play 4 of")
    then, now = changed(3, "rival", value)
    assert "other players" in losses.difference(now, then, same=False)
    assert "plays are 3" in losses.difference(now[:3], then, same=False)
