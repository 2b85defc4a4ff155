r"""Classifier guidance: follow the gradient of a classifier of noisy data.

$D = D_u + s\,\hat\sigma^2\,\nabla_y \log p(c\,|\,y)$. With the true posterior and s = 1 this is the
conditional denoiser, by Bayes' rule. The classifier must know noisy data at every level; any
differentiable score of agreement takes its place, such as the similarity $\langle E(y,
\hat\sigma), e\rangle$ of an embedding with that of a text or of another image. A scale s other
than 1 does not sample from a power of $p(c|y)$, whose normaliser depends on y.

Use it to steer an unconditional model towards what it was not trained with.

Sources: arXiv:2105.05233 alg. 1 and 2, arXiv:2112.05744 (similarity); kexue.fm/archives/9257.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.contracts import DanluError
from danlu.generative.diffusion.denoiser import Denoiser

Agreement = Callable[[Tensor, float], Float[Tensor, " batch"]]
"""(noisy data, noise level) -> log-probability of what is wanted, up to a constant, by example."""

Embedding = Callable[[Tensor, float], Float[Tensor, "batch features"]]
"""(noisy data, noise level) -> features."""


class Classifier:
    """Along the gradient of an agreement; one evaluation of each and a backward pass.

    Args:
        agreement: differentiable, row by row.
        scale: s.
    """

    def __init__(self, agreement: Agreement, scale: float = 1.0) -> None:
        self.agreement = agreement
        self.scale = scale

    def __call__(self, denoise: Denoiser) -> Denoiser:
        """The guided denoiser of an unconditional one."""
        if self.scale == 0.0:
            return denoise

        def guided(y: Float[Tensor, "batch ..."], level: float) -> Float[Tensor, "batch ..."]:
            return denoise(y, level) + self.scale * level**2 * self._gradient(y, level)

        return guided

    def _gradient(self, y: Tensor, level: float) -> Tensor:
        with torch.enable_grad():
            at = y.detach().requires_grad_()
            value = self.agreement(at, level)
            if value.shape != (len(y),) or not value.requires_grad:
                raise DanluError(
                    "A classifier that guides gives one differentiable number for each example, "
                    f"got shape {tuple(value.shape)}."
                )
            return torch.autograd.grad(value.sum(), at)[0]


class Similarity(Classifier):
    """Towards examples whose embedding agrees with a wanted one.

    Args:
        embed: differentiable, row by row.
        wanted: features, one for all examples or one for each.
        scale: s.
    """

    def __init__(
        self,
        embed: Embedding,
        wanted: Float[Tensor, "*#batch features"],
        scale: float = 1.0,
    ) -> None:
        super().__init__(lambda y, level: (embed(y, level) * wanted).sum(1), scale)
