r"""The gated recurrent unit: one gate for keeping and writing, one for looking back.

$h_t = z_t \odot h_{t-1} + (1 - z_t) \odot \tanh(W x_t + b + r_t \odot (U h_{t-1} + b'))$ with gates
$z, r = \sigma(\cdot)$, then a linear map. The gate $r$ acts after $U$, as in torch, unlike in the
article.

Use it as a baseline with gates and a state half as large as the LSTM's.

Sources: arXiv:1406.1078 (with $r$ before $U$); the form of torch.nn.GRU.
"""

import torch
from torch import nn

from danlu.mixers.cells import Cells


class GRU(Cells):
    """torch's gated recurrent unit; the state is `hidden`."""

    module = nn.GRU
    function = torch.gru
