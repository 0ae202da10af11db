"""Ranking of float32 on a CPU by sorting integers, which numpy does vectorised."""

import numpy as np

NO_ITEM = np.iinfo(np.int64).min  # sorts behind every key
LAST_COLUMN = 2**32 - 1


def rank_float32(scores, k, least):
    """Rank the scores of each row that reach its bound; ties go to the lowest index.

    Parameters
    ----------
    scores : ndarray of shape (n_users, n_items), float32
        No NaN.
    k : int
        How many.
    least : ndarray of shape (n_users, 1)
        What at least the k best of a row reach, or all that are finite where fewer are.

    Returns
    -------
    items : ndarray of shape (n_users, k), int64
        Columns, best first; -1 at the end where fewer reach the bound.
    best : ndarray of shape (n_users, k), float32
        Their scores; minus infinity for -1.
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
    """Make integers of scores and columns that sort by score, then by column falling.

    The bits of a float32 sort as those of an integer do, but for the negative ones,
    whose order is the reverse.
    """
    bits = (scores + np.float32(0)).view(np.int32)  # minus zero becomes zero
    bits ^= (bits >> 31) & np.int32(0x7FFFFFFF)
    return (bits.astype(np.int64) << 32) | (LAST_COLUMN - columns)


def _unpack(keys):
    """Give (columns, scores) back."""
    bits = (keys >> 32).astype(np.int32)
    bits ^= (bits >> 31) & np.int32(0x7FFFFFFF)
    return LAST_COLUMN - (keys & LAST_COLUMN), bits.view(np.float32)
