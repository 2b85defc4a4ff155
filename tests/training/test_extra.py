"""What else belongs to an example stays with it from the source to the loss."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import save_file

from danlu.contracts import DanluError, DataDescription, DataKind, Losses
from danlu.data import Examples, ExampleStream
from danlu.data.packing import PackedBatch
from danlu.generative.diffusion import rectified_flow
from danlu.generative.tiny import TINY
from danlu.laws.training.small_players import DESCRIPTION, OnePlayer
from danlu.training import Budget, Plan, Policy, Trainer, TrainingRun
from danlu.training.prepared import keep, recall

N = 13
LABELS = torch.arange(N) * 10
FRAMES = torch.arange(float(N))[:, None].expand(N, 4).clone()


def stream(shard=(0, 1), batch=5, **extra):
    x = torch.arange(float(N))[:, None].expand(N, 3).clone()
    examples = Examples(x, None, DESCRIPTION, extra=extra or {"labels": LABELS, "frames": FRAMES})
    return ExampleStream(examples, DESCRIPTION, batch=batch, seed=0, shard=shard)


def belongs(batch):
    """Whether x, labels and frames are all of the examples of the index."""
    return (
        torch.equal(batch.x[:, 0], batch.index.float())
        and torch.equal(batch.extra["labels"], batch.index * 10)
        and torch.equal(batch.extra["frames"][:, 2], batch.index.float())
    )


def test_it_comes_out_of_a_stream_by_index_over_epochs_and_shards():
    whole, shards = stream(), [stream(shard=(rank, 2)) for rank in range(2)]
    for _ in range(6):
        batch, parts = next(whole), [next(shard) for shard in shards]
        assert belongs(batch)
        assert all(map(belongs, parts))
        both = torch.cat([part.extra["labels"] for part in parts])
        assert torch.equal(both, batch.extra["labels"])
    assert all(map(belongs, whole.sharded(1, 3).once(4)))


def test_it_is_split_and_indexed_with_the_batch():
    batch = next(stream(batch=7))
    parts = list(batch.split(3))
    assert [len(part) for part in parts] == [2, 2, 3]
    assert all(map(belongs, parts))
    assert all(part.part.whole == 7 for part in parts)
    chosen = batch[torch.tensor([6, 0])]
    assert belongs(chosen)
    assert chosen.index.tolist() == batch.index[[6, 0]].tolist()
    assert belongs(batch[2:5])


def test_it_goes_to_the_device_and_only_fractions_change_their_type():
    batch = next(stream()).to(torch.device("meta"), torch.float64)
    assert {value.device.type for value in batch.extra.values()} == {"meta"}
    assert batch.extra["frames"].dtype == torch.float64
    assert batch.extra["labels"].dtype == torch.int64
    taken = Policy().take(next(stream()), torch.float64)
    assert taken.extra["frames"].dtype == torch.float64
    ids = replace(next(stream()), x=torch.zeros(5, 3, dtype=torch.long))
    assert Policy().take(ids, torch.float64).extra["frames"].dtype == torch.float32


def test_splits_of_a_source_keep_it():
    kept = stream().examples.kept(torch.tensor([5, 2, 11]))
    assert kept.extra["labels"].tolist() == [50, 20, 110]
    assert kept.kept(torch.tensor([2])).extra["frames"].tolist() == [[11.0] * 4]
    with pytest.raises(ValueError, match="2 of 'labels' for 13 examples"):
        stream(labels=torch.zeros(2))


def test_other_values_keep_it_and_bring_their_own():
    made = stream().replaced(torch.zeros(2 * N, 3), DESCRIPTION, {"noise": torch.arange(2.0 * N)})
    for batch in made.once(100):
        assert torch.equal(batch.extra["noise"], batch.index.float())
        assert torch.equal(batch.extra["labels"], batch.index // 2 * 10)


def test_packed_documents_keep_that_of_their_tokens():
    x = torch.arange(9)[None]
    batch = replace(PackedBatch.of(x, (4, 2, 3)), extra={"labels": 10 * x})
    for part in [*batch.split(2), batch[1:], batch.to(torch.device("cpu"))]:
        assert torch.equal(part.extra["labels"], 10 * part.x)
    assert batch[1:].lengths == (2, 3)
    with pytest.raises(DanluError, match="a slice"):
        batch[torch.tensor([1])]


def test_images_with_more_beside_them_are_not_mirrored():
    grey = DataDescription(kind=DataKind.IMAGE, shape=(1, 2, 2), levels=None, low=-1.0, high=1.0)
    examples = Examples(torch.zeros(3, 1, 2, 2), None, grey, extra={"boxes": torch.zeros(3, 4)})
    with pytest.raises(DanluError, match=r"\['boxes'\] beside them: train without flips"):
        ExampleStream(examples, grey, batch=1, seed=0, flips=True)


# --- in training ------------------------------------------------------------------------------


class Labelled(OnePlayer):
    """Learns the labels beside its examples; logs how many of them are different."""

    def loss(self, batch, player, progress):
        error = (self.network(batch.x) - batch.extra["frames"][:, :3]).square().mean()
        different = batch.extra["labels"].unique().numel()
        return Losses(error, {"error": error}, {"different": torch.tensor(float(different))})


def labelled(parts):
    torch.manual_seed(0)
    plan = Plan(batch=6, micro_batches=parts)
    return Trainer(Labelled(), stream(batch=6), plan, Budget(steps=4), run=TrainingRun(seed=1))


def test_a_loss_reads_it_in_parts_as_in_the_whole():
    runs = [labelled(parts) for parts in (1, 3)]
    for run in runs:
        run.run()
    a, b = (torch.cat([p.flatten() for p in run.model.parameters()]) for run in runs)
    assert torch.allclose(a, b, atol=1e-6)


def test_figures_are_logged_and_not_added_up():
    """The perplexity of a quantiser was added up as a loss: of three parts, a mean of three."""
    for parts, different in ((1, 6.0), (3, 2.0)):
        run = labelled(parts)
        run.run()
        (values,) = run.status().losses.values()
        assert list(values) == ["error", "different"]
        assert values["different"] == different


def test_a_figure_that_is_not_finite_stops_nothing():
    class Odd(Labelled):
        def loss(self, batch, player, progress):
            losses = super().loss(batch, player, progress)
            return replace(losses, figures={"odd": torch.tensor(torch.nan)})

    torch.manual_seed(0)
    run = Trainer(Odd(), stream(), Plan(batch=5), Budget(steps=2), run=TrainingRun())
    assert run.run().steps == 2


@pytest.mark.parametrize(("parts", "told"), [(1, 0), (2, 1)])
def test_a_coupling_in_parts_says_that_it_pairs_within_each(parts, told):
    model = rectified_flow.build(TINY, parts="coupling=class-optimal")
    data = ExampleStream(Examples(torch.zeros(9, 1, 4, 4), torch.arange(9) % 3, TINY), TINY,
                         batch=6, seed=0)  # fmt: skip
    run = Trainer(model, data, Plan(batch=6, micro_batches=parts), Budget(steps=1))
    expected = (
        "Of a batch in parts the coupling 'class-optimal' pairs noise with the examples of a "
        "batch, in each part by itself."
    )
    assert run.notices.count(expected) == told


# --- what a stage prepared ----------------------------------------------------------------------


def test_a_prepared_stream_is_kept_with_it(tmp_path):
    keep(tmp_path, "pairs", stream())
    found = recall(tmp_path, "pairs", stream(labels=LABELS + 1))
    assert all(map(belongs, found.once(4)))
    path = tmp_path / "prepared" / "pairs.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DanluError, match="is not what was written"):
        recall(tmp_path, "pairs", stream())


@pytest.mark.parametrize("stage", ["reflow", "distil", "prior"])
def test_pairs_of_earlier_versions_are_parted(tmp_path, stage):
    """They stood as channels: twice the shape of the data, in files without a format."""
    double = replace(DESCRIPTION, shape=(6,))
    x, z = torch.randn(2, 7, 3)
    (tmp_path / "prepared").mkdir()
    facts = {"description": json.dumps(asdict(double))}
    save_file({"x": torch.cat([x, z], 1)}, tmp_path / "prepared" / f"{stage}.safetensors", facts)
    found = recall(tmp_path, stage, stream())
    (batch,) = found.once(100)
    if stage == "prior":
        assert found.description == double
        assert "noise" not in batch.extra
    else:
        assert found.description == DESCRIPTION
        assert torch.equal(batch.x, x)
        assert torch.equal(batch.extra["noise"], z)
