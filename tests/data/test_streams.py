import time

import pytest
import torch

from danlu.contracts import Classes, DanluError, DataDescription, DataKind, Stream
from danlu.data import Examples, ExampleStream

DESCRIPTION = DataDescription(
    kind=DataKind.IMAGE, shape=(1, 2, 3), levels=256, low=-1.0, high=1.0, condition=Classes(4)
)


def examples(n):
    values = torch.arange(n * 6).remainder(256).to(torch.uint8).view(n, 1, 2, 3)
    return Examples(values, torch.arange(n) % 4, DESCRIPTION)


def stream(n=10, batch=4, **options):
    return ExampleStream(examples(n), DESCRIPTION, batch=batch, seed=1, **options)


def test_it_is_a_stream():
    assert isinstance(stream(), Stream)


def test_batches_carry_values_classes_and_indices():
    source = examples(10)
    batch = next(stream())
    assert len(batch) == 4
    assert batch.x.dtype == torch.float32
    assert torch.equal(batch.x, source.x()[batch.index])
    assert torch.equal(batch.condition.ids, batch.index % 4)


def test_position_counts_the_examples_of_all_processes():
    shard = stream(shard=(1, 2))
    assert len(next(shard)) == 2
    assert shard.position == 4


def test_a_batch_may_be_larger_than_the_data():
    batch = next(stream(n=3, batch=8))
    assert torch.bincount(batch.index).tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


def test_the_seed_decides_the_order():
    indices = [
        next(ExampleStream(examples(50), DESCRIPTION, batch=50, seed=seed)).index
        for seed in (1, 1, 2)
    ]
    assert torch.equal(indices[0], indices[1])
    assert not torch.equal(indices[0], indices[2])


def test_flips_mirror_half_of_the_images_and_others_each_epoch():
    n = 400
    plain, flipped = stream(n, n), stream(n, n, flips=True)
    mirrored = []
    for _ in range(2):
        a, b = next(plain), next(flipped)
        assert torch.equal(a.index, b.index)
        kept = (a.x == b.x).flatten(1).all(1)
        turned = (a.x.flip(-1) == b.x).flatten(1).all(1)
        assert (kept ^ turned).all()
        mirrored.append(set(a.index[turned].tolist()))
    assert all(150 < len(epoch) < 250 for epoch in mirrored)
    assert 100 < len(mirrored[0] ^ mirrored[1]) < 300


def test_once_is_the_source_in_order_and_moves_nothing():
    flipped = stream(flips=True, shard=(1, 2))
    next(flipped)
    seen = list(flipped.once(3))
    assert [len(batch) for batch in seen] == [3, 3, 3, 1]
    assert torch.equal(torch.cat([batch.index for batch in seen]), torch.arange(10))
    assert torch.equal(torch.cat([batch.x for batch in seen]), examples(10).x())
    assert flipped.position == 4


def test_replaced_keeps_order_classes_and_position():
    original = stream()
    next(original)
    code = DataDescription(shape=(5,), levels=None, low=-1.0, high=1.0, condition=Classes(4))
    codes = torch.arange(10.0)[:, None].expand(10, 5)
    replaced = original.replaced(codes, code)
    assert replaced.description == code
    assert replaced.position == 4
    a, b = next(original), next(replaced)
    assert torch.equal(a.index, b.index)
    assert torch.equal(a.condition.ids, b.condition.ids)
    assert torch.equal(b.x[:, 0].long(), b.index)


def test_replaced_by_another_number_of_values_spreads_the_classes():
    original = stream()
    classes = examples(10).classes(torch.arange(10))
    points = DataDescription(shape=(1,), levels=None, low=-1.0, high=1.0, condition=Classes(4))
    for count in (5, 10, 30):
        made = original.replaced(torch.arange(float(count))[:, None], points)
        found = torch.cat([batch.condition.ids for batch in made.once(4)])
        assert torch.equal(found, classes[torch.arange(count) * 10 // count])
        again = made.replaced(torch.zeros(count, 1), points)
        assert torch.equal(torch.cat([batch.condition.ids for batch in again.once(4)]), found)


def test_bad_streams_are_refused():
    with pytest.raises(DanluError, match="at least one example for each process"):
        stream(batch=2, shard=(0, 3))
    with pytest.raises(DanluError, match="at least one example"):
        stream(n=0)
    points = DataDescription(shape=(2,), levels=None, low=-1.0, high=1.0)
    with pytest.raises(DanluError, match="no left and right"):
        ExampleStream(
            Examples(torch.zeros(3, 2), None, points), points, batch=1, seed=0, flips=True
        )
    with pytest.raises(DanluError, match="at least one example"):
        stream().replaced(torch.zeros(0, 2), points)
    with pytest.raises(ValueError, match="from 0"):
        stream().seek(-1)
    with pytest.raises(ValueError, match="do not fit"):
        Examples(torch.zeros(3, 3), None, points)


def test_a_batch_costs_far_less_than_a_training_step():
    description = DataDescription(
        kind=DataKind.IMAGE, shape=(1, 28, 28), levels=256, low=-1.0, high=1.0
    )
    values = torch.randint(256, (5_000, 1, 28, 28), dtype=torch.uint8)
    fast = ExampleStream(
        Examples(values, None, description), description, batch=64, seed=0, flips=True
    )
    costs = []
    for _ in range(100):
        start = time.process_time()
        next(fast)
        costs.append(time.process_time() - start)
    assert sorted(costs)[50] < 1e-3
