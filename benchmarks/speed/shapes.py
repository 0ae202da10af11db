"""The matrices of the speed benchmark."""

from pathlib import Path

import numpy as np
import scipy.sparse as sp

ML_20M = (116_677, 20_108, 9_500_000)  # the training users of Liang et al. 2018


def ml_1m(folder):
    """Read the training users of the split of MovieLens 1M: 5,440 x 3,696."""
    path = Path(folder) / "ml-1m-split" / "train.npz"
    return sp.csr_matrix(sp.load_npz(path), dtype=np.float32)


def generated(n_users, n_items, n_interactions, seed=0):
    """Draw interactions of users and items of different activity and popularity.

    The activity of users is log-normal, and the popularity of items is a power of their
    rank, as in MovieLens. Users and items are otherwise independent, because this does
    not matter for speed.

    Returns
    -------
    X : csr_matrix of shape (n_users, n_items), float32
        Ones, with `n_interactions` of them.
    """
    rng = np.random.default_rng(seed)
    zeal = rng.lognormal(sigma=1.0, size=n_users).cumsum()
    popularity = ((np.arange(n_items) + 50.0) ** -1.0).cumsum()
    pairs = np.empty(0, dtype=np.int64)
    while pairs.size < n_interactions:  # pairs drawn twice count once
        n_more = int(1.2 * (n_interactions - pairs.size)) + 100
        users = np.searchsorted(zeal, rng.random(n_more) * zeal[-1])
        items = np.searchsorted(popularity, rng.random(n_more) * popularity[-1])
        pairs = np.unique(np.concatenate([pairs, users * n_items + items]))
    pairs = rng.permutation(pairs)[:n_interactions]
    places = (pairs // n_items, pairs % n_items)
    ones = np.ones(n_interactions, dtype=np.float32)
    return sp.csr_matrix((ones, places), shape=(n_users, n_items))
