"""Documents that positions alone tell of, as transformers' flattening collator hands them on."""

import pytest
import torch
from torch import nn

from danlu.backbones.classifier import SequenceClassifier
from danlu.backbones.transformer import Transformer, transformer_block
from danlu.contracts import DanluError, SequenceContext
from danlu.mixers import MIXERS

LENGTHS = (3, 1, 5)
PLACES = torch.cat([torch.arange(length) for length in LENGTHS])[None]
CAUSAL = ("softmax", "linear", "retention", "mamba", "lru", "gau")


@pytest.mark.parametrize("name", CAUSAL)
def test_they_are_cut_where_positions_restart(name):
    mixer = MIXERS[name].build().double()
    x = torch.randn(1, sum(LENGTHS), mixer.dim, dtype=torch.float64)
    found = mixer(x, SequenceContext(positions=PLACES))[0].split(LENGTHS, dim=1)
    for ours, part in zip(found, x.split(LENGTHS, dim=1), strict=True):
        torch.testing.assert_close(ours, mixer(part)[0])


def test_a_stack_and_its_classifier_see_separate_documents():
    model = SequenceClassifier(nn.Embedding(7, 8), Transformer(8, 1, transformer_block(2)), 3)
    ids = torch.randint(7, (1, sum(LENGTHS)))
    found = model(ids, SequenceContext(positions=PLACES))
    alone = [model(part, None) for part in ids.split(LENGTHS, dim=1)]
    torch.testing.assert_close(found, torch.cat(alone))


def test_a_collator_that_flattens():
    transformers = pytest.importorskip("transformers")
    collate = transformers.DataCollatorWithFlattening(return_tensors="pt")
    texts = [torch.randint(7, (length,)).tolist() for length in LENGTHS]
    batch = collate([{"input_ids": text} for text in texts])
    context = SequenceContext(positions=batch["position_ids"]).parted()
    assert context.cu_seqlens is not None
    assert context.cu_seqlens.tolist() == [0, 3, 4, 9]


def test_documents_in_rows_of_a_batch_are_refused():
    mixer = MIXERS["softmax"].build()
    with pytest.raises(DanluError, match="put packed documents in one row"):
        mixer(torch.randn(2, 9, 8), SequenceContext(positions=PLACES.expand(2, -1)))


@pytest.mark.parametrize(
    "positions",
    [
        torch.zeros(1, 4).long(),
        torch.tensor([[5, 6, 7, 8]]),
        torch.zeros(1, 4, 2),
        torch.tensor([[3, 1, 4, 0, 2]]),
    ],
)
def test_other_positions_tell_of_no_documents(positions):
    context = SequenceContext(positions=positions)
    assert context.parted() is context
