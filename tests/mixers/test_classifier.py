"""The classifier of sequences: padding and packing change nothing, and it learns."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from danlu.backbones.classifier import SequenceClassifier, accuracy
from danlu.backbones.named import StackOptions, fitting, stack_of
from danlu.backbones.sized import Sizes
from danlu.contracts import SequenceContext

SIZES = Sizes(dim=8, depth=2, heads=2, length=6)
LENGTHS = (6, 2, 4)


def made(mixer, causal=True):
    torch.manual_seed(0)
    stack = stack_of(SIZES, StackOptions(mixer=mixer, causal=causal))
    return SequenceClassifier(nn.Embedding(5, 8), stack, 3).double().eval()


def rows():
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(5, (length,), generator=generator) for length in LENGTHS]


@pytest.mark.parametrize("mixer", ["softmax", "mamba2", "lstm", "gated-delta"])
def test_padded_and_packed_are_alone(mixer):
    model, documents = made(mixer), rows()
    alone = torch.cat([model(row[None]) for row in documents])
    ends = torch.tensor([0, *LENGTHS]).cumsum(0)
    packed = model(torch.cat(documents)[None], SequenceContext(cu_seqlens=ends))
    padded = torch.stack([torch.cat([row, row.new_zeros(6 - len(row))]) for row in documents])
    valid = torch.arange(6) < torch.tensor(LENGTHS)[:, None]
    torch.testing.assert_close(packed, alone, atol=1e-9, rtol=0.0)
    found = model(padded, SequenceContext(valid=valid))
    torch.testing.assert_close(found, alone, atol=1e-9, rtol=0.0)


@pytest.mark.parametrize("mixer", [*fitting(causal=True), *fitting(causal=False)])
def test_every_mixer_classifies(mixer):
    model = made(mixer, causal=mixer in fitting(causal=True))
    logits = model(torch.stack([row.repeat(6)[:6] for row in rows()]))
    assert logits.shape == (3, 3)
    logits.sum().backward()
    assert model.embed.weight.grad.isfinite().all()


def test_labels_of_text_are_learned():
    """Rows of letters, the class being which of three letters stands in them most often."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, (400, 6), generator=generator)
    counts = torch.stack([(ids == letter).sum(1) for letter in range(3)], dim=1)
    clear = counts.sort(1).values.diff(dim=1)[:, -1] > 0
    ids, classes = ids[clear], counts[clear].argmax(1)
    model = made("softmax").float().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        cross_entropy(model(ids[50:]), classes[50:]).backward()
        optimizer.step()
    assert accuracy(model.eval(), ids[:50], classes[:50]) > 0.9
