r"""DPM-Solver++ 2M SDE: the two-point exponential integrator with any share of fresh noise.

$dy = (1 + \kappa)(D - y)\,d\lambda + \sqrt{2\kappa}\,\hat\sigma\,dw$ keeps the marginals for every
function $\kappa(\hat\sigma) = \eta^2/g^2 \ge 0$. Over a step of length h with
$K = \int\kappa\,d\lambda$, $H = h + K$ and $\tilde D$ extrapolated as in 2M,

$y_s = e^{-H} y + (1 - e^{-H})\tilde D + \hat\sigma_s\sqrt{1 - e^{-2K}}\,z$.

The default $\kappa = 1$ is the reverse of the forward diffusion; without the extrapolation it would
be the ancestral chain. $\kappa = 0$ is DPM-Solver++ 2M. Fresh noise mends errors of earlier steps
and asks for more of them.

Sources: arXiv:2211.01095 eq. 18; kexue.fm/archives/9257 (any share).
"""

from typing import ClassVar

from danlu.generative.diffusion.solvers.dpm_multistep import DPMSolverMultistep
from danlu.generative.diffusion.solvers.exponential import Share, all_noise


class DPMSolverSDE(DPMSolverMultistep):
    """Two denoised states and the fresh noise of any share, a function of the noise level."""

    order: ClassVar[int | None] = None

    def __init__(self, share: Share = all_noise) -> None:
        self.share = share
