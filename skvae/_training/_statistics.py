"""Statistics of the data from which training starts: moments of columns, totals."""

import numpy as np
import scipy.sparse as sp
import torch

from skvae._training._blocks import csr_of
from skvae._training._ranks import ONE_PROCESS

CHUNK_SIZE = 2**20  # numbers that are held in float64 at a time
MAX_TOTAL = 2**53  # largest total of a row that float64 represents exactly


def column_means(X):
    """Mean of each column: float64 array of shape (n_columns,).

    Parameters
    ----------
    X : CSR matrix or ndarray of shape (n_rows, n_columns)
        Finite.
    """
    if sp.issparse(X):
        return np.asarray(X.mean(axis=0, dtype=np.float64)).ravel()
    return sum(chunk.sum(axis=0) for chunk in _float64_chunks(X)) / X.shape[0]


def column_variances(X, means):
    """Variance of each column: float64 array of shape (n_columns,).

    It is zero if the values of a column do not differ in float32.

    Parameters
    ----------
    X : CSR matrix or ndarray of shape (n_rows, n_columns)
        Finite.
    means : ndarray of shape (n_columns,)
        Result of `column_means`.
    """
    squares = sum(((chunk - means) ** 2).sum(axis=0) for chunk in _float64_chunks(X))
    variances = squares / X.shape[0]
    variances[np.sqrt(variances) <= np.finfo(np.float32).eps * np.abs(means)] = 0.0
    return variances


def starting_outputs(likelihood, X, ranks=ONE_PROCESS):
    """Adapt a likelihood to data, and return outputs that give the column means.

    Parameters
    ----------
    likelihood : Likelihood
        Likelihood of the network that is about to be trained.
    X : CSR matrix or ndarray of shape (n_rows, n_columns)
        Finite, within the range of the likelihood.
    ranks : OneProcess, default=ONE_PROCESS
        The processes among which the rows may be divided.

    Returns
    -------
    outputs : Tensor of shape (n_columns,), float64
    """
    n_own, none = X.shape[0], np.zeros(X.shape[1])
    means = ranks.average(column_means(X) if n_own else none, n_own)
    variances = None
    if likelihood.needs_variances:
        variances = column_variances(X, means) if n_own else none
        variances = ranks.average(variances, n_own)
    if likelihood.non_negative:
        # As if there were one more row with half a count in every column, so that no
        # mean is exactly 0 or 1.
        _, n_rows = ranks.place(n_own)
        means = (n_rows * means + 0.5) / (n_rows + 1)
    return torch.from_numpy(likelihood.start_from(means, variances))


def count_row_totals(X):
    """Return the distinct totals of rows, and how many rows have each of them.

    Parameters
    ----------
    X : CSR matrix or RowsOnDisk of shape (n_rows, n_columns)
        Finite, not negative.

    Returns
    -------
    totals, frequencies : ndarray of shape (n_distinct,), int64
        The totals are sorted, rounded to integers and at most `MAX_TOTAL`.
    """
    counted = [np.unique(_row_totals(part), return_counts=True) for part in csr_of(X)]
    totals, frequencies = map(np.concatenate, zip(*counted, strict=True))
    distinct, places = np.unique(totals, return_inverse=True)
    sums = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(sums, places, frequencies)
    return distinct, sums


def _row_totals(X):
    """Totals of the rows of a CSR, as integers."""
    totals = np.zeros(X.shape[0])
    filled = np.flatnonzero(np.diff(X.indptr))
    # X.sum would compute the sum in the dtype of X.
    totals[filled] = np.add.reduceat(X.data, X.indptr[filled], dtype=np.float64)
    return np.rint(totals).clip(max=MAX_TOTAL).astype(np.int64)


def add_counts(counts):
    """Add up distinct values and their frequencies, as `count_row_totals` returns them.

    Parameters
    ----------
    counts : list of (ndarray, ndarray)
        Values and frequencies of parts of the rows.

    Returns
    -------
    values, frequencies : ndarray of shape (n_distinct,), int64
        Those of all rows.
    """
    values, frequencies = map(np.concatenate, zip(*counts, strict=True))
    values, place = np.unique(values, return_inverse=True)
    added = np.zeros(len(values), dtype=np.int64)
    np.add.at(added, place, frequencies)
    return values, added


def _float64_chunks(X):
    """Yield chunks of the rows of X, dense and in float64."""
    n_rows = max(1, CHUNK_SIZE // X.shape[1])
    for start in range(0, X.shape[0], n_rows):
        chunk = X[start : start + n_rows]
        chunk = chunk.toarray() if sp.issparse(chunk) else chunk
        yield chunk.astype(np.float64)
