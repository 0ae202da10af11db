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
    """Raise a ValueError unless the value is a positive integer."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}={value!r}: pass an integer of at least 1.")


def check_choice(name, value, known):
    """Raise a ValueError unless the value is one of the known strings."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name}={value!r} is not known; pass one of {list(known)}.")


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
    """Validate X as scikit-learn does: a CSR matrix, or an array of floats."""
    with errors_naming("X", X):
        return validate_data(
            estimator,
            X,
            accept_sparse="csr",
            dtype=(np.float64, np.float32),
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
