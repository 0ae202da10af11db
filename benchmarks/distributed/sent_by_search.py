"""How often a search on a cluster sends its matrix.

    python -m benchmarks.distributed.sent_by_search

A grid search of 12 tasks runs on two worker processes of Dask. What the client, the
scheduler and the workers write to their connections is counted, in multiples of the
size of the matrix. For Ray the bytes that
are put into its store are counted.
"""

import contextlib

import scipy.sparse as sp
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV

from skvae.baselines import ItemKNN
from skvae.datasets import load_interactions, make_interactions

GRID = {"shrinkage": [0.0, 1.0, 2.0, 3.0]}
N_FOLDS = 3
N_TASKS = len(GRID["shrinkage"]) * N_FOLDS


def interactions(n_users=5000, n_items=1000):
    """Interactions as `load_interactions` returns them."""
    X = make_interactions(n_users, n_items, random_state=0).matrix.tocoo()
    table = {"user": X.row, "item": X.col}
    return load_interactions(table, user="user", item="item").matrix


def n_bytes(X):
    """Size of the arrays of a CSR matrix."""
    return X.data.nbytes + X.indices.nbytes + X.indptr.nbytes


def search(X, backend, **options):
    """Search on a cluster; return the scores of the candidates."""
    with parallel_config(backend, n_jobs=2, **options):
        grid = GridSearchCV(ItemKNN(20), GRID, cv=N_FOLDS, refit=False).fit(X)
    return grid.cv_results_["mean_test_score"]


@contextlib.contextmanager
def counted_writes():
    """Count the bytes that Dask writes to TCP connections in this process."""
    from distributed.comm.tcp import TCP

    written, write = [], TCP.write

    async def counting(self, *args, **kwargs):
        n = await write(self, *args, **kwargs)
        written.append(n)
        return n

    TCP.write = counting
    try:
        yield written
    finally:
        TCP.write = write


def sent_by_dask(client, X, **options):
    """Copies of X that a search sends, of which one goes from client to scheduler.

    The scheduler must run in the process of the client, as that of a LocalCluster does.
    """

    def outgoing(dask_worker):
        return dask_worker.transfer_outgoing_bytes_total

    def total(written):
        return sum(written) + sum(client.run(outgoing).values())

    with counted_writes() as written:
        before = total(written)
        search(X, "dask", **options)
        return (total(written) - before) / n_bytes(X)


def stored_by_ray(ray):
    """Bytes that were put into the store of Ray since it started."""
    from ray._private.internal_api import (
        get_memory_info_reply,
        get_state_from_address,
    )

    state = get_state_from_address(ray.get_runtime_context().gcs_address)
    return get_memory_info_reply(state).store_stats.cumulative_created_bytes


def forget_sparse_arrays():
    """Let dask take a csr_array for a small object, as it does without skvae."""
    from dask.sizeof import sizeof, sizeof_default

    sizeof.register(sp.csr_array, sizeof_default)


def main():
    """Print the copies by container and options."""
    from distributed import Client, LocalCluster

    from skvae.utils._dask import tell_dask_sizes

    X = interactions()
    print(f"{N_TASKS} tasks, 2 workers, a matrix of {n_bytes(X) / 1e6:.1f} MB")
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    )
    with cluster, Client(cluster) as client:
        search(X[:100], "dask")  # the workers import the package
        forget_sparse_arrays()
        print(f"Dask, csr_array, as dask knows it: {sent_by_dask(client, X):.1f} times")
        tell_dask_sizes()
        matrix = sp.csr_matrix(X)
        print(f"Dask, csr_array: {sent_by_dask(client, X):.1f} times")
        print(f"Dask, csr_matrix: {sent_by_dask(client, matrix):.1f} times")
        copies = sent_by_dask(client, X, scatter=[X])
        print(f"Dask, csr_array, scatter=[X]: {copies:.1f} times")


if __name__ == "__main__":
    main()
