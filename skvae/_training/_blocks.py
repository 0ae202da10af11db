"""Rows on disk in training: their blocks, and batches of them in random order."""

import numpy as np
import scipy.sparse as sp
import torch

from skvae.datasets import RowsOnDisk


def csr_of(X):
    """Iterate over the parts of a matrix as CSR: the blocks on disk, or X itself."""
    if isinstance(X, RowsOnDisk):
        return map(X.block, range(X.n_blocks))
    return iter([X])


def batches_from_disk(X, n_batches, generator):
    """Yield batches of equal sizes, but for one row, of rows in random order.

    A window of blocks in random order is in memory at a time, and its rows are
    permuted.
    """
    windows = _windows(X, generator)
    rows, start = next(windows), 0
    for number in range(n_batches):
        size = len(X) // n_batches + (number < len(X) % n_batches)
        while rows.shape[0] - start < size:
            rows, start = rows[start:], 0  # so that two windows are never held
            rows = sp.vstack([rows, next(windows)], format="csr")
        yield rows[start : start + size]
        start += size


def _windows(X, generator):
    """Yield the rows of some blocks at a time, permuted."""
    sizes = X.sizes()
    order = np.arange(X.n_blocks)
    if X.nnz > X.window:
        order = torch.randperm(X.n_blocks, generator=generator).numpy()
    window, n_left = [], X.window
    for place, number in enumerate(order.tolist(), start=1):
        window.append(X.block(number))
        n_left -= sizes[number][2]
        following = order[place : place + 1].tolist()
        if not following or sizes[following[0]][2] > n_left:
            yield _permuted(window, generator)
            n_left = X.window


def _permuted(blocks, generator):
    """Stack the rows of blocks in random order, and empty the list."""
    rows = sp.vstack(blocks, format="csr")
    blocks.clear()
    return rows[torch.randperm(rows.shape[0], generator=generator).numpy()]
