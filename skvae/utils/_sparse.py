"""Functions to check interactions, convert them to CSR and select entries."""

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.utils import check_array

from skvae.utils._validation import check_sparse, errors_naming


def check_interactions(X, input_name="X"):
    """Check interactions and convert them to CSR without duplicates or stored zeros.

    Parameters
    ----------
    X : {array-like, sparse matrix, sparse array, dataframe} of shape \
            (n_users, n_items)
        Interactions, finite. It is not modified.

    input_name : str, default="X"
        Name of the argument in error messages.

    Returns
    -------
    interactions : csr_matrix or csr_array of shape (n_users, n_items)
        As `canonical_csr` returns them.

    Raises
    ------
    ValueError
        If ``X`` is not two-dimensional, not numeric or not finite, or if it is sparse
        with an index that is out of range.
    """
    with errors_naming(input_name, X):
        X = check_array(
            _in_native_order(check_sparse(X, input_name)),
            accept_sparse="csr",
            ensure_min_samples=0,
            input_name=input_name,
        )
        return canonical_csr(X)


def _in_native_order(X):
    """Convert to native byte order; else older scikit-learn overlooks infinity."""
    dtype = getattr(X, "dtype", None)
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        return X.astype(dtype.newbyteorder("="))
    return X


def canonical_csr(X):
    """Convert a matrix to CSR with sorted indices, no duplicates and no stored zeros.

    Parameters
    ----------
    X : ndarray, csr_matrix or csr_array of shape (n_users, n_items)
        It is not modified. If it is canonical already, it is returned itself, so the
        result must not be modified; otherwise it is copied.

    Returns
    -------
    interactions : csr_matrix or csr_array of shape (n_users, n_items)
        A csr_matrix if X is a sparse matrix, else a csr_array. Duplicates are summed;
        if there are any, integers become 64-bit integers, so that they do not overflow.

    Raises
    ------
    ValueError
        If the sum of duplicates is infinite or overflows 64-bit integers.
    """
    if not issparse(X):
        if X.dtype == np.float16:  # scipy's sparse matrices do not support it
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
    """Sum the duplicates of X in a dtype that holds the sums, else raise."""
    if X.dtype.kind in "iu":
        wide = np.dtype(np.int64 if X.dtype.kind == "i" else np.uint64)
        # Sums in float64 are exact enough to decide whether 64-bit integers overflow.
        if np.abs(_summed_as(np.float64, X).data).max() >= np.iinfo(wide).max:
            raise ValueError(
                f"entries that are stored more than once add up to more than {wide} "
                "can hold; scale them."
            )
        summed = _summed_as(wide, X)
    elif not np.isfinite(summed.data).all():
        raise ValueError(
            f"entries that are stored more than once add up to infinity in {X.dtype}; "
            "scale them."
        )
    return summed


def _summed_as(dtype, X):
    # X.astype of scipy 1.10 would first sum in the old dtype and in place.
    data = X.data.astype(dtype)
    summed = type(X)((data, X.indices, X.indptr), shape=X.shape, copy=True)
    summed.sum_duplicates()
    return summed


def entry_rows(interactions):
    """Return the row of every stored entry of a CSR matrix, in stored order.

    Parameters
    ----------
    interactions : csr_matrix or csr_array of shape (n_users, n_items)
        Any CSR matrix, canonical or not.

    Returns
    -------
    rows : ndarray of shape (nnz,), int64
        Row of each entry of ``interactions.data``.
    """
    return np.repeat(
        np.arange(interactions.shape[0], dtype=np.int64), np.diff(interactions.indptr)
    )


def take_entries(interactions, mask):
    """Return a CSR matrix with some of the stored entries of another.

    Parameters
    ----------
    interactions : csr_matrix or csr_array of shape (n_users, n_items)
        The matrix to select from. It is not modified.

    mask : ndarray of shape (nnz,), bool
        Which entries of ``interactions.data`` to keep.

    Returns
    -------
    kept : csr_matrix or csr_array of shape (n_users, n_items)
        The selected entries, of the same type and dtypes.
    """
    n_kept_before = np.concatenate(([0], np.cumsum(mask)))
    indptr = n_kept_before[interactions.indptr].astype(interactions.indptr.dtype)
    return type(interactions)(
        (interactions.data[mask], interactions.indices[mask], indptr),
        shape=interactions.shape,
    )
