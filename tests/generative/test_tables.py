"""Tables as people have them: a rare mark, one-hot columns, a constant, columns of other scales."""

import numpy as np
import pytest
import torch

from danlu.contracts import Batch, DanluError, DataDescription, Progress
from danlu.contracts.noise import BatchNoise
from danlu.data.arrays import array_source
from danlu.generative import FAMILIES
from danlu.generative.parts.actnorm import ActNorm

N, STEPS = 512, 40
QUICK = ("flow", "gan", "vae")


def table():
    generator = np.random.default_rng(0)
    rare = np.zeros(N)
    rare[N // 2 :: 100] = 1.0
    columns = [
        generator.normal(size=N),
        20 + 5 * generator.normal(size=N),
        rare,
        *np.eye(3)[generator.choice(3, N, p=[0.9, 0.08, 0.02])].T,
        np.full(N, 7.0),
        3 + 1e-4 * generator.normal(size=N),
    ]
    return np.stack(columns, 1).astype(np.float32)


def rows():
    return torch.from_numpy(table()).to(torch.get_default_dtype())


def described(x):
    return DataDescription(
        shape=(x.shape[1],), levels=None, low=float(x.min()), high=float(x.max())
    )


def takes_vectors():
    found = []
    for name, method in FAMILIES.items():
        try:
            model = method.build(described(rows()))
        except DanluError:
            continue
        if len(model.stages()) == 1:
            marks = () if name in QUICK else pytest.mark.long
            found.append(pytest.param(name, marks=marks))
    return found


def trained(name, batch, steps=STEPS):
    torch.manual_seed(0)
    x = rows()
    model = FAMILIES[name].build(described(x))
    model.start(Batch(x[:batch], None, torch.arange(batch)))
    players = {
        player: torch.optim.Adam([p for m in modules for p in m.parameters()], 1e-3)
        for player, modules in model.players().items()
    }
    for step in range(steps):
        # The second half of the table, with the marks, comes after the start.
        index = torch.arange(step * batch, (step + 1) * batch) % N
        for player, optimizer in players.items():
            progress = Progress(step=step, fraction=step / steps, seed=step)
            losses = model.loss(Batch(x[index], None, index), player, progress)
            assert bool(losses.total.isfinite()), (name, step)
            optimizer.zero_grad()
            losses.total.backward()
            owned = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(owned, 1.0, error_if_nonfinite=True)
            optimizer.step()
            model.after_step(player, progress)
    return model.eval(), x


@pytest.mark.parametrize("batch", [64, 1])
@pytest.mark.parametrize("name", takes_vectors())
def test_every_family_trains_on_a_table(name, batch):
    model, x = trained(name, batch)
    if "sample" in model.can:
        assert bool(model.sample(4).isfinite().all())
    if "log_prob" in model.can:
        assert bool(model.log_prob(x[-114:-110]).value.isfinite().all())


def test_a_silent_channel_keeps_its_scale_and_a_small_one_gets_its_own():
    x = rows()
    layer = ActNorm((x.shape[1],))
    layer.start(x[: N // 4])
    assert layer.varies.tolist() == [True, True, False, True, True, True, False, True]
    code, _ = layer.encode(x[: N // 4], None, BatchNoise(1))
    deviation = code.std(0, correction=0)
    torch.testing.assert_close(deviation[[0, 1, 3, 7]], torch.ones(4), rtol=1e-5, atol=0)
    mark, _ = layer.encode(x[N // 2 : N // 2 + 1], None, BatchNoise(1))
    assert mark[0, 2] == 1.0
    with torch.no_grad():
        layer.log_scale.add_(3.0)
    again, _ = layer.encode(x[N // 2 : N // 2 + 1], None, BatchNoise(1))
    assert again[0, 2] == 1.0
    torch.testing.assert_close(layer.decode(again, None, BatchNoise(1)), x[N // 2 : N // 2 + 1])


def test_an_older_state_opens():
    layer = ActNorm((3,))
    state = layer.state_dict()
    del state["varies"]
    layer.load_state_dict(state)


def test_no_examples_start_nothing():
    layer = ActNorm((3, 2, 2))
    with pytest.raises(DanluError, match="got none"):
        layer.start(torch.zeros(0, 3, 2, 2))
    code, volume = layer.encode(torch.zeros(0, 3, 2, 2), None, BatchNoise(0))
    assert code.shape == (0, 3, 2, 2)
    assert volume.shape == (0,)


def test_columns_that_say_little_are_named(tmp_path):
    np.savez(tmp_path / "table.npz", x=table())
    notices = array_source(tmp_path / "table.npz").notices
    assert any(line.startswith("Column 6 is of one value alone") for line in notices)
    assert any(line.startswith("Column 2 is of one value in 99%") for line in notices)
