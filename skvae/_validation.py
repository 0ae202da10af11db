"""Checks beyond those of scikit-learn, and what a failed fit leaves behind."""

from contextlib import contextmanager
from numbers import Integral

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data
from skorch.callbacks import Callback

from skvae.model_selection._sparse import errors_naming

FLOAT32_MAX = np.finfo(np.float32).max
# Of a latent code, far beyond what any encoder gives: sums of products stay finite.
MAX_ABS_CODE = 1e18
# Of the callbacks that a fit makes itself; see `_training.make_callbacks`.
CALLBACK_NAMES = {
    "best_weights",
    "epoch_timer",
    "lr_schedule",
    "print_log",
    "progress",
    "resume",
    "validation_score",
}


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


def check_float32_range(X, name="X"):
    """Raise a ValueError where a finite float64 would become infinite in float32."""
    values = X.data if sp.issparse(X) else X
    if values.dtype == np.float32 or values.size == 0:
        return
    largest = max(values.max(), -values.min())
    if largest > FLOAT32_MAX:
        raise ValueError(
            f"{name} holds a value of magnitude {largest:.3g}, beyond the range of "
            f"float32 ({FLOAT32_MAX:.3g}) in which the model computes; scale {name}."
        )


def check_codes(Z, n_components):
    """Check latent codes of shape (n_rows, n_components), as `transform` gives them."""
    with errors_naming("Z", Z):
        Z = check_array(Z, dtype=(np.float64, np.float32), input_name="Z")
    largest = max(Z.max(), -Z.min())
    if largest > MAX_ABS_CODE:
        raise ValueError(
            f"Z holds a value of magnitude {largest:.3g}, with which a decoder cannot "
            f"compute (at most {MAX_ABS_CODE:g}); pass what transform returns."
        )
    if Z.shape[1] != n_components:
        raise ValueError(
            f"Z has {Z.shape[1]} columns but the model has {n_components} latent "
            "dimensions; pass what transform returns."
        )
    return Z


def check_layer_sizes(sizes):
    """Raise unless `hidden_layer_sizes` holds widths of layers."""
    try:
        widths = list(sizes)
    except TypeError:  # an array without dimensions is array-like to scikit-learn
        widths = [None]
    if not all(
        isinstance(size, Integral) and not isinstance(size, bool) and size >= 1
        for size in widths
    ):
        raise ValueError(
            f"hidden_layer_sizes={sizes!r} must hold integers of at least 1: one "
            "width for each hidden layer of the encoder, () for none."
        )


def check_callbacks(callbacks):
    """Raise unless `callbacks` holds skorch callbacks, with names or without."""
    for callback in callbacks or ():
        named = (
            isinstance(callback, tuple)
            and len(callback) == 2
            and isinstance(callback[0], str)
        )
        if named and callback[0] in CALLBACK_NAMES:
            raise ValueError(
                f"callbacks holds one named {callback[0]!r}, as is one of the fit's "
                "own; choose another name."
            )
        if not isinstance(callback[1] if named else callback, Callback):
            raise ValueError(
                f"callbacks holds {callback!r}; pass skorch callbacks or pairs of "
                "a name and a callback."
            )


@contextmanager
def restored_on_error(estimator):
    """Put the estimator's attributes back if the block raises an error.

    A fit that fails leaves neither half a model nor the shape of the new data beside
    the old weights. An interruption is no error where a new module stands in
    `_module`: what was learned stays.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException as error:
        learned = vars(estimator).get("_module") is not before.get("_module")
        if isinstance(error, Exception) or not learned:
            vars(estimator).clear()
            vars(estimator).update(before)
        raise
