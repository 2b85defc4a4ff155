r"""A linear classifier of bags: the mean of their rows, and a softmax over classes.

$p(y \mid x) = \mathrm{softmax}(B\,\frac1n\sum_i a_{x_i})$. With a row for each hashed word and each
hashed sequence of words it is fastText's classifier; with word vectors as rows it is a classifier
of averaged vectors, and the rows may stay as they are (frozen) or be trained as well (tuned).

Sources: arXiv:1607.01759 (Joulin et al.); kexue.fm/archives/4233.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from danlu.embeddings.bags import Bags
from danlu.embeddings.subwords import fnv1a

BATCH = 16


class BagClassifier(nn.Module):
    """The mean of a bag's rows, and a linear layer.

    Args:
        table: the rows at the start.
        classes: how many classes there are.
        tuned: whether the rows are trained too.
    """

    def __init__(self, table: Float[Tensor, "rows dim"], classes: int, *, tuned: bool) -> None:
        super().__init__()
        self.table = nn.Parameter(table.clone(), requires_grad=tuned)
        self.linear = nn.Linear(table.shape[1], classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, bags: Bags) -> Float[Tensor, "bags classes"]:
        """Scores of the classes."""
        return self.linear(bags.mean(self.table))


@dataclass(frozen=True, kw_only=True, slots=True)
class BagTraining:
    """How a classifier is trained: by Adam, with a rate that falls linearly.

    Attributes:
        epochs: passes over the examples.
        rate: learning rate at the start.
        seed: of the order.
    """

    epochs: int = 10
    rate: float = 0.01
    seed: int = 0


def train_classifier(
    model: BagClassifier, bags: Bags, labels: Int[Tensor, " bags"], options: BagTraining
) -> None:
    """Train in place."""
    generator = torch.Generator().manual_seed(options.seed)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=options.rate)
    batch = max(BATCH, len(bags) // 64)
    total = options.epochs * -(-len(bags) // batch)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, total)
    for _ in range(options.epochs):
        for part in torch.randperm(len(bags), generator=generator).split(batch):
            optimizer.zero_grad()
            functional.cross_entropy(model(bags.chosen(part)), labels[part]).backward()
            optimizer.step()
            schedule.step()


def ngram_bags(texts: Sequence[Sequence[str]], *, longest: int = 2, buckets: int = 1 << 16) -> Bags:
    """The hashed words and sequences of up to `longest` words of every text."""
    grams = [
        [
            " ".join(words[start : start + n])
            for n in range(1, longest + 1)
            for start in range(len(words) - n + 1)
        ]
        for words in texts
    ]
    hashes = fnv1a([gram.encode() for each in grams for gram in each])
    rows = torch.from_numpy(hashes.astype("int64") % buckets)
    return Bags(rows, torch.tensor([len(each) for each in grams], dtype=torch.long))
