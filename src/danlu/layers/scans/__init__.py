r"""Linear recurrences, $S_t = G_t \circ S_{t-1} + k_t v_t^\top$ and $o_t = S_t^\top q_t$.

Each has three forms, and there is one file for each shape of the decay $G_t$: a number for each
head (`scalar`), a vector over the features of the key (`vector`), a Householder-like product
(`delta`), the mean with weights that decay by channel (`mean`), and the mean with weights that are
products of keys and queries (`normalised`). The state has a fixed size; a
sequence may be cut anywhere. Padding stands on the right (`Run.valid` False): it adds nothing and
forgets nothing. Beside them stand the recurrences without queries: `linear_recurrence` (a fixed
decay for each entry of the state), `state_space` (a fixed system for each channel) and
`selective_scan` (a decay for each channel and state that depends on the token).
"""

from danlu.layers.scans.chunks import Run
from danlu.layers.scans.delta import delta_scan
from danlu.layers.scans.mean import Mean, mean_scan
from danlu.layers.scans.normalised import divided, normalised_scan, relative
from danlu.layers.scans.scalar import scalar_scan
from danlu.layers.scans.vector import vector_scan

__all__ = [
    "Mean",
    "Run",
    "delta_scan",
    "divided",
    "mean_scan",
    "normalised_scan",
    "relative",
    "scalar_scan",
    "vector_scan",
]
