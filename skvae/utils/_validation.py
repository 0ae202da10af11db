"""Validation of arguments that scikit-learn does not cover."""

import re
from contextlib import contextmanager
from numbers import Integral

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

FLOAT32_MAX = np.finfo(np.float32).max
# Largest value of a latent code: far above what encoders return, yet small enough that
# the sums of products in a decoder are finite.
MAX_ABS_CODE = 1e18


@contextmanager
def errors_naming(name, value):
    """Add the name of an argument to the errors raised in the block.

    scikit-learn passes on the errors of numpy and torch for values that they cannot
    convert. These do not name the argument, and some of them are neither a ValueError
    nor a TypeError.

    Parameters
    ----------
    name : str
        Name of the argument.

    value : object
        Value of the argument.
    """
    try:
        yield
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        if re.search(rf"\b{name}\b", str(error)):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"{name} is a {type(value).__name__} that cannot be used: {error}"
        ) from error


def check_positive_int(name, value):
    """Return a positive integer as a Python int; else raise a ValueError.

    The integers of numpy have other rules: ``np.int8(10) * 100`` overflows, and
    ``np.uint64(5) + 1.5`` is inexact.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}={value!r}: pass an integer of at least 1.")
    return int(value)


def check_choice(name, value, known):
    """Raise a ValueError unless the value is one of the known strings."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name}={value!r} is not known; pass one of {list(known)}.")


def check_sparse(X, name="X", *, as_floats=False):
    """Check that a matrix, if it is sparse, stores its entries at valid places.

    scipy does not check the indices of compressed formats. With a wrong one it reads
    and writes outside of the matrix, so this comes before any conversion.

    Parameters
    ----------
    X : object
        Anything but a sparse matrix is returned as it is.

    name : str, default="X"
        Name of the argument in error messages.

    as_floats : bool, default=False
        Whether to convert integers to float64. (The method `astype` of scipy 1.10
        first sums the duplicates of the caller's matrix, in their own dtype.)

    Returns
    -------
    X : object
        The same matrix if its format is CSR or CSC, or COO or BSR of floats; otherwise
        CSR. Duplicates are not summed, because integers may overflow.

    Raises
    ------
    ValueError
        If it has one dimension, if an index is not that of a row or column, or if the
        ends of the rows are out of order.
    """
    if not sp.issparse(X):
        return X
    if X.ndim != 2:
        raise ValueError(
            f"{name} is a sparse array of shape {X.shape}, but it must have two "
            f"dimensions. For one row of a matrix pass {name}[[0]] instead of "
            f"{name}[0]."
        )
    if X.format not in ("csr", "csc", "bsr", "coo"):
        with errors_naming(name, X):
            X = X.tocsr()  # these formats are checked after the conversion
    if X.format == "coo":
        _check_coordinates(X, name)
    else:
        _check_compressed(X, name)
        if len(X.data) > X.indptr[-1]:  # leave out the unused space at the end
            X = type(X)((X.data, X.indices, X.indptr), shape=X.shape)
    if X.dtype.kind not in "iu":
        return X
    if X.format in ("bsr", "coo"):
        X = _rows_of_coo(X.tocoo())
    if as_floats:
        data = X.data.astype(np.float64)
        X = type(X)((data, X.indices, X.indptr), shape=X.shape)
    return X


def _check_coordinates(X, name):
    """Check the rows and columns of a COO matrix."""
    if not len(X.row) == len(X.col) == len(X.data):
        raise ValueError(
            f"{name} stores {len(X.data)} values with {len(X.row)} rows and "
            f"{len(X.col)} columns; pass one of each for every entry."
        )
    for axis, indices in (("row", X.row), ("column", X.col)):
        _check_indices(X, indices, axis, name)


def _check_compressed(X, name):
    """Check the indices and the ends of the rows (of the columns for CSC)."""
    axes = ("column", "row") if X.format == "csc" else ("row", "column")
    n_rows, n_columns = X.shape
    if X.format == "bsr":
        n_rows //= X.blocksize[0]
    ends, n_stored = X.indptr, min(len(X.indices), len(X.data))
    expected = (n_columns if X.format == "csc" else n_rows) + 1
    fault = None
    if len(ends) != expected:
        fault = f"has {len(ends)} values instead of {expected}"
    elif ends[0] != 0:
        fault = f"starts with {ends[0]} instead of 0"
    elif (ends[1:] < ends[:-1]).any():
        first = int(np.argmax(ends[1:] < ends[:-1]))
        fault = (
            f"decreases from {ends[first]} to {ends[first + 1]} at {axes[0]} {first}"
        )
    elif ends[-1] > n_stored:
        fault = f"ends with {ends[-1]} but {n_stored} entries are stored"
    if fault is not None:
        raise ValueError(
            f"{name} is a damaged {X.format.upper()} matrix: its indptr {fault}. Make "
            f"the matrix again, for instance as coo_array((data, (rows, columns)), "
            f"shape={X.shape})."
        )
    _check_indices(X, X.indices[: ends[-1]], axes[1], name)


def _check_indices(X, indices, axis, name):
    """Raise a ValueError unless all indices are rows, or columns, of X."""
    n = X.shape[axis == "column"]
    if X.format == "bsr":
        n //= X.blocksize[1]
        axis = "column of blocks"
    if len(indices) == 0 or (indices.min() >= 0 and indices.max() < n):
        return
    first = int(np.argmax((indices < 0) | (indices >= n)))
    where = ""
    if X.format != "coo":
        line = int(np.searchsorted(X.indptr, first, side="right")) - 1
        where = f" (in column {line})" if X.format == "csc" else f" (in row {line})"
    raise ValueError(
        f"{name} of shape {X.shape} stores its entry {first}{where} at {axis} "
        f"{indices[first]}, but there are {n}, numbered from 0 to {n - 1}. Pass "
        "indices in this range, or a larger shape; if they were counted from 1, "
        "subtract 1."
    )


def _rows_of_coo(X):
    """Convert COO to CSR without summing duplicates."""
    # Transposing one entry per row sorts the entries by row, in linear time.
    n_rows, n_entries = X.shape[0], len(X.data)
    n = np.arange(n_entries + 1)
    by_row = sp.csr_array((n[:-1], X.row, n), shape=(n_entries, n_rows)).tocsc()
    kind = sp.csr_array if isinstance(X, sp.coo_array) else sp.csr_matrix
    order = by_row.data
    return kind((X.data[order], X.col[order], by_row.indptr), shape=X.shape)


def check_float32_range(X, name="X"):
    """Raise a ValueError if a finite value would become infinite in float32."""
    values = X.data if sp.issparse(X) else X
    if values.dtype == np.float32 or values.size == 0:
        return
    largest = max(values.max(), -values.min())
    if largest > FLOAT32_MAX:
        raise ValueError(
            f"{name} holds a value of magnitude {largest:.3g}, beyond the range of "
            f"float32 ({FLOAT32_MAX:.3g}), in which the model computes; scale {name}."
        )


def check_input(estimator, X, *, reset):
    """Validate X as scikit-learn does: a CSR matrix, or an array of floats.

    It has at least one row, or `_min_rows` if the estimator has this attribute.
    """
    with errors_naming("X", X):
        return validate_data(
            estimator,
            check_sparse(X, as_floats=True),
            accept_sparse="csr",
            dtype=(np.float64, np.float32),
            ensure_min_samples=getattr(estimator, "_min_rows", 1),
            reset=reset,
        )


def check_codes(Z, n_components):
    """Validate latent codes of shape (n_rows, n_components)."""
    with errors_naming("Z", Z):
        Z = check_array(Z, dtype=(np.float64, np.float32), input_name="Z")
    largest = max(Z.max(), -Z.min())
    if largest > MAX_ABS_CODE:
        raise ValueError(
            f"Z holds a value of magnitude {largest:.3g}, above the limit of "
            f"{MAX_ABS_CODE:g} for a decoder; pass codes that transform returned."
        )
    if Z.shape[1] != n_components:
        raise ValueError(
            f"Z has {Z.shape[1]} columns but the model has {n_components} latent "
            "dimensions; pass codes that transform returned."
        )
    return Z
