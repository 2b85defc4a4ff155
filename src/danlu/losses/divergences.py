r"""Critic and generator losses of adversarial training, one row each.

With critic logits $T_r = T(x)$ on data and $T_f = T(G(z))$ on generated examples, and
$\mathrm{sp}$ the softplus,

| row | critic minimises | generator minimises | constraint |
|---|---|---|---|
| minimax | sp(−T_r) + sp(T_f) | −sp(T_f) | none |
| non-saturating | sp(−T_r) + sp(T_f) | sp(−T_f) | R1 |
| least-squares | ½(T_r − 1)² + ½T_f² | ½(T_f − 1)² | R1 |
| hinge | relu(1 − T_r) + relu(1 + T_f) | −T_f | R1 |
| wasserstein-gp | T_f − T_r | −T_f | gradient penalty |
| relativistic | sp(T_f − T_r) | sp(T_r − T_f) | R1 and R2 |

At its optimum $T = \log(p/q)$ the minimax critic's value is $2\,\mathrm{JS}(p, q) - 2\ln 2$; the
Wasserstein critic over 1-Lipschitz functions gives $W_1(p, q)$.

Constraints: R1 $= \frac{\gamma}{2} E\lVert\nabla T(x)\rVert^2$ on data, R2 the same on
generated examples, and the two-sided penalty $\lambda E(\lVert\nabla T(\hat x)\rVert - 1)^2$ at
random points $\hat x$ between the two. They are computed in full precision; slope penalties are
lazy: every 8th round at 8 times the weight.

Sources: arXiv:1406.2661 (minimax, non-saturating), arXiv:1611.04076 (least squares),
arXiv:1705.02894 (hinge), arXiv:1701.07875 and arXiv:1704.00028 eq. 3 (Wasserstein, penalty),
arXiv:1801.04406 eq. 9 (R1), arXiv:1912.04958 §3.1 (lazy), arXiv:1807.00734 and
arXiv:2501.05441 (relativistic, R1 + R2).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import relu, softplus

from danlu.contracts.noise import BatchNoise

LAZY = 8
"""Rounds between slope penalties."""

Critic = Callable[[Tensor], Tensor]
"""Examples `[batch, *shape]` to logits `[batch]`."""
Pair = Callable[[Tensor, Tensor], Tensor]
"""Logits of data and of generated examples to a loss for each of them."""
Constraint = Callable[[Critic, Tensor, Tensor], Tensor]
"""Critic, data and generated examples to a scalar penalty, its weight included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """A critic loss and a generator loss that belong together.

    Attributes:
        critic: what the critic minimises, of (real logits, fake logits), for each example.
        generator: what the generator minimises.
        constraint: penalty added to the critic's loss; None for none.
        constraint_every: rounds between penalties, whose weight grows as much; lazily it costs
            little, and a slowly changing slope needs no more.
        pairwise: whether the generator's loss needs the logits of data.
        critic_steps: critic steps for each generator step.
    """

    critic: Pair
    generator: Pair
    constraint: Constraint | None = None
    constraint_every: int = 1
    pairwise: bool = False
    critic_steps: int = 1


@dataclass(frozen=True, slots=True)
class SlopePenalty:
    r"""$\frac{\gamma}{2} E\lVert\nabla T\rVert^2$ on data (R1), or on data and fakes (R1 + R2)."""

    gamma: float
    on_fake: bool = False

    def __call__(
        self,
        critic: Critic,
        real: Float[Tensor, "batch ..."],
        fake: Float[Tensor, "batch ..."],
    ) -> Float[Tensor, ""]:
        """The weighted penalty."""
        penalty = slopes(critic, real).square().mean()
        if self.on_fake:
            penalty = penalty + slopes(critic, fake).square().mean()
        return self.gamma / 2 * penalty


@dataclass(frozen=True, slots=True)
class GradientPenalty:
    r"""$\lambda E(\lVert\nabla T(\hat x)\rVert - 1)^2$ at random points between the pairs."""

    weight: float = 10.0

    def __call__(
        self,
        critic: Critic,
        real: Float[Tensor, "batch ..."],
        fake: Float[Tensor, "batch ..."],
    ) -> Float[Tensor, ""]:
        """The weighted penalty."""
        noise = BatchNoise(len(real), device=real.device, dtype=real.dtype)
        share = noise.uniform(*[1] * (real.ndim - 1))
        between = torch.lerp(fake.to(real.dtype), real, share)
        return self.weight * (slopes(critic, between) - 1).square().mean()


def slopes(critic: Critic, x: Float[Tensor, "batch ..."]) -> Float[Tensor, " batch"]:
    """Norm of the critic's gradient at each example, differentiable, in full precision."""
    with torch.autocast(x.device.type, enabled=False), torch.enable_grad():
        x = x.detach().to(torch.promote_types(x.dtype, torch.float32)).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        return gradient.flatten(1).norm(dim=1)


def _cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-real) + softplus(fake)


MINIMAX = Divergence(critic=_cross_entropy, generator=lambda real, fake: -softplus(fake))
NON_SATURATING = Divergence(
    critic=_cross_entropy,
    generator=lambda real, fake: softplus(-fake),
    constraint=SlopePenalty(0.1),
    constraint_every=LAZY,
)
LEAST_SQUARES = Divergence(
    critic=lambda real, fake: 0.5 * (real - 1).square() + 0.5 * fake.square(),
    generator=lambda real, fake: 0.5 * (fake - 1).square(),
    constraint=SlopePenalty(0.1),
    constraint_every=LAZY,
)
HINGE = Divergence(
    critic=lambda real, fake: relu(1 - real) + relu(1 + fake),
    generator=lambda real, fake: -fake,
    constraint=SlopePenalty(0.1),
    constraint_every=LAZY,
)
WASSERSTEIN_GP = Divergence(
    critic=lambda real, fake: fake - real,
    generator=lambda real, fake: -fake,
    constraint=GradientPenalty(),
    critic_steps=5,
)
RELATIVISTIC = Divergence(
    critic=lambda real, fake: softplus(fake - real),
    generator=lambda real, fake: softplus(real - fake),
    constraint=SlopePenalty(0.1, on_fake=True),
    constraint_every=LAZY,
    pairwise=True,
)
