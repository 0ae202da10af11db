"""What the estimators around a VAE share: the fit path, and what a fit leaves."""

import copy
import os
from abc import ABCMeta, abstractmethod
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback

from skvae._checkpoint import Checkpoint, check_checkpoint
from skvae._training import (
    BEST_WEIGHTS,
    PRECISIONS,
    RowBatches,
    TrainingState,
    VAENet,
    annealing_steps,
    draw_seed,
    get_moments,
    make_callbacks,
    make_generator,
    resolve_device,
    set_moments,
    train,
)
from skvae._vae_inference import VAEInference
from skvae._validation import (
    check_callbacks,
    check_layer_sizes,
    restored_on_error,
)
from skvae.metrics._validation import check_positive_int
from skvae.nn import ACTIVATIONS, VAE

INITIAL_WEIGHTS = 3  # stream of random numbers; see make_generator
# batch_size="auto": so many rows, or a tenth of them where there are fewer.
MAX_AUTO_BATCH_SIZE = 500
# Names of the parameters that weight decay leaves alone.
NEVER_DECAYED = ("*bias*", "likelihood.*")
VALIDATED = ("validation_scores_", "best_iter_", "best_validation_score_")
OWN = ("X_val", "y_val")  # a validation set of the caller's own


def _has_one_beta(estimator):
    if estimator.beta != "auto":
        return True
    raise AttributeError(
        'beta="auto" trains twice, which partial_fit cannot; call fit, or pass a '
        "number as beta."
    )


class BaseVAE(
    VAEInference,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """Estimator around a `skvae.nn.VAE`.

    A subclass says how its input is checked (`_check_rows`), which likelihood it has
    (`_make_likelihood`) and how a validation set is split off and scored
    (`_split_validation`, `_validation_score`).
    """

    _normalize = False  # scale input rows to unit norm

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "variational": ["boolean"],
        "tied_weights": ["boolean"],
        "initial_log_variance": [Interval(Real, -20, 20, closed="both")],
        "beta": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "annealing": [
            Interval(Integral, 0, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="both"),
        ],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "hidden_dropout": [Interval(Real, 0, 1, closed="left")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "lr_schedule": [StrOptions({"cosine", "plateau"}), Callback, None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "refit": ["boolean"],
        "warm_start": ["boolean"],
        "checkpoint": [str, os.PathLike, None],
        "callbacks": [list, tuple, None],
        "device": [str, torch.device],
        "precision": [StrOptions(set(PRECISIONS))],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # What a subclass says

    @abstractmethod
    def _check_rows(self, X, *, reset):
        """Validate X and return canonical CSR or an array; `reset` as validate_data."""

    @abstractmethod
    def _make_likelihood(self):
        """Return the likelihood object."""

    @abstractmethod
    def _split_validation(self, X, seed):
        """Return (X_train, X_val, y_val): some rows of X held out for validation."""

    @abstractmethod
    def _check_validation(self, X_val, y_val):
        """Validate a validation set of the caller's own; return (X_val, y_val)."""

    @abstractmethod
    def _validation_score(self, X_val, y_val):
        """Score the model in `self._module` on checked data; greater is better."""

    # Training

    def _fit(self, X, X_val, y_val):
        """Fit on checked or unchecked rows; `fit` of the subclasses documents it."""
        with restored_on_error(self):
            goes_on = self._goes_on
            X = self._check_rows(X, reset=not goes_on)
            self._check_settings()
            check_checkpoint(self)
            validation = self._own_validation(X_val, y_val)
            seed = self._state.seed if goes_on else draw_seed(self.random_state)
            own = {} if validation is None else dict(zip(OWN, validation, strict=True))
            checkpoint = Checkpoint(self, seed, X=X, **own)
            seed = checkpoint.seed
            X_train = X
            if validation is None and (
                self.early_stopping or (self.beta == "auto" and self.variational)
            ):
                X_train, *validation = self._split_validation(X, seed)
            self._remember_rows(X)
            with checkpoint:
                if goes_on:
                    self._module = copy.deepcopy(self._module)  # kept if this fit fails
                else:
                    self._choose_beta(X_train, validation, seed, checkpoint)
                    self._start(seed)
                self._train(X_train, validation, checkpoint)
                if self.refit and X_train is not X:
                    self._refit(X, seed, checkpoint)
        return self

    @available_if(_has_one_beta)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None):
        """Train for one epoch on these rows, from where training stands.

        The first call starts a model; `annealing` counts on through the calls, with
        `max_iter` epochs of the size of the latest X as the planned length. No rows
        are held out, and `checkpoint` is neither read nor written.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : Ignored
            Present by convention.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If X cannot be used, or if training diverges. The estimator is then as
            before.
        """
        with restored_on_error(self):
            goes_on = hasattr(self, "_module")
            X = self._check_rows(X, reset=not goes_on)
            self._check_settings()
            self._remember_rows(X)
            if goes_on:
                self._module = copy.deepcopy(self._module)  # kept if this fit fails
            else:
                seed = draw_seed(self.random_state)
                self._choose_beta(X, None, seed)
                self._start(seed)
            self._run(X, n_epochs=1)
        return self

    @property
    def _goes_on(self):
        """Whether `fit` goes on from the model that stands."""
        return self.warm_start and hasattr(self, "_module")

    def _check_settings(self):
        """Check what the parameter constraints cannot say."""
        check_positive_int("n_components", self.n_components)
        check_layer_sizes(self.hidden_layer_sizes)
        check_callbacks(self.callbacks)

    def _own_validation(self, X_val, y_val):
        """Check a validation set of the caller's own: (X_val, y_val), or None."""
        if X_val is not None:
            return self._check_validation(X_val, y_val)
        if y_val is not None:
            raise ValueError("y_val was given without X_val; pass both.")
        return None

    def _choose_beta(self, X, validation, seed, checkpoint=None):
        """Set `beta_`; for "auto", by the search of Liang et al. 2018, section 2.2.2.

        Beta is annealed from 0 to 1 once, and that of the best epoch taken.
        """
        vars(self).pop("beta_path_", None)
        if not self.variational:
            self.beta_ = 0.0
        elif self.beta != "auto":
            self.beta_ = float(self.beta)
        else:
            if checkpoint.outcome("search") is None:
                self.beta_ = 1.0
                self._start(seed)
                resume = checkpoint.resume("search")
                self._run(X, self.max_iter, validation, resume=resume)
                checkpoint.finish(
                    "search",
                    beta=self.beta_curve_,
                    score=self.validation_scores_,
                    best=self.beta_curve_[self.best_iter_ - 1],
                )
            path = dict(checkpoint.outcome("search"))
            self.beta_ = path.pop("best")
            self.beta_path_ = {name: np.array(curve) for name, curve in path.items()}

    def _train(self, X, validation, checkpoint):
        """Train the module that stands, unless a resumed fit had done so already."""
        found = checkpoint.outcome("training")
        if found is None:
            resume = checkpoint.resume("training")
            self._run(X, self.max_iter, validation, self.early_stopping, resume)
        else:
            vars(self).update(found, best_iter_=int(found["best_iter_"]))

    def _refit(self, X, seed, checkpoint):
        """Train afresh on all rows for the best number of epochs."""
        found = {name: getattr(self, name) for name in VALIDATED}
        checkpoint.finish("training", **found)
        self._start(seed)
        try:
            self._run(X, found["best_iter_"], resume=checkpoint.resume("refit"))
        finally:
            vars(self).update(found)

    def _remember_rows(self, X):
        """Keep what the estimator wants to know of its training rows: here nothing."""

    def _start(self, seed):
        """Put a new module in place, with the curves of an untrained model."""
        module = self._make_module(make_generator(seed, INITIAL_WEIGHTS))
        self._module = module.to(resolve_device(self.device))
        self._state = TrainingState(seed)
        self.n_iter_ = 0
        self.loss_curve_, self.reconstruction_curve_ = [], []
        self.kl_curve_, self.beta_curve_ = [], []
        for name in (*VALIDATED, "item_ids_"):
            vars(self).pop(name, None)

    def _blank_module(self, weights):
        """Make a module of the present parameters, to be filled with such weights."""
        return self._make_module(torch.Generator())

    def _make_module(self, generator):
        """Make the module, with its initial weights from `generator`."""
        return VAE(
            self.n_features_in_,
            self.n_components,
            hidden_layer_sizes=self.hidden_layer_sizes,
            activation=self.activation,
            likelihood=self._make_likelihood(),
            variational=self.variational,
            input_dropout=self.dropout,
            hidden_dropout=self.hidden_dropout,
            normalize=self._normalize,
            tied_weights=self.tied_weights,
            initial_log_variance=self.initial_log_variance,
            generator=generator,
        )

    def _run(self, X, n_epochs, validation=None, stop_early=False, resume=None):
        """Train for so many epochs and take in what was learned, interrupted or not."""
        batches = RowBatches(X, self._module_device, for_training=True)
        net = self._make_net(len(batches), n_epochs, validation, stop_early, resume)
        net.initialize()
        if self._state.optimizer is not None:
            # The moments go on; rate and decay are those of the parameters now.
            moments = copy.deepcopy(self._state.optimizer)  # kept if this fit fails
            set_moments(net.optimizer_, self._module, moments)
        interrupted = train(net, batches, n_epochs)
        self._take_in(net)
        if interrupted:
            raise KeyboardInterrupt

    def _make_net(self, n_rows, n_epochs, validation, stop_early, resume=None):
        batch_size = self.batch_size
        if batch_size == "auto":
            batch_size = min(MAX_AUTO_BATCH_SIZE, max(1, n_rows // 10))
        steps_per_epoch = -(-n_rows // batch_size)
        planned_steps = self.max_iter * steps_per_epoch
        device = self._module_device
        return VAENet(
            self._module,
            seed=self._state.seed,
            planned_steps=planned_steps,
            beta=self.beta_,
            n_annealing_steps=annealing_steps(self.annealing, planned_steps),
            cosine=self.lr_schedule == "cosine",
            precision=self.precision,
            first_epoch=self._state.n_epochs,
            first_step=self._state.n_steps,
            optimizer=torch.optim.AdamW,
            optimizer__fused=device.type in ("cpu", "cuda"),
            optimizer__weight_decay=self.alpha,
            optimizer__param_groups=[
                (pattern, {"weight_decay": 0.0}) for pattern in NEVER_DECAYED
            ],
            lr=self.learning_rate_init,
            batch_size=batch_size,
            device=device,
            verbose=int(self.verbose > 1),
            callbacks=make_callbacks(
                n_epochs,
                # The net trains this very module, in place.
                score_function=validation
                and (lambda: self._validation_score(*validation)),
                patience=self.n_iter_no_change if stop_early else None,
                tol=self.tol,
                lr_schedule=self.lr_schedule,
                callbacks=self.callbacks or (),
                verbose=self.verbose,
                description=type(self).__name__,
                resume=resume,
            ),
        )

    def _take_in(self, net):
        """Keep the state and the curves of a run; the module was trained in place."""
        epochs = [epoch for epoch in net.history if "train_loss" in epoch]
        self._module.eval()
        n_before = self.n_iter_
        self._state = TrainingState(
            self._state.seed,
            net.epoch_,
            net.step_,
            get_moments(net.optimizer_, self._module),
        )
        self.n_iter_ = net.epoch_
        self.loss_curve_ = self.loss_curve_ + [e["train_loss"] for e in epochs]
        self.reconstruction_curve_ = self.reconstruction_curve_ + [
            e["train_reconstruction"] for e in epochs
        ]
        self.kl_curve_ = self.kl_curve_ + [e["train_kl"] for e in epochs]
        self.beta_curve_ = self.beta_curve_ + [e["beta"] for e in epochs]
        stopping = dict(net.callbacks_).get(BEST_WEIGHTS)
        if stopping is not None and stopping.best_epoch_:
            earlier = getattr(self, "validation_scores_", [np.nan] * n_before)
            scores = [e["valid_score"] for e in epochs if "valid_score" in e]
            self.validation_scores_ = earlier + scores
            self.best_iter_ = n_before + stopping.best_epoch_
            self.best_validation_score_ = scores[stopping.best_epoch_ - 1]

    def transform(self, X):
        """Posterior mean of each row, or the code of a plain autoencoder.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components), float32
            Latent codes.
        """
        check_is_fitted(self)
        return self._gather_rows(self._check_rows(X, reset=False), self._module.encode)

    @property
    def _n_features_out(self):
        return self._module.n_components

    def __sklearn_tags__(self):
        """Rows may be sparse."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
