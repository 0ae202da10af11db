"""User-item pairs: merge duplicates, drop rare users and items, build a CSR array."""

import numpy as np
from scipy import sparse


def merge_pairs(pairs, weights, order, values):
    """Merge the rows of each distinct pair into one value.

    Parameters
    ----------
    pairs : ndarray of int64 of shape (n_rows,)
        Number of the pair of each row.
    weights : ndarray of shape (n_rows,)
        Weight of each row.
    order : ndarray of shape (n_rows,) or None
        Time of each row; None if the rows are in the order of time.
    values : {"binary", "rating", "count"}
        How to merge rows, as in `load_interactions`.

    Returns
    -------
    distinct : ndarray of int64 of shape (n_pairs,)
        Distinct pairs, sorted.
    data : ndarray of shape (n_pairs,)
        Their values.
    latest : ndarray of int of shape (n_pairs,)
        Index of the latest row of each pair.
    """
    if order is None:
        by_pair = np.argsort(pairs, kind="stable")
    else:
        by_pair = np.lexsort((order, pairs))  # stable: the last row wins a tie
    pairs = pairs[by_pair]
    is_first = np.ones(len(pairs), dtype=bool)
    is_first[1:] = pairs[1:] != pairs[:-1]
    first = np.flatnonzero(is_first)
    latest = by_pair[np.append(first, len(pairs))[1:] - 1]
    if values == "count" and len(pairs):
        data = np.add.reduceat(weights[by_pair].astype(np.float64), first)
    else:
        data = weights[latest]
    return pairs[first], data, latest


def core_pairs(pairs, shape, min_user_items, min_item_users):
    """Find the pairs whose user and item both have enough remaining pairs.

    Parameters
    ----------
    pairs : ndarray of int64 of shape (n_pairs,)
        Distinct pairs, each as ``user * n_items + item``.
    shape : tuple of int
        Number of users and of items.
    min_user_items, min_item_users : int
        Minimum number of pairs of a user, and of an item.

    Returns
    -------
    mask : ndarray of bool of shape (n_pairs,)
        Largest set of pairs in which every user and every item has enough pairs.
    """
    rows, cols = np.divmod(pairs, shape[1])
    alive = np.arange(len(pairs))
    while True:
        n_items = np.bincount(rows[alive], minlength=shape[0])
        n_users = np.bincount(cols[alive], minlength=shape[1])
        enough = (n_items[rows[alive]] >= min_user_items) & (
            n_users[cols[alive]] >= min_item_users
        )
        if enough.all():
            break
        alive = alive[enough]
    mask = np.zeros(len(pairs), dtype=bool)
    mask[alive] = True
    return mask


def csr_from_sorted_pairs(rows, cols, data, shape):
    """Build a canonical csr_array of float32, with int32 indices if they fit.

    Parameters
    ----------
    rows, cols : ndarray of int of shape (n_pairs,)
        Distinct pairs, sorted by row and then by column.
    data : ndarray of shape (n_pairs,)
        Their values, none of them zero.
    shape : tuple of int
        Shape of the matrix.

    Returns
    -------
    matrix : csr_array of float32
    """
    index = np.int32 if max(len(rows), *shape) <= np.iinfo(np.int32).max else np.int64
    indptr = np.zeros(shape[0] + 1, dtype=index)
    np.cumsum(np.bincount(rows, minlength=shape[0]), out=indptr[1:])
    return sparse.csr_array(
        (data.astype(np.float32), cols.astype(index), indptr), shape=shape
    )
