"""Base class of estimators that train a module in epochs: curves, validation, refit."""

from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions

from skvae._base._attribute_types import count, curve, number
from skvae._base._module import ModuleEstimator
from skvae._nn import ACTIVATIONS
from skvae._training import PRECISIONS, TrainingState, check_callbacks, copy_to_cpu

VALIDATED = ("validation_scores_", "best_iter_", "best_validation_score_")


class TrainedEstimator(ModuleEstimator):
    """Estimator whose module is trained in epochs; their state is in `_state`."""

    # Only what all such estimators share; subclasses add their own.
    _parameter_constraints: dict = {
        **ModuleEstimator._parameter_constraints,
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "variational": ["boolean"],
        "beta": [Interval(Real, 0, None, closed="left")],
        "annealing": [
            Interval(Integral, 0, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="both"),
        ],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "refit": ["boolean"],
        "callbacks": [list, tuple, None],
        "precision": [StrOptions(set(PRECISIONS))],
    }

    # Attribute -> name of the record of each epoch that it lists.
    _curves = {
        "loss_curve_": "train_loss",
        "reconstruction_curve_": "train_reconstruction",
        "kl_curve_": "train_kl",
    }

    _saved_attributes = {
        **ModuleEstimator._saved_attributes,
        "n_iter_": count(),
        "loss_curve_": curve("epochs"),
        "reconstruction_curve_": curve("epochs"),
        "kl_curve_": curve("epochs"),
        "validation_scores_": curve(None, group="validation"),
        "best_iter_": count(group="validation"),
        "best_validation_score_": number(group="validation"),
        "_state.seed": count(),
        "_state.n_epochs": count(),
        "_state.n_steps": count(),
    }

    # Training

    def _check_settings(self):
        super()._check_settings()
        _check_layer_sizes(self.hidden_layer_sizes)
        check_callbacks(self.callbacks)

    def _start_with(self, module, seed):
        """Set a new module, and the attributes of an untrained model.

        What belongs together is set by one update of a dict, which no interruption
        divides.
        """
        for name in (*VALIDATED, "item_ids_"):
            vars(self).pop(name, None)
        new = {"_module": module, "_state": TrainingState(seed), "n_iter_": 0}
        vars(self).update(new | {name: [] for name in self._curves})

    def _take_in(self, outcome, **others):
        """Add the records of a training to the curves and validation scores.

        `others` are further attributes to set, in the same step.
        """
        epochs, n_before = outcome.epochs, self.n_iter_
        new = {"n_iter_": n_before + len(epochs), **others}
        for name, record in self._curves.items():
            values = [epoch[record] for epoch in epochs if record in epoch]
            new[name] = getattr(self, name) + values
        if outcome.best_epoch is not None:
            earlier = getattr(self, "validation_scores_", [np.nan] * n_before)
            scores = [e["valid_score"] for e in epochs if "valid_score" in e]
            new["validation_scores_"] = earlier + scores
            new["best_iter_"] = n_before + outcome.best_epoch
            new["best_validation_score_"] = scores[outcome.best_epoch - 1]
        vars(self).update(new)

    @contextmanager
    def _validation_kept(self):
        """Keep what validation has found through a refit, which starts afresh."""
        found = {name: getattr(self, name) for name in VALIDATED}
        try:
            yield found
        finally:
            vars(self).update(found)

    def __getstate__(self):
        """Copy the state of the training to the CPU too."""
        state = super().__getstate__()
        if "_state" in state:
            state["_state"] = copy_to_cpu(state["_state"])
        return state


def _check_layer_sizes(sizes):
    """Raise a ValueError unless `hidden_layer_sizes` holds widths of layers."""
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
