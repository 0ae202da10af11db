"""Weighted matrix factorization: half-steps in closed form, and the objective.

The matrix R is 1 where a row interacted with a column and 0 elsewhere. An interaction
of value x has the confidence c = b + (a - b) x, a missing one has b (Hu, Koren &
Volinsky 2008, where b is 1 and a - b is called alpha). The same function solves for
users and for items.
"""

import torch
from torch.nn import functional as F

# Number of elements in one gathered block of factors, and entries hashed at a time.
BLOCK_SIZE = 2**20
# The rows of a block have at most LENGTH_RATIO times the number of entries of its
# shortest row, plus LENGTH_SLACK.
LENGTH_RATIO, LENGTH_SLACK = 1.25, 4
# If the relative error of a row's solution, as bounded by its condition, may exceed
# this limit, the row is solved in float64. If it may exceed it there too, an error is
# raised.
MAX_LOSS_OF_PRECISION = 1e-2
HASH_FACTORS = (0x1B873593CC9E2D51, 0x165667B19E3779F9, 0x27D4EB2F85EBCA6B)


def half_step(rows, factors, *, a, b, regularization, prior=None, inverse=None):
    r"""Solve for the factors of all rows while those of the columns are fixed.

    Minimises, for each row i,

    .. math:: \tfrac{1}{2} \sum_j c_{ij} (r_{ij} - x_i \cdot y_j)^2
              + \tfrac{\lambda}{2} \|x_i - p_i\|^2,

    so that :math:`x_i = (Y' C_i Y + \lambda I)^{-1} (Y' C_i r_i + \lambda p_i)`:
    as in Li & She 2017 for users (p = 0) and for items (p the content factors).

    Parameters
    ----------
    rows : SparseRows of shape (n_rows, n_columns)
        Interactions x >= 0: any object with tensors `indptr`, `indices` and `values`.
    factors : Tensor of shape (n_columns, n_components)
        Factors y of the columns. Their dtype is that of the computation.
    a, b : float
        Confidences of a single interaction and of a missing one, a >= b >= 0.
    regularization : float
        Weight lambda of the distance to the prior mean.
    prior : Tensor of shape (n_rows, n_components), default=None
        Prior means p; None for zeros.
    inverse : Tensor of shape (n_components, n_components), default=None
        Result of `inverse_cholesky` for these factors, if it is known.

    Returns
    -------
    solution : Tensor of shape (n_rows, n_components)

    Raises
    ------
    ValueError
        If b Y'Y + lambda I, which all rows share, is singular in float64, or if the
        confidences of a row differ too much for float64.
    """
    # In coordinates where L L' = b Y'Y + lambda I is the identity, a row has
    # x = (I + S'S)^-1 (q + S's) with s = sqrt(c - b) over its interactions,
    # S = diag(s) Y and q = b Y'1 + lambda p.
    if inverse is None:
        inverse = inverse_cholesky(factors, b=b, regularization=regularization)
    columns = rows.indices
    if len(columns) < len(factors):  # whiten only the used factors, in a fixed order
        used, columns = torch.unique(columns, return_inverse=True)
        factors = factors[used.long()]
    whitened = factors @ inverse.T
    if prior is None:
        solution = factors.new_zeros(rows.indptr.shape[0] - 1, factors.shape[1])
    else:
        solution = (regularization * prior) @ inverse.T
    for index, places, present in _blocks(rows, factors.shape[1]):
        gathered = F.embedding(columns[places], whitened)
        present = present.to(factors.dtype)
        root = ((a - b) * rows.values[places].to(factors.dtype) * present).sqrt()
        mean = None if prior is None else solution[index]
        solution[index] = _solve_precisely(gathered, root, b * present, mean)
    return solution @ inverse


def shrinkage(factors, *, b, regularization):
    """Return the matrix M so that rows without interactions get ``prior @ M``.

    Parameters
    ----------
    factors, b, regularization
        As in `half_step`.

    Returns
    -------
    M : Tensor of shape (n_components, n_components)
        lambda (b Y'Y + lambda I)^-1.
    """
    inverse = inverse_cholesky(factors, b=b, regularization=regularization)
    return regularization * (inverse.T @ inverse)


def objective(
    rows, row_factors, column_factors, *, a, b, lambda_rows, lambda_columns, prior=None
):
    """Compute the objective of the half-steps: Li & She 2017 without the content.

    Parameters
    ----------
    rows, a, b
        As in `half_step`.
    row_factors : Tensor of shape (n_rows, n_components)
        Factors of the rows, whose prior mean is zero.
    column_factors : Tensor of shape (n_columns, n_components)
        Factors of the columns.
    lambda_rows, lambda_columns : float
        Weights of the distances to the prior means.
    prior : Tensor of shape (n_columns, n_components), default=None
        Prior means of the columns; None for zeros.

    Returns
    -------
    objective : float
    """
    U, V = row_factors, column_factors
    # A missing interaction costs b (u.v)^2. The sum of this term over all pairs is the
    # sum of the elementwise product of two Gram matrices.
    squares = b * float(torch.sum((U.T @ U).double() * (V.T @ V).double()))
    ends = rows.indptr[1:].long()
    size = max(1, BLOCK_SIZE // U.shape[1])
    for start in range(0, rows.indices.shape[0], size):
        part = slice(start, start + size)
        indices = rows.indices[part].long()
        places = start + torch.arange(len(indices), device=indices.device)
        row_index = torch.searchsorted(ends, places, right=True)
        scores = (U[row_index] * V[indices]).sum(dim=1).double()
        confidence = b + (a - b) * rows.values[part].double()
        squares += float(
            torch.sum(confidence * (1 - scores).square() - b * scores.square())
        )
    distance = V if prior is None else V - prior
    penalties = lambda_rows * float(U.double().square().sum())
    penalties += lambda_columns * float(distance.double().square().sum())
    return 0.5 * (squares + penalties)


def inverse_cholesky(factors, *, b, regularization):
    """Compute L^-1 with L L' = b Y'Y + lambda I, which all rows of a half-step share.

    It is computed in float64 and, because it is small, on the CPU.

    Parameters
    ----------
    factors, b, regularization
        As in `half_step`.

    Returns
    -------
    inverse : Tensor of shape (n_components, n_components)
        Lower triangular.
    """
    gram = b * (factors.T @ factors).double().cpu()
    gram.diagonal().add_(regularization)
    lower, info = torch.linalg.cholesky_ex(gram)
    if info.item() or not torch.isfinite(lower).all():
        raise ValueError(
            f"The factors of a row without interactions are not determined: b Y'Y + "
            f"lambda I is singular with b={b} and lambda={regularization}; pass a "
            "lower b or a greater lambda."
        )
    eye = torch.eye(len(lower), dtype=lower.dtype)
    inverse = torch.linalg.solve_triangular(lower, eye, upper=False)
    return inverse.to(factors.dtype).to(factors.device)


def _blocks(rows, n_components):
    """Yield (index, places, present) for blocks of rows of about the same length.

    `index` are rows, `places` are the positions of the entries of each row, of shape
    (len(index), longest), and `present` marks those that the row has if it is shorter
    than the longest. Rows without entries are left out.
    """
    indptr = rows.indptr
    lengths = indptr.diff().long()
    # A BLAS may round the matrices of a stack differently, depending on the alignment.
    # The stacks are ordered by content, so that the order of the rows does not matter.
    order = torch.argsort(_row_keys(rows), stable=True)
    order = order[torch.argsort(lengths[order], stable=True)]
    in_order = lengths[order].cpu()
    start = int(torch.searchsorted(in_order, 1))
    while start < len(order):
        shortest = int(in_order[start])
        limit = int(LENGTH_RATIO * shortest) + LENGTH_SLACK
        stop = int(torch.searchsorted(in_order, limit, right=True))
        n_rows = max(1, BLOCK_SIZE // (limit * n_components))
        stop = min(stop, start + n_rows)
        index = order[start:stop]
        place = torch.arange(int(in_order[stop - 1]), device=indptr.device)
        present = place < lengths[index][:, None]
        yield index, indptr[index].long()[:, None] + place * present, present
        start = stop


def _row_keys(rows):
    """Hash the entries of each row: int64 tensor of shape (n_rows,)."""
    # The sum of a hash of each entry. Overflow wraps around.
    n_rows, n_entries = rows.indptr.shape[0] - 1, rows.indices.shape[0]
    size = max(1, BLOCK_SIZE * n_rows // max(1, n_entries))
    sums = []
    for start in range(0, max(1, n_rows), size):
        ends = rows.indptr[start : start + size + 1].long()
        entries = slice(int(ends[0]), int(ends[-1]))
        keys = rows.values[entries].float().view(torch.int32).long() * HASH_FACTORS[0]
        keys += rows.indices[entries].long() * HASH_FACTORS[1]
        keys ^= keys >> 32
        keys *= HASH_FACTORS[2]
        up_to = keys.new_zeros(len(keys) + 1)
        torch.cumsum(keys, 0, out=up_to[1:])
        sums.append(up_to[ends - ends[0]].diff())
    return torch.cat(sums)


def _solve_precisely(Y, s, b, p):
    """Compute the same as `_solve`, in float64 for rows whose condition requires it."""
    solution = _solve(Y, s, b, p)
    # The trace bounds the condition of I + S'S, and epsilon times it the error.
    trace = (s.square() * Y.square().sum(dim=2)).sum(dim=1).double()
    rough = torch.finfo(Y.dtype).eps * trace > MAX_LOSS_OF_PRECISION
    if rough.any():
        if torch.finfo(torch.float64).eps * trace.max() > MAX_LOSS_OF_PRECISION:
            raise ValueError(
                "The factors of a row of X cannot be computed, because its confidences "
                f"are too high for its regularization ({float(trace.max()):.3g} times "
                "as high); scale X, or pass a lower a or a greater lambda."
            )
        parts = [None if t is None else t[rough].double() for t in (Y, s, b, p)]
        solution[rough] = _solve(*parts).to(solution.dtype)
    return solution


def _solve(Y, s, b, p):
    """Compute (I + S'S)^-1 (p + Y'b + S's), S = diag(s) Y, for a stack of matrices.

    Y has shape (n_rows, length, n_components), s and b have (n_rows, length), and p is
    None or has (n_rows, n_components). If Y is wide, the inverse is computed from the
    smaller (I + SS')^-1 by the Woodbury identity.
    """
    if Y.shape[1] > Y.shape[2]:
        S = Y * s[:, :, None]
        right = _times(Y.mT, b) + _times(S.mT, s)
        return _cholesky_solve(S.mT @ S, right if p is None else right + p)
    gram = Y @ Y.mT
    right = _times(gram, b) if p is None else _times(gram, b) + _times(Y, p)
    gram *= s[:, :, None] * s[:, None, :]
    x = _times(Y.mT, b + s * _cholesky_solve(gram, s - s * right))
    return x if p is None else x + p


def _times(matrices, vectors):
    """Multiply each matrix of a stack with its vector."""
    return (matrices @ vectors[:, :, None])[:, :, 0]


def _cholesky_solve(gram, right):
    """Solve (I + gram) x = right for a stack of matrices."""
    gram.diagonal(dim1=1, dim2=2).add_(1.0)
    lower = torch.linalg.cholesky_ex(gram).L  # checked by its caller
    return torch.cholesky_solve(right[:, :, None], lower)[:, :, 0]
