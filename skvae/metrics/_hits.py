"""Ranking metrics, computed from the ranks of each user's relevant items.

Every metric returns one number per user, NaN for a user without relevant items. The
running time grows with the numbers of hits and relevant items, not with the catalogue.
"""

from typing import NamedTuple

import numpy as np

from skvae.utils._sparse import entry_rows, take_entries

GAINS = {
    "binary": np.ones_like,
    "linear": np.positive,
    "exponential": lambda value: np.exp2(value) - 1,
}
DENOMINATORS = ("min_k", "relevant")


class Hits(NamedTuple):
    """The relevant items that a ranking contains, ordered by user and rank.

    ``user``, ``rank`` (from 1), ``value`` (of the item for the user) and ``ordinal``
    (1 for the user's first hit, 2 for the second, and so on) have shape (n_hits,).
    ``truth`` is the CSR matrix of all relevant items, whether ranked or not.
    """

    user: np.ndarray
    rank: np.ndarray
    value: np.ndarray
    ordinal: np.ndarray
    truth: object


def relevant_only(truth, threshold=0):
    """Keep the entries of a canonical CSR whose value is above the threshold."""
    return take_entries(truth, truth.data > threshold)


def find_hits(truth, items):
    """Look up which ranked items are relevant.

    Parameters
    ----------
    truth : csr_matrix or csr_array of shape (n_users, n_items)
        The relevant items, in canonical format.

    items : ndarray of shape (n_users, k), int
        Item indices, best first, each at most once per row; -1 means no item.

    Returns
    -------
    hits : Hits
        Ordered by user, then by rank.

    Raises
    ------
    ValueError
        If an index is out of range or occurs twice in one row.
    """
    check_ranked(items, truth.shape[1])
    # Multiplying a sparse matrix of ranks by one of ones is several times faster
    # than a binary search for every pair.
    is_item = items >= 0
    ranks = np.broadcast_to(np.arange(1, items.shape[1] + 1), items.shape)
    indptr = np.concatenate(([0], np.cumsum(is_item.sum(axis=1))))
    ranking = type(truth)((ranks[is_item], items[is_item], indptr), shape=truth.shape)
    found = ranking.multiply(indicator(truth)).tocsr()
    values = indicator(found).multiply(truth).tocsr()
    for matrix in (found, values):  # then entry i of both is the same pair
        matrix.sort_indices()

    user, rank = entry_rows(found), found.data
    order = np.argsort(user * (items.shape[1] + 1) + rank)
    ordinal = np.arange(1, user.size + 1) - found.indptr[user]
    value = values.data[order].astype(np.float64)
    return Hits(user, rank[order], value, ordinal, truth)


def ndcg(hits, k, gains="binary"):
    """Divide the discounted cumulative gain by that of the best possible ranking."""
    truth, gain = hits.truth, GAINS[gains]
    user, value = entry_rows(truth), truth.data.astype(np.float64)
    if gains != "binary":  # highest gains first; binary gains are all equal
        value = value[np.lexsort((-value, user))]
    ideal_rank = np.arange(1, user.size + 1) - truth.indptr[user]
    with np.errstate(over="ignore"):
        ideal = _dcg(user, ideal_rank, gain(value), k, truth.shape[0])
        if not np.isfinite(ideal).all():
            raise ValueError(
                f"y_true has values up to {value.max():.3g}, whose {gains} gains add "
                'up to infinity; scale y_true or pass gains="binary".'
            )
        dcg = _dcg(hits.user, hits.rank, gain(hits.value), k, truth.shape[0])
    # The ideal DCG is positive for every user with a relevant item.
    return np.divide(dcg, ideal, out=np.full_like(dcg, np.nan), where=ideal > 0)


def recall(hits, k, denominator="min_k"):
    """Divide the hits by the number of relevant items, or by k if that is less."""
    n_relevant = _n_relevant(hits)
    return _per_user(hits, k) / (
        np.minimum(n_relevant, k) if denominator == "min_k" else n_relevant
    )


def precision(hits, k):
    """Divide the hits by k."""
    return np.where(np.isnan(_n_relevant(hits)), np.nan, _per_user(hits, k) / k)


def average_precision(hits, k):
    """Sum the precision at the rank of each hit and divide by min(k, n_relevant)."""
    precision_at_hits = _per_user(hits, k, hits.ordinal / hits.rank)
    return precision_at_hits / np.minimum(_n_relevant(hits), k)


def reciprocal_rank(hits, k):
    """Return one over the rank of the first hit, or 0 if there is no hit."""
    first = _per_user(hits, k, (hits.ordinal == 1) / hits.rank)
    return np.where(np.isnan(_n_relevant(hits)), np.nan, first)


def hit_rate(hits, k):
    """Return 1 for users with a hit, 0 for the others."""
    hit = (_per_user(hits, k) > 0).astype(np.float64)
    return np.where(np.isnan(_n_relevant(hits)), np.nan, hit)


def mean_over_users(per_user):
    """Average over the users whose value is not NaN; NaN if there are none."""
    per_user = per_user[~np.isnan(per_user)]
    return float(per_user.mean()) if per_user.size else float("nan")


def check_ranked(items, n_items):
    """Raise if an item does not exist or occurs twice in one row."""
    if items.size == 0:
        return
    ordered = np.sort(items, axis=1)
    lowest, highest = ordered[:, 0].min(), ordered[:, -1].max()
    if lowest < -1 or highest >= n_items:
        raise ValueError(
            f"Ranked items have indices from {lowest} to {highest} but there are "
            f"{n_items} items; use 0 to {n_items - 1}, and -1 for no item."
        )
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        user, place = np.argwhere(twice)[0]
        raise ValueError(
            f"Item {ordered[user, place]} is ranked twice for user {user}; rank every "
            "item at most once."
        )


def indicator(matrix):
    """Return a CSR matrix with a one at every stored entry of ``matrix``."""
    ones = np.ones(matrix.nnz, dtype=np.int64)
    return type(matrix)((ones, matrix.indices, matrix.indptr), shape=matrix.shape)


def _n_relevant(hits):
    """Count the relevant items; NaN for none, so that quotients become NaN too."""
    n_relevant = np.diff(hits.truth.indptr).astype(np.float64)
    return np.where(n_relevant > 0, n_relevant, np.nan)


def _per_user(hits, k, worth=None):
    """Sum ``worth`` over the hits up to rank k; None counts every hit as 1."""
    return _sum_by_user(hits.user, hits.rank, worth, k, hits.truth.shape[0])


def _dcg(user, rank, gain, k, n_users):
    return _sum_by_user(user, rank, gain / np.log2(rank + 1), k, n_users)


def _sum_by_user(user, rank, worth, k, n_users):
    within = rank <= k
    weights = None if worth is None else worth[within]
    return np.bincount(user[within], weights, minlength=n_users).astype(np.float64)
