"""Packed training of transformers' models: no padding, the same losses and gradients as alone."""

import pytest
import torch
from transformers import (
    DataCollatorWithFlattening,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from danlu.backbones.unpadded import Unpadded
from danlu.contracts import DanluError
from danlu.data.packing import PackedBatch
from danlu.data.packing.padded import from_padded

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]

LENGTHS = (7, 3, 12, 1)
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.fixture
def llama():
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(vocab_size=64, **SIZES)).double().eval()


@pytest.fixture
def documents():
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(64, (length,), generator=generator) for length in LENGTHS]


def padded(documents, side):
    longest = max(len(document) for document in documents)
    rows = {name: torch.zeros(len(documents), longest, dtype=torch.long) for name in ("ids", "on")}
    for row, document in enumerate(documents):
        part = slice(longest - len(document), None) if side == "left" else slice(len(document))
        rows["ids"][row, part], rows["on"][row, part] = document, 1
    return {"input_ids": rows["ids"], "attention_mask": rows["on"]}


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_batch_gives_the_logits_and_gradients_of_documents_alone(llama, documents, side):
    batch = from_padded(padded(documents, side))
    assert batch.lengths == LENGTHS
    found = Unpadded(llama)(batch)[0].split(LENGTHS)
    alone = [llama(ids[None], use_cache=False).logits[0] for ids in documents]
    for ours, theirs in zip(found, alone, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    weights = list(llama.parameters())
    slopes = [
        torch.autograd.grad(sum(part.square().sum() for part in parts), weights)
        for parts in (found, alone)
    ]
    for ours, theirs in zip(*slopes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    assert llama.config._attn_implementation == "sdpa"


def test_the_flattening_collator_makes_the_same_batch(llama, documents):
    collate = DataCollatorWithFlattening(return_tensors="pt", return_flash_attn_kwargs=True)
    theirs = collate([{"input_ids": ids.tolist()} for ids in documents])
    ours = PackedBatch.of(torch.cat(documents)[None], LENGTHS)
    flat = from_padded({name: theirs[name] for name in ("input_ids", "labels", "cu_seq_lens_q")})
    assert torch.equal(ours.x, theirs["input_ids"])
    assert torch.equal(ours.place, theirs["position_ids"])
    assert torch.equal(ours.cu_seqlens, theirs["cu_seq_lens_q"].flatten())
    for mine, other in zip(ours.targets(), flat.targets(), strict=True):
        assert torch.equal(mine, other)
    expected = llama(
        input_ids=theirs["input_ids"],
        position_ids=theirs["position_ids"],
        labels=theirs["labels"],
        use_cache=False,
    ).loss
    found = Unpadded(llama).losses(ours).total
    assert (
        abs(float(found.detach()) - float(expected.detach())) < 1e-6
    )  # theirs is computed in float32


def test_with_a_cache_their_packed_row_is_contaminated(llama, documents):
    """The trap that the adapter avoids; where it is gone, `use_cache=False` may go too."""
    batch = PackedBatch.of(torch.cat(documents)[None], LENGTHS)
    given = {"input_ids": batch.x, "position_ids": batch.place}
    apart = Unpadded(llama)(batch)
    torch.testing.assert_close(llama(**given, use_cache=False).logits, apart, rtol=0, atol=1e-12)
    assert (llama(**given, use_cache=True).logits - apart).abs().max() > 1e-3


def test_what_the_adapter_cannot_do(llama, documents):
    batch = PackedBatch.of(torch.cat(documents)[None], LENGTHS)
    llama.config.attention_dropout = 0.5
    for layer in llama.model.layers:
        layer.self_attn.attention_dropout = 0.5
    with pytest.raises(DanluError, match="LlamaAttention wants dropout in attention"):
        Unpadded(llama.train())(batch)
    with pytest.raises(DanluError, match="Linear is no model of transformers"):
        Unpadded(torch.nn.Linear(1, 1))


IMAGE, START, END, VIDEO = 60, 61, 62, 63


def test_text_and_images_through_a_tiny_qwen():
    torch.manual_seed(0)
    rope = {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10_000.0}
    config = Qwen3VLConfig(
        text_config={**SIZES, "vocab_size": 64, "head_dim": 8, "rope_parameters": rope},
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_heads": 2,
            "patch_size": 4,
            "spatial_merge_size": 2,
            "temporal_patch_size": 1,
            "out_hidden_size": 32,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
        image_token_id=IMAGE,
        vision_start_token_id=START,
        vision_end_token_id=END,
        video_token_id=VIDEO,
    )
    model = Qwen3VLForConditionalGeneration(config).double().eval()
    grids = torch.tensor([[1, 4, 4], [1, 2, 6]])  # 4 and 3 tokens after merging
    pixels = torch.randn(16 + 12, 3 * 4 * 4)
    texts = [
        [1, 2, START, *[IMAGE] * 4, END, 3],
        [4, START, *[IMAGE] * 3, END, 5, 6, 7, 8, 9],
        [10, 11, 12],
    ]
    batch = padded([torch.tensor(text) for text in texts], "right")
    kinds = (batch["input_ids"] == IMAGE).int()
    places, _ = model.model.get_rope_index(
        batch["input_ids"],
        image_grid_thw=grids,
        attention_mask=batch["attention_mask"],
        mm_token_type_ids=kinds,
    )
    images = {"pixel_values": pixels, "image_grid_thw": grids}
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    logits = model(**batch, **images, mm_token_type_ids=kinds, use_cache=False).logits
    expected = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
    )
    packed = from_padded({**batch, "position_ids": places, "labels": labels})
    assert packed.positions.shape == (1, sum(map(len, texts)), 3)
    found = Unpadded(model).losses(packed, **images).total
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    weights = list(model.parameters())
    slopes = [torch.autograd.grad(each, weights) for each in (found, expected)]
    for ours, theirs in zip(*slopes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
