"""Ranking of float32 scores on a CPU by numpy's vectorised sort of integers."""

import numpy as np

NO_ITEM = np.iinfo(np.int64).min  # smaller than every key
LAST_COLUMN = 2**32 - 1


def rank_float32(scores, k, least):
    """Rank the scores of each row from a bound upwards; ties go to the lowest index.

    Parameters
    ----------
    scores : ndarray of shape (n_users, n_items), float32
        Scores without NaN.
    k : int
        Number of items to rank in each row.
    least : ndarray of shape (n_users, 1)
        A bound that the k best scores of each row reach. If fewer than k scores of a
        row are above minus infinity, these reach it.

    Returns
    -------
    items : ndarray of shape (n_users, k), int64
        Columns, best first, with -1 at the end if fewer than k reach the bound.
    best : ndarray of shape (n_users, k), float32
        Scores of the items; minus infinity for -1.
    """
    n_users, n_items = scores.shape
    found = np.flatnonzero(scores >= least)
    ends = np.searchsorted(found, n_items * np.arange(1, n_users + 1))
    counts = np.diff(ends, prepend=0)
    width = max(k, counts.max(initial=0))
    users = np.arange(n_users)
    columns = found - np.repeat(n_items * users, counts)
    keys = np.full((n_users, width), NO_ITEM)
    slots = np.arange(found.size) + np.repeat(width * users - (ends - counts), counts)
    keys.reshape(-1)[slots] = _pack(scores.reshape(-1)[found], columns)
    keys.sort(axis=1)
    items, best = _unpack(keys[:, : -k - 1 : -1])
    missing = np.arange(k) >= counts[:, None]
    if missing.any():
        items[missing], best[missing] = -1, -np.inf
    return items, best


def _pack(scores, columns):
    """Pack scores and columns in integers; sorted, they have the best score last.

    If scores are equal, the lowest column comes last.

    Read as integers, the bits of positive floats sort like the floats, and those of
    negative floats in reverse, which the exclusive or corrects.
    """
    bits = (scores + np.float32(0)).view(np.int32)  # minus zero becomes zero
    bits ^= (bits >> 31) & np.int32(0x7FFFFFFF)
    return (bits.astype(np.int64) << 32) | (LAST_COLUMN - columns)


def _unpack(keys):
    """Return the columns and scores of packed integers."""
    bits = (keys >> 32).astype(np.int32)
    bits ^= (bits >> 31) & np.int32(0x7FFFFFFF)
    return LAST_COLUMN - (keys & LAST_COLUMN), bits.view(np.float32)
