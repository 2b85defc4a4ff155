r"""A classifier of sequences: any stack, the mean of its outputs, and a linear map to classes.

$\hat y = W \overline{f(E x)} + b$ with the stack $f$ on embedded tokens $E x$, ids or vectors of
numbers, and the mean over the tokens of each sequence that are no padding. A causal stack is read
in the same way: each token has seen what came before, and the mean all of it. Packed documents give
a row for each.

Use it to tell texts, series or rows of pixels apart, and to compare mixers on what they can keep.

Sources: arXiv:2011.04006 §2.2 (classification of long sequences); arXiv:2111.00396 §4 (pixels as
sequences, mean pooling).
"""

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from danlu.backbones.transformer import Transformer
from danlu.contracts import SequenceContext
from danlu.layers.packing import document_ids


class SequenceClassifier(nn.Module):
    """The classes of sequences.

    Args:
        embed: tokens to vectors: `nn.Embedding` for ids, `nn.Linear` for numbers.
        stack: any stack of the same width, causal or not.
        classes: number of classes.
    """

    def __init__(self, embed: nn.Module, stack: Transformer, classes: int) -> None:
        super().__init__()
        self.embed, self.stack = embed, stack
        self.logits = nn.Linear(stack.dim, classes)

    def forward(
        self, x: Num[Tensor, "batch length *features"], context: SequenceContext | None = None
    ) -> Float[Tensor, "sequences classes"]:
        """The logits of each sequence, or of each packed document.

        Args:
            x: ids, or numbers with an axis of features.
            context: padding, or boundaries of packed documents.
        """
        context = None if context is None else context.parted()
        y, _ = self.stack(self.embed(x), context)
        return self.logits(pooled(y, context))


def pooled(
    y: Float[Tensor, "batch length dim"], context: SequenceContext | None = None
) -> Float[Tensor, "sequences dim"]:
    """The mean of each sequence over its own tokens; 0 of one without any."""
    if context is not None and context.cu_seqlens is not None:
        ends = context.cu_seqlens
        document = document_ids(ends, y.shape[1])
        total = y.new_zeros(len(ends) - 1, y.shape[2]).index_add(0, document, y[0])
        return total / ends.diff().clamp(min=1)[:, None]
    if context is None or context.valid is None:
        return y.sum(1) / max(1, y.shape[1])
    valid = context.valid[..., None].to(y.dtype)
    return (y * valid).sum(1) / valid.sum(1).clamp(min=1)


def accuracy(
    model: SequenceClassifier, x: Num[Tensor, "n length *features"], classes: Tensor
) -> float:
    """The share of sequences whose likeliest class is theirs."""
    with torch.no_grad():
        found = torch.cat([model(part).argmax(1) for part in x.split(256)])
    return (found == classes).double().mean().item()
