"""Interactions of users with many items, drawn with tastes and by power laws.

Every user has three of 100 tastes. A taste has items of its own, and draws them with
probabilities that fall with a power of their rank.
"""

from pathlib import Path

import numpy as np
import scipy.sparse as sp

N_TASTES, SHARES_OF_TASTES, EXPONENT = 100, (0.6, 0.3, 0.1), 0.8
BLOCK_USERS = 50_000  # that are drawn at a time


def draw_interactions(n_users, n_items, n_interactions, seed=0):
    """Draw interactions with tastes, block by block: CSR of ones, in float32.

    The numbers of interactions of users are lognormal. Those of items follow power
    laws, in a random order of the columns.
    """
    rng = np.random.default_rng(seed)
    columns = rng.permutation(n_items).astype(np.int32)
    lengths = rng.lognormal(size=n_users)
    lengths *= n_interactions / lengths.sum()
    factor = 1.0  # as a user may draw an item more than once
    for _ in range(3):
        trial = _lengths(lengths[:BLOCK_USERS], factor, n_items)
        n_kept = len(_draw_block(trial, columns, rng)[0])
        factor *= lengths[:BLOCK_USERS].sum() / n_kept
    indices, counts = [], [[0]]
    for start in range(0, n_users, BLOCK_USERS):
        part = _lengths(lengths[start : start + BLOCK_USERS], factor, n_items)
        found = _draw_block(part, columns, rng)
        indices.append(found[0])
        counts.append(found[1])
    indices = np.concatenate(indices)
    indptr = np.concatenate(counts).cumsum().astype(np.int32)
    ones = np.ones(len(indices), dtype=np.float32)
    return sp.csr_array((ones, indices, indptr), shape=(n_users, n_items))


def _lengths(lengths, factor, n_items):
    return np.ceil(factor * lengths).clip(1, n_items // 4).astype(np.int64)


def _draw_block(lengths, columns, rng):
    """Draw the columns of some users, sorted, and the number of them by user."""
    n_items, n_tastes = len(columns), max(1, min(N_TASTES, len(columns) // 20))
    users = np.repeat(np.arange(len(lengths)), lengths)
    tastes = rng.integers(n_tastes, size=(len(lengths), len(SHARES_OF_TASTES)))
    which = np.searchsorted(np.cumsum(SHARES_OF_TASTES)[:-1], rng.random(len(users)))
    # The quantile function of a density that falls with a power of the rank.
    per_taste = n_items // n_tastes
    power = 1 - EXPONENT
    quantile = 1 + rng.random(len(users)) * ((per_taste + 1) ** power - 1)
    rank = np.minimum(quantile ** (1 / power), per_taste).astype(np.int64) - 1
    items = columns[rank * n_tastes + tastes[users, which]]
    cells = np.unique(users * n_items + items)
    counts = np.bincount(cells // n_items, minlength=len(lengths))
    return (cells % n_items).astype(np.int32), counts


def keep_matrix(shape, folder):
    """Draw the matrix of a shape into a folder, unless it is there."""
    path = _path(shape, folder)
    if path.exists():
        return
    X = draw_interactions(*shape)
    path.mkdir(parents=True)
    np.save(path / "indices.npy", X.indices)
    np.save(path / "indptr.npy", X.indptr)


def read_matrix(shape, folder):
    """Read a matrix that `keep_matrix` has drawn."""
    parts = [np.load(_path(shape, folder) / f"{n}.npy") for n in ("indices", "indptr")]
    ones = np.ones(len(parts[0]), dtype=np.float32)
    return sp.csr_array((ones, *parts), shape=tuple(shape[:2]))


def _path(shape, folder):
    return Path(folder, "x".join(map(str, shape)))
