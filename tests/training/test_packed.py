"""The trainer on packed documents: resume to the bit, and parts of a batch as the whole."""

import pytest
import torch

from danlu.contracts import DanluError
from danlu.data.packing import PACKERS, Documents, PackedStream
from danlu.laws.data.packing import Language, ids_of
from danlu.laws.training.small_players import DESCRIPTION, OnePlayer, StopAfter
from danlu.optim import OptimizerOptions
from danlu.training import Budget, Plan, Policy, Trainer, TrainingRun

pytestmark = pytest.mark.usefixtures("float64")

LENGTHS = (5, 1, 3, 3, 8, 2, 6, 4, 7, 2, 1, 5)


class Reader(OnePlayer):
    """A tiny language model as the trainer wants it."""

    def __init__(self):
        super().__init__()
        self.network = Language()

    def start(self, batch):
        pass

    def loss(self, batch, player, progress):
        return self.network.loss(batch, player, progress)


def stream():
    documents = Documents.of(ids_of(LENGTHS))
    return PackedStream(documents, PACKERS["window-best-fit"].build(16), packs=2, seed=1)


def trained(steps, *, folder=None, stop=None, parts=1):
    plan = Plan(batch=2, micro_batches=parts, optimizers={"default": OptimizerOptions(rate=0.01)})
    hooks = [] if stop is None else [StopAfter(stop)]
    run = TrainingRun(folder=folder, seed=7, policy=Policy(), hooks=hooks)
    torch.manual_seed(0)
    trainer = Trainer(Reader(), stream(), plan, Budget(steps=steps), run=run)
    trainer.run()
    assert trainer.status().examples == 2 * (stop or steps)
    return list(trainer.model.parameters())


def test_a_resumed_run_ends_at_the_same_bits(tmp_path):
    straight = trained(6)
    trained(6, folder=tmp_path, stop=2)
    resumed = trained(6, folder=tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(straight, resumed, strict=True))


def test_parts_of_a_batch_are_weighted_by_their_targets():
    for whole, parts in zip(trained(3), trained(3, parts=2), strict=True):
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-9)


def test_every_document_once_and_what_a_packed_stream_cannot_do():
    packed = stream()
    found = torch.cat([batch.x[0] for batch in packed.once(5)])
    assert torch.equal(found, torch.cat(ids_of(LENGTHS)))
    assert packed.position == 0
    with pytest.raises(ValueError, match="batches of 2 packs never begin at pack 3"):
        packed.seek(3)
    with pytest.raises(DanluError, match="train on rows instead"):
        packed.replaced(torch.zeros(1), DESCRIPTION)
