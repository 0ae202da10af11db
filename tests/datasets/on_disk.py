"""Write a CSR in memory to disk, as `convert_interactions` writes rows."""

import numpy as np

from skvae.datasets import RowsOnDisk, _rows_on_disk


def write_rows(X, path, *, form="npy", block_size=None, window=2**24):
    """Write a CSR with ids to a new folder, and open it."""
    path.mkdir()
    users = np.array([f"user {i}" for i in range(X.shape[0])], dtype=object)
    items, lengths = np.arange(100, 100 + X.shape[1]), np.diff(X.indptr)
    weighted = bool((X.data != 1).any())
    writer = _rows_on_disk.RowsWriter(
        path, form, users, items, lengths, weighted=weighted
    )
    writer.write(X, block_size or _rows_on_disk.BLOCK_SIZE)
    writer.close()
    return RowsOnDisk(path, window=window)
