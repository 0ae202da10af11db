"""Base class of estimators around a torch module: inference, device, pickles, tags."""

import warnings
from abc import ABCMeta, abstractmethod
from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.utils._param_validation import Interval

from skvae._base._attribute_types import count, ids
from skvae._training import (
    computation,
    copy_to_cpu,
    device_of,
    map_rows,
    resolve_device,
)
from skvae._version import __version__
from skvae.utils._validation import check_positive_int


class ModuleEstimator(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """Estimator around a torch module, which is in `_module` once it is fitted."""

    # Only what all such estimators share; subclasses add their own.
    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # What `save_model` writes beside the parameters and the weights. An attribute of
    # an attribute has a dot in its name.
    _saved_attributes = {
        "n_features_in_": count(),
        "feature_names_in_": ids(group="feature names"),
        "item_ids_": ids(group="item ids"),
    }

    # To be defined by a subclass

    @abstractmethod
    def _check_rows(self, X, *, reset):
        """Validate X and return canonical CSR or an array; `reset` as validate_data."""

    @abstractmethod
    def _blank_module(self, weights):
        """Make a module for the present parameters, to be filled with such weights."""

    @abstractmethod
    def _check_validation(self, X_val, y_val):
        """Validate a validation set of the caller's own; return (X_val, y_val)."""

    # Parameters

    def _plain(self, name):
        """Return the value of a parameter, a number of numpy as one of Python.

        The integers of numpy overflow where those of Python do not: np.int8(20) * 10
        is -56. The parameter itself stays what the caller has passed.
        """
        value = getattr(self, name)
        return value.item() if isinstance(value, np.generic) else value

    def _check_settings(self):
        """Check what the parameter constraints cannot express."""
        check_positive_int("n_components", self.n_components)

    # Inference

    def _gather_rows(self, X, function, width=None):
        """Apply `function` to all rows by batches and join the results in an array."""
        parts = [part.cpu() for _, _, part in self._map_rows(X, function, width)]
        return torch.cat(parts).numpy()

    def _map_rows(self, X, function, width=None):
        """Yield (slice, batch, function(batch)) over all rows, without noise.

        `width` is the number of values per row in the widest tensor of the function. On
        an accelerator sparse rows become dense.
        """
        if width is None or self._module_device.type != "cpu":
            width = max(width or 0, self._widest_layer)
        return map_rows(X, function, device=self._module_device, width=width)

    @property
    def _widest_layer(self):
        """Width of the widest tensor of inference, which bounds the rows of a batch."""
        return self.n_features_in_

    @property
    def _n_features_out(self):
        return self._module.n_components

    @property
    def _module_device(self):
        return device_of(self._module)

    def __sklearn_is_fitted__(self):
        """There is a module: after fit, partial_fit, or an interrupted fit."""
        return hasattr(self, "_module")

    def __getstate__(self):
        """Leave out the device: a model trained on a GPU loads without one."""
        state = {**super().__getstate__(), "_skvae_version": __version__}
        if "_module" in state:
            state["_module"] = copy_to_cpu(state["_module"])
        return state

    def __setstate__(self, state):
        """Move to the device again if this machine has it."""
        state = dict(state)
        version = state.pop("_skvae_version", "unknown")
        if version != __version__:
            warnings.warn(
                InconsistentVersionWarning(
                    estimator_name=f"skvae.{type(self).__name__}",
                    current_sklearn_version=__version__,
                    original_sklearn_version=version,
                ),
                stacklevel=2,
            )
        super().__setstate__(state)
        if "_module" in state:
            try:
                device = resolve_device(self.device)
            except ValueError:
                device = torch.device("cpu")
            self._module.to(device)

    def __sklearn_tags__(self):
        """Rows may be sparse."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


@contextmanager
def fitting(
    estimator, to_save_memory="lower batch_size, n_components or hidden_layer_sizes"
):
    """Fit an estimator in the block, and restore it if the block raises an exception.

    A fit that fails leaves neither half a model nor the shape of the new data beside
    the old weights. Only after a KeyboardInterrupt, if there is a new module in
    `_module`, what was learned is kept.
    """
    before = dict(vars(estimator))
    try:
        with computation(to_save_memory):
            yield
    except BaseException as error:
        learned = vars(estimator).get("_module") is not before.get("_module")
        if not (isinstance(error, KeyboardInterrupt) and learned):
            vars(estimator).clear()
            vars(estimator).update(before)
        raise


def own_validation(estimator, X_val, y_val):
    """Check a validation set of the caller's own: (X_val, y_val), or None."""
    if X_val is not None:
        return estimator._check_validation(X_val, y_val)
    if y_val is not None:
        raise ValueError("y_val was given without X_val; pass both.")
    return None
