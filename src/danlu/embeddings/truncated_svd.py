r"""The best approximation of a sparse matrix by one of low rank, in a random Krylov space.

$M_d = U_d \Sigma_d V_d^\top$ has $\|M - M_d\|_F^2 = \sum_{i>d} \sigma_i^2$, and no matrix of rank d
comes nearer (Eckart and Young). The space is spanned by $\Omega', (M M^\top)\Omega', \dots$ with
$\Omega' = M\Omega$ for a random $\Omega$; its blocks are kept orthonormal. In the same number of
products it is far more exact than power iteration, which matters: vectors without singular values
($p = 0$) weigh the last directions as much as the first.

Source: arXiv:1504.05477 algorithm 2 (Musco & Musco).
"""

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from danlu.contracts import DanluError
from danlu.embeddings.ppmi import shape_of

BLOCK = 16


def truncated_svd(
    matrix: csr_array, dim: int, *, seed: int = 0, spaces: float = 5.0
) -> tuple[
    Float[np.ndarray, "rows dim"], Float[np.ndarray, " dim"], Float[np.ndarray, "dim columns"]
]:
    """U, the singular values from the largest, and V transposed.

    Args:
        matrix: the sparse matrix M.
        dim: d.
        seed: of the random start.
        spaces: size of the Krylov space in units of `dim`; larger is more exact.

    Raises:
        DanluError: the matrix has fewer rows or columns than `dim`.
    """
    smaller = min(shape_of(matrix))
    if not 1 <= dim <= smaller:
        raise DanluError(
            f"{dim} dimensions need at least as many words, and there are {smaller}; choose a "
            "smaller dim, or give more text."
        )
    basis = _krylov(matrix, min(smaller, max(int(spaces * dim), dim + BLOCK)), seed)
    # Rayleigh and Ritz: the decomposition of M within the space.
    right, middle = np.linalg.qr(matrix.T @ basis)
    left, values, inner = np.linalg.svd(middle.T)
    left, inner = (basis @ left)[:, :dim], (inner @ right.T)[:dim]
    # The sign is free; the largest number of each left vector becomes positive.
    signs = np.sign(left[np.abs(left).argmax(0), np.arange(dim)])
    return left * signs, values[:dim], inner * signs[:, None]


def _krylov(matrix: csr_array, size: int, seed: int) -> Float[np.ndarray, "rows size"]:
    """An orthonormal basis of the Krylov space."""
    random = np.random.default_rng(seed)
    rows, columns = shape_of(matrix)
    transposed = csr_array(matrix.T)

    def drawn(length: int) -> np.ndarray:
        return random.normal(size=(length, BLOCK)).astype(matrix.dtype)

    block = matrix @ drawn(columns)
    basis = np.empty((rows, size), dtype=matrix.dtype)
    filled = 0
    while filled < size:
        done = basis[:, :filled]
        # Once is not enough in floating point, and twice is.
        block, scale = np.linalg.qr(_outside(_outside(block, done), done))
        weights = np.abs(np.diag(scale))
        if weights.min() <= np.finfo(matrix.dtype).eps * max(weights.max(), 1.0):
            fresh = drawn(rows)  # the space is used up
            block = np.linalg.qr(_outside(_outside(fresh, done), done))[0]
        width = min(block.shape[1], size - filled)
        basis[:, filled : filled + width] = block[:, :width]
        filled += width
        block = matrix @ (transposed @ block)
    return basis


def _outside(block: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """What of a block is orthogonal to a basis."""
    return block - basis @ (basis.T @ block)
