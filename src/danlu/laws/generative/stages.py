"""Laws of stages within stages: each player leads to its own model."""

import torch
from torch import Tensor

from danlu.contracts import Batch, Progress
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.stages import Staged
from danlu.generative.tiny import TINY_VECTOR
from danlu.generative.vae import vae
from danlu.laws.draws import seed, seeded, standard_normal
from danlu.laws.gaps import gap
from danlu.laws.generative.diffusion.diffusion_losses import NET
from danlu.laws.law import Case, Rows, law_of_cases, table

START = Progress(step=0, fraction=0.0, seed=3)


def nested() -> list[Case]:
    """Players of stages within stages lead to their model."""
    with seeded():
        first = vae.build(TINY_VECTOR, latent=2, width=4)
        middle = vae.build(first.prior.description, latent=2, width=4)
        last = DiffusionModel(middle.prior.description, NET)
    inner = Staged(middle.description, middle, last, share=0.5)
    model = Staged(TINY_VECTOR, first, inner, share=0.3)
    parts = {"first.model": first, "prior.first.model": middle, "prior.prior.model": last}

    def error(player: str) -> float:
        part = parts[player]
        batch = Batch(standard_normal(5, *part.description.shape), None, torch.arange(5))

        def loss(model: Staged | vae.VAE | DiffusionModel, player: str) -> Tensor:
            torch.manual_seed(seed(1))
            return model.loss(batch, player, START).total.detach()

        return gap(loss(model, player), loss(part, "model"))

    named = ("every player", lambda: float(list(model.players()) != list(parts)))
    return [named, *((player, lambda p=player: error(p)) for player in parts)]


_CASES: Rows = {
    "definition": [
        ("staged/nested", 1e-12, nested),
    ],
}

LAWS = table(_CASES, law_of_cases)
