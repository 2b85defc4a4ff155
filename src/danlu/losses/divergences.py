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

A critic judges one tensor or several that belong together, such as data and code, $T(x, z)$; the
slope is then that in all of them at once. Losses and constraints see the logits and the examples.

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
from danlu.estimators.jacobian import in_eager
from danlu.layers.rows import per_row

LAZY = 8
"""Rounds between slope penalties."""

Seen = tuple[Tensor, ...]
"""What a critic sees of every example: one tensor or several, each `[batch, *shape]`."""
Critic = Callable[..., Tensor]
"""The tensors of `Seen` to logits `[batch]`."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Examples with what the critic says of them.

    Attributes:
        logit: of each example.
        seen: what the critic saw of them.
    """

    logit: Float[Tensor, " batch"]
    seen: Seen


Pair = Callable[[Judged, Judged], Tensor]
"""Data and generated examples to a loss for each of them."""
Constraint = Callable[[Critic, Judged, Judged], Tensor]
"""Critic, data and generated examples to a scalar penalty, its weight included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """A critic loss and a generator loss that belong together.

    Attributes:
        critic: what the critic minimises, of (real, fake), for each example.
        generator: what the generator minimises.
        constraint: penalty added to the critic's loss; None for none.
        constraint_every: rounds between penalties, whose weight grows as much; lazily it costs
            little, and a slowly changing slope needs no more.
        pairwise: whether the generator's loss looks at the data too.
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

    def __call__(self, critic: Critic, real: Judged, fake: Judged) -> Float[Tensor, ""]:
        """The weighted penalty."""
        penalty = slopes(critic, real.seen).square().mean()
        if self.on_fake:
            penalty = penalty + slopes(critic, fake.seen).square().mean()
        return self.gamma / 2 * penalty


@dataclass(frozen=True, slots=True)
class GradientPenalty:
    r"""$\lambda E(\lVert\nabla T(\hat x)\rVert - 1)^2$ at random points between the pairs."""

    weight: float = 10.0

    def __call__(self, critic: Critic, real: Judged, fake: Judged) -> Float[Tensor, ""]:
        """The weighted penalty."""
        first = real.seen[0]
        noise = BatchNoise(len(first), device=first.device, dtype=first.dtype)
        share = noise.uniform()
        between = tuple(
            torch.lerp(there.to(here.dtype), here, per_row(share, here))
            for here, there in zip(real.seen, fake.seen, strict=True)
        )
        return self.weight * (slopes(critic, between) - 1).square().mean()


def slopes(critic: Critic, seen: Seen) -> Float[Tensor, " batch"]:
    """Norm of the critic's gradient at each example, differentiable, in full precision."""
    precise = torch.autocast(seen[0].device.type, enabled=False)
    with precise, torch.enable_grad(), in_eager():
        seen = tuple(
            x.detach().to(torch.promote_types(x.dtype, torch.float32)).requires_grad_()
            for x in seen
        )
        gradients = torch.autograd.grad(critic(*seen).sum(), seen, create_graph=True)
        return torch.cat([gradient.flatten(1) for gradient in gradients], dim=1).norm(dim=1)


def _cross_entropy(real: Judged, fake: Judged) -> Tensor:
    return softplus(-real.logit) + softplus(fake.logit)


MINIMAX = Divergence(critic=_cross_entropy, generator=lambda real, fake: -softplus(fake.logit))
NON_SATURATING = Divergence(
    critic=_cross_entropy,
    generator=lambda real, fake: softplus(-fake.logit),
    constraint=SlopePenalty(0.1),
    constraint_every=LAZY,
)
LEAST_SQUARES = Divergence(
    critic=lambda real, fake: 0.5 * (real.logit - 1).square() + 0.5 * fake.logit.square(),
    generator=lambda real, fake: 0.5 * (fake.logit - 1).square(),
    constraint=SlopePenalty(0.1),
    constraint_every=LAZY,
)
HINGE = Divergence(
    critic=lambda real, fake: relu(1 - real.logit) + relu(1 + fake.logit),
    generator=lambda real, fake: -fake.logit,
    constraint=SlopePenalty(0.1),
    constraint_every=LAZY,
)
WASSERSTEIN_GP = Divergence(
    critic=lambda real, fake: fake.logit - real.logit,
    generator=lambda real, fake: -fake.logit,
    constraint=GradientPenalty(),
    critic_steps=5,
)
RELATIVISTIC = Divergence(
    critic=lambda real, fake: softplus(fake.logit - real.logit),
    generator=lambda real, fake: softplus(real.logit - fake.logit),
    constraint=SlopePenalty(0.1, on_fake=True),
    constraint_every=LAZY,
    pairwise=True,
)
