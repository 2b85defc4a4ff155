"""What optimisers are compared on: a character model, a U-Net that denoises, a classifier."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from danlu.backbones.transformer import Transformer, transformer_block
from danlu.contracts import Batch, Progress
from danlu.data import Source
from danlu.evaluation.features.network import FeatureNetwork
from danlu.generative.diffusion import rectified_flow
from danlu.positions.rotary import Rotary

LENGTH, DIM, DEPTH, HEADS = 64, 96, 2, 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A network, its loss and its batch; `text` where it learns from the Brown corpus."""

    build: Callable[[Source], nn.Module]
    loss: Callable[[nn.Module, Batch, Progress], Tensor]
    batch: int
    text: bool = False


class CharacterModel(nn.Module):
    """A causal transformer over characters."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        block = transformer_block(HEADS, position=Rotary(DIM // HEADS))
        self.embedding = nn.Embedding(characters, DIM)
        self.stack = Transformer(DIM, DEPTH, block)
        self.logits = nn.Linear(DIM, characters)

    def forward(self, ids: Int[Tensor, "batch length"]) -> Float[Tensor, "batch length classes"]:
        """Scores of the next character behind each."""
        return self.logits(self.stack(self.embedding(ids))[0])


def _predict(model: nn.Module, batch: Batch, progress: Progress) -> Tensor:
    scores = model(batch.x[:, :-1])
    return cross_entropy(scores.flatten(0, 1), batch.x[:, 1:].flatten())


def _denoise(model: nn.Module, batch: Batch, progress: Progress) -> Tensor:
    assert isinstance(model, rectified_flow.RectifiedFlow)
    return model.loss(batch, "model", progress).total


def _classify(model: nn.Module, batch: Batch, progress: Progress) -> Tensor:
    assert batch.condition is not None
    assert batch.condition.ids is not None
    return cross_entropy(model(batch.x), batch.condition.ids)


def _characters(source: Source) -> nn.Module:
    assert source.description.levels is not None
    return CharacterModel(source.description.levels)


TASKS = {
    "character model": Task(build=_characters, loss=_predict, batch=16, text=True),
    "denoiser": Task(
        build=lambda source: rectified_flow.build(
            source.description, width=16, levels=2, blocks=1, patch=2, features=64
        ),
        loss=_denoise,
        batch=32,
    ),
    "classifier": Task(
        build=lambda source: FeatureNetwork(source.description.shape, source.description.classes),
        loss=_classify,
        batch=32,
    ),
}
