r"""The plain recurrent network: $h_t = \tanh(W x_t + U h_{t-1} + b)$, then a linear map.

Use it as the baseline whose gradient fades: each step back multiplies it by
$\operatorname{diag}(1 - h^2)\,U$.

Sources: J. L. Elman, Finding structure in time (1990); arXiv:1211.5063 (fading gradients).
"""

import torch
from torch import nn

from danlu.mixers.cells import Cells


class RNN(Cells):
    """torch's plain recurrent network; the state is `hidden`."""

    module = nn.RNN
    function = torch.rnn_tanh
