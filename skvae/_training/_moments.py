"""What is known of the data before training: moments of columns, totals of rows."""

import numpy as np
import scipy.sparse as sp

CHUNK_SIZE = 2**20  # numbers that are held in float64 at a time
MAX_TOTAL = 2**53  # counts of a row beyond which float64 counts no more


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

    It is zero where the values do not differ in float32.

    Parameters
    ----------
    X : CSR matrix or ndarray of shape (n_rows, n_columns)
        Finite.
    means : ndarray of shape (n_columns,)
        As of `column_means`.
    """
    squares = sum(((chunk - means) ** 2).sum(axis=0) for chunk in _float64_chunks(X))
    variances = squares / X.shape[0]
    variances[np.sqrt(variances) <= np.finfo(np.float32).eps * np.abs(means)] = 0.0
    return variances


def count_row_totals(X):
    """Distinct numbers of counts that rows have, and how many rows have each.

    Parameters
    ----------
    X : CSR matrix of shape (n_rows, n_columns)
        Finite, not negative.

    Returns
    -------
    totals, frequencies : ndarray of shape (n_distinct,), int64
        The totals sorted, rounded and at most `MAX_TOTAL`.
    """
    totals = np.zeros(X.shape[0])
    filled = np.flatnonzero(np.diff(X.indptr))
    # X.sum would add up in the dtype of X.
    totals[filled] = np.add.reduceat(X.data, X.indptr[filled], dtype=np.float64)
    totals = np.rint(totals).clip(max=MAX_TOTAL).astype(np.int64)
    return np.unique(totals, return_counts=True)


def _float64_chunks(X):
    """Yield the rows of X some at a time, dense and in float64."""
    n_rows = max(1, CHUNK_SIZE // X.shape[1])
    for start in range(0, X.shape[0], n_rows):
        chunk = X[start : start + n_rows]
        chunk = chunk.toarray() if sp.issparse(chunk) else chunk
        yield chunk.astype(np.float64)
