"""Packed batches: what is refused, mixed sequences, files, and torch's kernel for a GPU."""

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from danlu.backbones.transformer import Transformer, transformer_block
from danlu.contracts import DanluError, SequenceContext
from danlu.data.packing import PACKERS, Documents, PackedBatch, PackedStream
from danlu.data.packing.packer import fewest_packs, fill_of
from danlu.data.packing.padded import from_padded, to_padded
from danlu.data.packing.patches import mixed_positions, pack_patches
from danlu.layers import varlen
from danlu.layers.packing import boundaries
from danlu.layers.varlen import Documents as Packed
from danlu.layers.varlen import attend_documents
from danlu.positions.rotary import Rotary

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("name", [name for name in PACKERS if name != "wrapped"])
def test_a_document_longer_than_a_pack(name):
    with pytest.raises(DanluError, match="Document 1 has 17 tokens, a pack 16: cut it before, or"):
        list(PACKERS[name].build(16).packs([3, 17]))


def test_the_packer_wrapped_cuts_it():
    packs = list(PACKERS["wrapped"].build(16).packs([3, 30]))
    assert packs == [((0, 0, 3), (1, 0, 13)), ((1, 13, 29),), ((1, 29, 30),)]
    assert fewest_packs([3, 30], 16) == 3
    assert fill_of(packs, 16) == 33 / 48


def test_boundaries_that_go_back():
    with pytest.raises(DanluError, match=r"cu_seqlens must not decrease, got \[0, 4, 3, 6\]"):
        PackedBatch(
            x=torch.zeros(1, 6),
            condition=None,
            index=torch.zeros(1, dtype=torch.long),
            cu_seqlens=torch.tensor([0, 4, 3, 6]),
        )


def test_a_mask_and_boundaries_that_disagree():
    batch = {
        "input_ids": torch.ones(2, 3, dtype=torch.long),
        "attention_mask": torch.tensor([[1, 1, 0], [1, 1, 1]]),
        "cu_seq_lens_q": torch.tensor([0, 3, 5]),
    }
    with pytest.raises(
        DanluError, match=r"give documents of \[3, 2\] tokens, the mask of \[2, 3\]"
    ):
        from_padded(batch)
    stack = Transformer(8, 1, transformer_block(2))
    context = SequenceContext(
        valid=torch.ones(1, 5, dtype=torch.bool), cu_seqlens=torch.tensor([0, 5])
    )
    with pytest.raises(DanluError, match="give cu_seqlens or valid"):
        stack(torch.randn(1, 5, 8), context)


def test_labels_and_left_padding_of_a_padded_batch():
    batch = {
        "input_ids": torch.tensor([[0, 0, 5, 6], [1, 2, 3, 4]]),
        "attention_mask": torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]]),
        "labels": torch.tensor([[-100, -100, 5, 6], [-100, -100, 3, 4]]),
    }
    packed = from_padded(batch)
    assert packed.x.tolist() == [[5, 6, 1, 2, 3, 4]]
    index, wanted = packed.targets()
    assert (index.tolist(), wanted.tolist()) == ([0, 3, 4], [6, 3, 4])
    assert packed.rows.whole == packed.count == 3
    rows = to_padded(packed)
    assert rows["input_ids"].tolist() == [[5, 6, 0, 0], [1, 2, 3, 4]]
    assert rows["labels"].tolist() == [[5, 6, -100, -100], [-100, -100, 3, 4]]


def test_tokens_of_an_array_that_is_mapped(tmp_path):
    tokens = np.arange(20, dtype=np.int64)
    np.save(tmp_path / "tokens.npy", tokens)
    mapped = np.load(tmp_path / "tokens.npy", mmap_mode="r")
    documents = Documents(mapped, boundaries((7, 8, 5)))
    stream = PackedStream(documents, PACKERS["window-best-fit"].build(16), packs=1, seed=0)
    batch = next(stream)
    assert set(batch.x[0].tolist()) <= set(range(20))
    for part in batch.x[0].split(batch.lengths):
        assert torch.equal(part.diff(), torch.ones(len(part) - 1, dtype=part.dtype))


def test_a_stream_of_nothing():
    with pytest.raises(DanluError, match="There is no document"):
        Documents.of([])
    empty = Documents.of([torch.zeros(0, dtype=torch.long)])
    with pytest.raises(DanluError, match="All documents are empty"):
        PackedStream(empty, PACKERS["next-fit"].build(16))


def test_an_image_that_does_not_fit():
    with pytest.raises(DanluError, match="5x4 pixels cannot be cut into patches of 2: resize it"):
        pack_patches([torch.zeros(1, 5, 4)], 2)


def test_positions_of_text_and_an_image():
    found = mixed_positions([2, (1, 2, 3), 1])
    image = [[2, 2 + row, 2 + column] for row in range(2) for column in range(3)]
    assert found.tolist() == [[0, 0, 0], [1, 1, 1], *image, [5, 5, 5]]


class ThreeAxes(Rotary):
    """The first pairs turn by time, the next by row, the others by column."""

    sections = (0, 1, 2, 2)

    def angles(self, positions, dtype):
        theta = torch.tensor(self.frequencies, dtype=dtype)
        return positions[..., self.sections].to(dtype) * theta


def test_text_and_images_in_one_sequence():
    stack = Transformer(16, 2, transformer_block(2, position=ThreeAxes(8))).eval()
    samples = [[3, (1, 2, 3), 4], [(2, 2, 2)], [5, (1, 1, 1), (1, 4, 2), 2]]
    places = [mixed_positions(sample) for sample in samples]
    parts = [torch.randn(len(place), 16) for place in places]
    lengths = tuple(len(part) for part in parts)
    batch = PackedBatch(
        x=torch.cat(parts)[None],
        condition=None,
        index=torch.zeros(1, dtype=torch.long),
        cu_seqlens=boundaries(lengths),
        positions=torch.cat(places)[None],
    )
    found = stack(batch.x, batch.context)[0][0].split(lengths)
    longest = max(lengths)
    valid = torch.arange(longest) < torch.tensor(lengths)[:, None]
    rows, grid = torch.zeros(3, longest, 16), torch.zeros(3, longest, 3, dtype=torch.long)
    for row, (part, place) in enumerate(zip(parts, places, strict=True)):
        alone, _ = stack(part[None], SequenceContext(positions=place[None]))
        torch.testing.assert_close(found[row], alone[0], rtol=0, atol=1e-12)
        rows[row, : len(part)], grid[row, : len(part)] = part, place
    padded, _ = stack(rows, SequenceContext(positions=grid, valid=valid))
    torch.testing.assert_close(padded[valid], torch.cat(found), rtol=0, atol=1e-12)
    order = torch.arange(lengths[0])[None]
    assert not torch.allclose(
        stack(parts[0][None], SequenceContext(positions=order))[0][0], found[0]
    )


def kernel(q, k, v, *bounds, scale, window_size):
    """What torch's kernel computes, by a mask."""
    cu_q, cu_k, max_q, max_k = bounds
    assert cu_q.dtype == cu_k.dtype == torch.int32
    assert max_q == max_k == int(cu_q.diff().max())
    place = torch.arange(len(q))
    document = torch.bucketize(place, cu_q[1:], right=True)
    behind = place[:, None] - place
    seen = document[:, None] == document
    for side, distance in zip(window_size, (behind, -behind), strict=True):
        seen = seen & (distance <= side) if side >= 0 else seen
    heads = (part.transpose(0, 1) for part in (q, k, v))
    return scaled_dot_product_attention(*heads, attn_mask=seen, scale=scale).transpose(0, 1)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("window", [None, 2])
def test_torch_kernel_gets_what_it_wants(monkeypatch, causal, window):
    documents = Packed(boundaries((3, 0, 6, 1)), (3, 0, 6, 1))
    q, k, v = (torch.randn(10, 2, 4) for _ in range(3))
    expected = attend_documents(q, k, v, documents, causal=causal, window=window)
    monkeypatch.setattr(varlen, "has_kernel", lambda q, v: True)
    monkeypatch.setattr(varlen, "varlen_attn", kernel)
    found = attend_documents(q, k, v, documents, causal=causal, window=window)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
