"""The sizes of sparse arrays, for dask."""

import scipy.sparse as sp


def tell_dask_sizes():
    """Tell dask, if it is installed, how large sparse arrays are.

    The Dask backend of joblib sends an argument once and not with every task if dask
    says that it has more than 1 kB. Dask knows the sizes of `csr_matrix`, but takes a
    `csr_array` for an object of 56 bytes.
    """
    try:
        from dask.sizeof import sizeof
    except Exception:  # not installed, or broken; its own users will see the error
        return
    # The classes themselves, as dask remembers what it took for one that it has seen.
    kinds = (sp.bsr_array, sp.coo_array, sp.csc_array, sp.csr_array)

    def sizeof_sparse_array(array):
        return sum(sizeof(value) for value in vars(array).values())

    sizeof.register(kinds, sizeof_sparse_array)
