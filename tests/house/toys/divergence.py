r"""Squared margins: both sides are held one apart, and pay the square of what is missing.

With critic logits $T_r$ and $T_f$ the critic minimises $\mathrm{relu}(1 - T_r)^2 +
\mathrm{relu}(1 + T_f)^2$ and the generator $\mathrm{relu}(1 - T_f)^2$: a hinge whose slope fades
where little is missing.

Source: arXiv:1705.02894 with squares.
"""

from torch.nn.functional import relu

from danlu.losses.divergences import Divergence, SlopePenalty

TOY_MARGINS = Divergence(
    critic=lambda real, fake: relu(1 - real.logit).square() + relu(1 + fake.logit).square(),
    generator=lambda real, fake: relu(1 - fake.logit).square(),
    constraint=SlopePenalty(0.1),
)
