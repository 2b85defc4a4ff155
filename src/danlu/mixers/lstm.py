r"""Long short-term memory: gates decide what a cell forgets, takes in and shows.

$c_t = f_t \odot c_{t-1} + i_t \odot \tanh(\cdot)$, $h_t = o_t \odot \tanh(c_t)$ with the gates
$i, f, o = \sigma(W x_t + U h_{t-1} + b)$, then a linear map.

Use it as the baseline with gates; on a processor it is the fastest of the three networks.

Sources: S. Hochreiter and J. Schmidhuber (1997); F. Gers et al. (2000), the gate that forgets.
"""

import torch
from torch import nn

from danlu.mixers.cells import Cells


class LSTM(Cells):
    """torch's long short-term memory; the state is `hidden` and `cell`."""

    module = nn.LSTM
    function = torch.lstm
    parts = ("hidden", "cell")
