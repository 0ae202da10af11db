"""Check interaction matrices, bring them to canonical CSR, and select entries."""

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.utils import check_array

from skvae.utils._validation import errors_naming


def check_interactions(X, input_name="X"):
    """Check interactions and bring them to CSR without duplicates or explicit zeros.

    Parameters
    ----------
    X : {array-like, sparse matrix, sparse array, dataframe} of shape \
            (n_users, n_items)
        Interactions, finite. It is not touched.

    input_name : str, default="X"
        What the caller calls it, for the errors.

    Returns
    -------
    interactions : csr_matrix or csr_array of shape (n_users, n_items)
        As `canonical_csr` gives them.

    Raises
    ------
    ValueError
        If ``X`` is not two-dimensional, not numeric or not finite.
    """
    with errors_naming(input_name, X):
        X = check_array(
            _in_native_order(X),
            accept_sparse="csr",
            ensure_min_samples=0,
            input_name=input_name,
        )
        return canonical_csr(X)


def _in_native_order(X):
    """Swap bytes where that is needed: older scikit-learn finds no infinity there."""
    dtype = getattr(X, "dtype", None)
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        return X.astype(dtype.newbyteorder("="))
    return X


def canonical_csr(X):
    """Bring a matrix to CSR with its indices sorted, no duplicates, no stored zeros.

    Parameters
    ----------
    X : ndarray, csr_matrix or csr_array of shape (n_users, n_items)
        It is not touched: what is canonical already is returned as it is, and must
        not be written to; what is not is copied.

    Returns
    -------
    interactions : csr_matrix or csr_array of shape (n_users, n_items)
        A csr_matrix for a sparse matrix, else a csr_array. Duplicates are summed,
        where there are any as integers of 64 bits, so that uint8 does not wrap.

    Raises
    ------
    ValueError
        If duplicates add up to infinity, or past the integers of 64 bits.
    """
    if not issparse(X):
        if X.dtype == np.float16:  # which scipy's matrices do not have
            X = X.astype(np.float32)
        return csr_array(X.astype(X.dtype.newbyteorder("="), copy=False))
    if X.has_canonical_format and X.data.all():
        return X
    interactions = X.copy()
    interactions.sum_duplicates()
    if interactions.nnz < X.nnz:
        interactions = _sum_checked(X, interactions)
    interactions.eliminate_zeros()
    return interactions


def _sum_checked(X, summed):
    """Sum the duplicates of X in a dtype that holds them, or say that none does."""
    if X.dtype.kind in "iu":
        wide = np.dtype(np.int64 if X.dtype.kind == "i" else np.uint64)
        # Exact to one part in 1e16: whether 64 bits are too few, it tells.
        if np.abs(_summed_as(np.float64, X).data).max() >= np.iinfo(wide).max:
            raise ValueError(
                f"entries that are stored more than once add up to more than {wide} "
                "holds; scale them."
            )
        summed = _summed_as(wide, X)
    elif not np.isfinite(summed.data).all():
        raise ValueError(
            f"entries that are stored more than once add up to infinity in {X.dtype}; "
            "scale them."
        )
    return summed


def _summed_as(dtype, X):
    # astype of scipy 1.10 sums first, in the old dtype and in place.
    data = X.data.astype(dtype)
    summed = type(X)((data, X.indices, X.indptr), shape=X.shape, copy=True)
    summed.sum_duplicates()
    return summed


def entry_rows(interactions):
    """Give the row of every stored entry of a CSR, in stored order.

    Parameters
    ----------
    interactions : csr_matrix or csr_array of shape (n_users, n_items)
        Any CSR, canonical or not.

    Returns
    -------
    rows : ndarray of shape (nnz,), int64
        Row of each entry of ``interactions.data``.
    """
    return np.repeat(
        np.arange(interactions.shape[0], dtype=np.int64), np.diff(interactions.indptr)
    )


def take_entries(interactions, mask):
    """Keep some of the stored entries of a CSR.

    Parameters
    ----------
    interactions : csr_matrix or csr_array of shape (n_users, n_items)
        Where to take from; it is not touched.

    mask : ndarray of shape (nnz,), bool
        Which entries of ``interactions.data`` to keep.

    Returns
    -------
    kept : csr_matrix or csr_array of shape (n_users, n_items)
        Of the type and the dtypes of ``interactions``.
    """
    n_kept_before = np.concatenate(([0], np.cumsum(mask)))
    indptr = n_kept_before[interactions.indptr].astype(interactions.indptr.dtype)
    return type(interactions)(
        (interactions.data[mask], interactions.indices[mask], indptr),
        shape=interactions.shape,
    )
