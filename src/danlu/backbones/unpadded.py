r"""A causal language model of transformers, trained on packed documents without padding.

All tokens of a batch go through the model as one row with positions that begin anew in each
document; attention, in place of the model's own, stays inside the documents. The model is called
with `use_cache=False`: with a cache, transformers takes the row for one sequence, and says nothing.

Use it to train or fine-tune such a model on documents of different lengths; the loss is that of
padded rows.

Sources: arXiv:2107.02027 §3.2 (packing without contamination).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from danlu.contracts import DanluError, Losses
from danlu.data.packing import PackedBatch
from danlu.layers.packing import check_boundaries
from danlu.layers.varlen import Documents, attend_documents

NAME = "danlu-documents"
UNKNOWN = ("softcap", "s_aux", "position_bias")
"""What some models add to attention, and this one cannot do."""


class Unpadded(nn.Module):
    """A model `AutoModelForCausalLM` and the like, on packed batches.

    Args:
        model: any causal model of transformers whose attention can be replaced by name.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        if not hasattr(model, "config"):
            raise DanluError(f"{type(model).__name__} is no model of transformers.")
        from transformers import AttentionInterface  # pyright: ignore[reportMissingImports]

        AttentionInterface.register(NAME, attention_in_documents)
        self.model = model

    def forward(self, batch: PackedBatch, **inputs: Any) -> Float[Tensor, "1 total classes"]:
        """The logits of all tokens.

        Args:
            batch: documents of ids.
            inputs: what else the model takes, such as pixels.
        """
        places = batch.place
        longest = max(batch.lengths, default=0)
        with _attention_of(self.model):
            found = self.model(
                input_ids=batch.x,
                position_ids=places.movedim(-1, 0) if places.ndim == 3 else places,
                use_cache=False,
                cu_seq_lens_q=batch.cu_seqlens,
                cu_seq_lens_k=batch.cu_seqlens,
                max_length_q=longest,
                max_length_k=longest,
                **inputs,
            )
        return found.logits

    def losses(self, batch: PackedBatch, **inputs: Any) -> Losses:
        """The mean over all targets of the batch, nats for a token."""
        index, wanted = batch.targets()
        logits = self(batch, **inputs)[0, index]
        total = cross_entropy(logits, wanted, reduction="sum") / max(len(index), 1)
        return Losses.of(nats_per_token=total)


def attention_in_documents(
    module: nn.Module,
    query: Float[Tensor, "1 heads total dim"],
    key: Float[Tensor, "1 key_heads total dim"],
    value: Float[Tensor, "1 key_heads total values"],
    attention_mask: Tensor | None,
    **given: Any,
) -> tuple[Float[Tensor, "1 total heads values"], None]:
    """Attention as transformers calls it, inside the documents alone."""
    del attention_mask  # the boundaries say all of it
    extra = [name for name in UNKNOWN if given.get(name) is not None]
    if extra or given.get("dropout"):
        what = extra[0] if extra else "dropout"
        raise DanluError(f"{type(module).__name__} wants {what} in attention: set it to none.")
    if "cu_seq_lens_q" not in given:
        raise DanluError("The boundaries of the documents did not reach the model's attention.")
    ends = given["cu_seq_lens_q"]
    groups = query.shape[1] // key.shape[1]
    shared = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    y = attend_documents(
        *(part[0].transpose(0, 1) for part in (query, *shared)),
        documents=Documents(ends, check_boundaries(ends, query.shape[2])),
        causal=given.get("is_causal") is not False and getattr(module, "is_causal", True),
        window=given.get("sliding_window"),
        scale=given.get("scaling"),
    )
    return y[None], None


@contextmanager
def _attention_of(model: nn.Module) -> Iterator[None]:
    """The model's text layers call our attention while this lasts."""
    config: Any = model.config
    text = config.get_text_config()
    before = text._attn_implementation
    text._attn_implementation = NAME
    try:
        yield
    finally:
        text._attn_implementation = before
