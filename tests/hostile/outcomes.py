"""Check the outcome of a call: a finite result, or an error that names the argument.

In both cases the caller's data, random state and estimator must be unchanged.
"""

import hashlib
import inspect
import random
import re
import warnings
from dataclasses import fields, is_dataclass

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import (
    ConvergenceWarning,
    DataConversionWarning,
    NotFittedError,
)

REFUSALS = (ValueError, TypeError, NotFittedError)
DOCUMENTED_WARNINGS = (ConvergenceWarning, DataConversionWarning)
DOCUMENTED_TEXTS = (
    "X goes up to",  # of the bernoulli likelihood
    "X does not have valid feature names",
    "X has feature names, but",
    "invalid value encountered in reduce",  # scikit-learn adds inf to -inf
    "of the test scores are non-finite",  # nothing could be held out
)
# Messages of other packages that explain the error without the name of an argument.
ACCEPTED = (
    "cannot be used to seed a numpy.random.RandomState instance",
    "Seed must be between 0 and 2**32 - 1",
    "Negative values in data passed to",  # scikit-learn
    "Found duplicate user-set callback name",  # skorch
    # About rankings, whichever argument they were passed as.
    "Ranked items have indices from",
    "is ranked twice for user",
    "Scores contain NaN",
)
# Internal messages of numpy, scipy, torch and Python, which do not help the user.
BARE = (
    "expected scalar type",
    "expected input",
    "mat1 and mat2",
    "shape mismatch",
    "size mismatch",
    "could not be broadcast",
    "cannot broadcast",
    "inhomogeneous",
    "index out of range",
    "out of bounds",
    "unsupported operand",
    "not supported between instances",
    "has no attribute",
    "is not iterable",
    "is not subscriptable",
    "of unsized object",
    "iteration over a 0-d",
    "truth value",
    "must be real number",
    "zero-size array",
    "need at least one array",
    "can't convert np.ndarray",
    "Traceback",
    "ufunc",
    "isnan",
)


class Refused:
    """The error that a call raised, after its message was checked."""

    def __init__(self, error):
        self.error = error

    def __repr__(self):
        return f"Refused({self.error!r})"


def attempt(function, *args, also=(), names=(), **kwargs):
    """Call a function with hostile arguments and check the outcome.

    Parameters
    ----------
    function : callable
        Function or method. The estimator of a method must not change unless the method
        is a fit that succeeds.
    also : tuple of exception types
        Documented exceptions of this function, in addition to those of all functions.
    names : sequence of str
        Names that an error may mention instead of a parameter of the function.

    Returns
    -------
    result : object
        What the function returned, or a `Refused`.
    """
    owner = getattr(function, "__self__", None)
    estimator = owner if isinstance(owner, BaseEstimator) else None
    seeds = [kwargs.get("random_state", 0), getattr(estimator, "random_state", 0)]
    draws_from_numpy = any(seed is None or seed is np.random for seed in seeds)
    given, state = fingerprint((args, kwargs)), fingerprint(estimator)
    before = random_state_of_the_process(draws_from_numpy)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function(*args, **kwargs)
        except (*REFUSALS, *also) as error:
            result = Refused(error)
            if not isinstance(error, also):
                check_refusal(error, _names(function, estimator) | set(names))
    assert random_state_of_the_process(draws_from_numpy) == before, (
        "the caller's random state has changed"
    )
    assert fingerprint((args, kwargs)) == given, "the caller's data have changed"
    fits = "fit" in getattr(function, "__name__", "")
    if isinstance(result, Refused) or not fits:
        assert fingerprint(estimator) == state, "the estimator has changed"
    for warning in caught:
        documented = isinstance(warning.message, DOCUMENTED_WARNINGS) or any(
            text in str(warning.message) for text in DOCUMENTED_TEXTS
        )
        assert documented, f"{warning.category.__name__}: {warning.message}"
    return result


def check_refusal(error, names):
    """Raise an AssertionError unless the message names what was wrong."""
    message = str(error)
    named = (
        any(text in message for text in ACCEPTED)
        or any(re.search(rf"(?<!\w){re.escape(name)}", message) for name in names)
        or re.search(r"\b[XyZU]\b", message)
    )
    # Quotations of numpy and others come after the package's own words.
    told = re.split(r" that cannot be used: |\(", message)[0]
    if not named or any(text in told for text in BARE):
        raise AssertionError(
            f"{type(error).__name__} does not say what is wrong: {message!r}"
        ) from error


def check_floats(result, shape, dtype=np.float32, *, name="result"):
    """Assert that the result is a finite array of this shape and dtype."""
    assert isinstance(result, np.ndarray), f"{name} is a {type(result).__name__}"
    assert result.shape == shape, f"{name} has shape {result.shape}, not {shape}"
    assert result.dtype == dtype, f"{name} has dtype {result.dtype}"
    assert np.isfinite(result).all(), f"{name} is not finite: {result}"


def check_ranking(items, n_users, n_items, n_catalogue, scores=None):
    """Assert that these are items of a catalogue, with -1 only at the end of a row."""
    assert items.shape == (n_users, n_items)
    assert items.dtype == np.int64
    assert ((items >= -1) & (items < n_catalogue)).all()
    none = items == -1
    assert (none[:, 1:] >= none[:, :-1]).all()
    for row in items:
        row = row[row >= 0]
        assert len(np.unique(row)) == len(row)
    if scores is not None:
        assert scores.shape == items.shape
        assert (np.isneginf(scores) == none).all()
        assert np.isfinite(scores[~none]).all()


def check_fitted(estimator):
    """Assert that all fitted attributes are finite."""
    for name, value in vars(estimator).items():
        if isinstance(value, torch.nn.Module):
            for key, tensor in value.state_dict().items():
                assert torch.isfinite(tensor).all(), f"{name}.{key} is not finite"
        elif name.endswith("_") and name not in ("feature_names_in_",):
            for array in value.values() if isinstance(value, dict) else [value]:
                assert np.isfinite(array).all(), f"{name} is not finite: {array}"


def _names(function, estimator):
    """Return the names that an error may use for an invalid argument."""
    parameters = set(inspect.signature(function).parameters)
    if estimator is not None:
        parameters |= set(estimator.get_params(deep=False))
    # Short names, which may be English words, must be followed by "=".
    names = {f"{p}=" if len(p) < 5 else p for p in parameters}
    names |= {f"{p!r} parameter" for p in parameters}  # as in scikit-learn
    called = {getattr(function, "__name__", ""), type(estimator).__name__}
    return names | {"Metric "} | called - {"", "NoneType"}


def random_state_of_the_process(draws_from_numpy):
    """Digest the states of global generators; numpy's only if it must not change."""
    states = [random.getstate(), torch.get_rng_state().numpy().tobytes()]
    if not draws_from_numpy:
        states.append(np.random.get_state()[1:3])
    return fingerprint(states)


def fingerprint(thing):
    """Compute a digest of an object's content: buffers, names, dtypes and flags."""
    return hashlib.sha1(repr(_contents(thing)).encode()).hexdigest()


def _contents(thing):
    if isinstance(thing, np.ma.MaskedArray):
        return "masked", _contents(thing.data), _contents(thing.mask)
    if isinstance(thing, np.ndarray):
        layout = thing.shape, thing.strides, str(thing.dtype), thing.flags.writeable
        if thing.dtype == object:
            return layout, [_contents(value) for value in thing.ravel().tolist()]
        base = thing.base if isinstance(thing.base, np.ndarray) else thing
        return layout, thing.tobytes(), base.tobytes()
    if sp.issparse(thing):
        if thing.format in ("lil", "dok"):
            stored = sorted(thing.todok().items()), str(thing.dtype)
        else:
            arrays = ("data", "indices", "indptr", "row", "col", "offsets")
            stored = [_contents(getattr(thing, name, None)) for name in arrays]
        return type(thing).__name__, thing.shape, stored
    if isinstance(thing, torch.Tensor):
        values = thing.detach().cpu()
        values = values.to_dense() if values.layout != torch.strided else values
        return thing.requires_grad, thing.grad is None, _contents(values.numpy())
    if isinstance(thing, torch.nn.Module):
        return [(name, _contents(t)) for name, t in thing.state_dict().items()]
    if isinstance(thing, pd.DataFrame):
        columns = [_contents(thing.iloc[:, i]) for i in range(thing.shape[1])]
        return list(thing.columns), repr(thing.index), columns
    if isinstance(thing, pd.Series):
        return thing.name, str(thing.dtype), repr(thing.tolist())
    if isinstance(thing, pl.DataFrame):
        return repr(thing.schema), [repr(column.to_list()) for column in thing]
    if isinstance(thing, BaseEstimator):
        return type(thing).__name__, _contents(vars(thing))
    if isinstance(thing, dict):
        return [(str(key), _contents(value)) for key, value in thing.items()]
    if isinstance(thing, (list, tuple)):
        return [_contents(value) for value in thing]
    if is_dataclass(thing) and not isinstance(thing, type):
        return [_contents(getattr(thing, field.name)) for field in fields(thing)]
    if isinstance(thing, np.random.RandomState):
        return "RandomState"  # drawing from it changes it
    return type(thing).__name__, repr(thing)
