r"""A linear autoencoder of the words' contexts, beside which CBOW's structure becomes plain.

$\min_{E, D} \|M - M E D\|_F^2$ with an encoder $E \in \mathbb R^{V \times d}$, no activation, and a
decoder D: the same two matrices as CBOW's, with a square in the place of its softmax. Each is
solved for in turn, exactly. Its optimum spans the leading right singular vectors of M, so that
$M E D$ is the truncated singular value decomposition. Vectors are the codes $M E$ in the
orthonormal basis of the decoder: up to a rotation $U_d \Sigma_d$.

Sources: doi:10.1016/0893-6080(89)90014-2 (Baldi & Hornik); kexue.fm/archives/4233.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_array

from danlu.contracts import DanluError
from danlu.embeddings.counting import Counting, count_pairs
from danlu.embeddings.method import vectors_for
from danlu.embeddings.ppmi import shape_of, shifted_ppmi
from danlu.embeddings.text import Shard
from danlu.embeddings.vectors import WordVectors
from danlu.embeddings.vocabulary import Vocabulary


def alternating_least_squares(
    matrix: csr_array, dim: int, *, sweeps: int, seed: int = 0
) -> tuple[Float[np.ndarray, "columns dim"], Float[np.ndarray, "dim columns"]]:
    r"""Encoder and decoder with orthonormal rows, after so many exact solutions of either.

    Given the encoder, with codes $H = M E$, the best decoder is $(H^\top H)^{-1} H^\top M$; given
    the decoder, the best encoder is its pseudo-inverse. A sweep brings the wrong directions down by
    the square of the ratio of singular values.
    """
    rows, columns = shape_of(matrix)
    if not 1 <= dim <= min(rows, columns):
        raise DanluError(f"{dim} dimensions need as many words, got {min(rows, columns)}.")
    random = np.random.default_rng(seed)
    encoder = random.normal(size=(columns, dim)).astype(matrix.dtype)
    decoder = encoder.T
    for _ in range(sweeps):
        codes = np.linalg.qr(matrix @ encoder)[0]  # the same span as the codes, well conditioned
        decoder = np.linalg.qr(matrix.T @ codes)[0].T
        encoder = decoder.T  # the pseudo-inverse, since its rows are orthonormal
    return encoder, decoder


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearAutoencoder:
    """A linear autoencoder of shifted PPMI.

    Attributes:
        dim: numbers of a vector.
        shift: k of PPMI.
        smoothing: power of the context distribution.
        sweeps: how often encoder and decoder are solved for.
        seed: of the start.
        counting: window and subsampling.
    """

    dim: int = 100
    shift: float = 1.0
    smoothing: float = 1.0
    sweeps: int = 10
    seed: int = 0
    counting: Counting = field(default_factory=Counting)

    def fit(self, shards: Sequence[Shard], vocabulary: Vocabulary) -> WordVectors:
        """Count, weigh, and encode."""
        counts = count_pairs(shards, vocabulary, self.counting)
        matrix = shifted_ppmi(counts, shift=self.shift, smoothing=self.smoothing, dtype=np.float32)
        encoder, _ = alternating_least_squares(matrix, self.dim, sweeps=self.sweeps, seed=self.seed)
        return vectors_for(vocabulary, torch.from_numpy(matrix @ encoder))
