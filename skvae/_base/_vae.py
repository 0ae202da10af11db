"""Base class of the estimators around a VAE: fitting, bounds and draws."""

import copy
import os
from abc import abstractmethod
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback

from skvae._base._attribute_types import array, curve, number
from skvae._base._module import fitting, own_validation
from skvae._base._trained import TrainedEstimator
from skvae._nn import (
    VAE,
    antithetic_noise,
    elbo,
    importance_weighted_log_prob,
)
from skvae._training import (
    DISTRIBUTED,
    LR_SCHEDULES,
    ONE_PROCESS,
    Checkpoint,
    RowBatches,
    Stream,
    TrainingState,
    add_counts,
    annealing_steps,
    check_checkpoint,
    check_device,
    check_improved,
    computation,
    count_row_totals,
    count_steps,
    draw_seed,
    get_moments,
    import_for_optimizers,
    join_ranks,
    make_callbacks,
    make_generator,
    make_net,
    resolve_device,
    set_moments,
    train,
)
from skvae.datasets import RowsOnDisk
from skvae.utils._typing import MatrixLike, NDArray
from skvae.utils._validation import check_positive_int

# batch_size="auto": rows in a step at most, and steps in an epoch at least.
MAX_AUTO_BATCH_SIZE, MIN_AUTO_STEPS = 500, 10


def is_variational(estimator):
    """Whether an estimator has a distribution; for `available_if`.

    A fitted one goes by its module, whatever its parameters are now.
    """
    if getattr(estimator, "_module", estimator).variational:
        return True
    raise AttributeError(
        f"A plain autoencoder has no distribution: {type(estimator).__name__} needs "
        "to be fitted with variational=True for this."
    )


def _has_one_beta(estimator):
    if estimator.beta != "auto":
        return True
    raise AttributeError(
        'beta="auto" trains twice, which partial_fit cannot; call fit, or pass a '
        "number as beta."
    )


def _has_totals(module):
    return module.likelihood.given_totals


class BaseVAE(TrainedEstimator):
    """Estimator around a `VAE`.

    A subclass defines how its input is checked (`_check_rows`, `_check_validation`),
    its likelihood (`_make_likelihood`) and the rest of its network (`_architecture`),
    and how validation rows are held out and scored (`_split_validation`,
    `_validation_score`).
    """

    _parameter_constraints: dict = {
        **TrainedEstimator._parameter_constraints,
        "hidden_dropout": [Interval(Real, 0, 1, closed="left")],
        "lr_schedule": [StrOptions(set(LR_SCHEDULES)), Callback, None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "warm_start": ["boolean"],
        "checkpoint": [str, os.PathLike, None],
        "distributed": [StrOptions(set(DISTRIBUTED)), None],
    }

    # The processes of a fit, while it runs.
    _ranks = ONE_PROCESS

    _curves = {**TrainedEstimator._curves, "beta_curve_": "beta"}

    _saved_attributes = {
        **TrainedEstimator._saved_attributes,
        "beta_": number(),
        "beta_curve_": curve("epochs"),
        "_row_totals.values": array(torch.int64, "totals", needed=_has_totals),
        "_row_totals.frequencies": array(torch.int64, "totals", needed=_has_totals),
    }

    # To be defined by a subclass

    @abstractmethod
    def _make_likelihood(self):
        """Return a new likelihood."""

    @abstractmethod
    def _architecture(self):
        """Return the parameters of `VAE` that are not parameters of all estimators."""

    @abstractmethod
    def _split_validation(self, X, seed):
        """Return (X_train, X_val, y_val): some rows of X held out for validation."""

    @abstractmethod
    def _validation_score(self, X_val, y_val):
        """Score the model in `self._module` on checked data; greater is better."""

    # Training

    def _fit(self, X, X_val, y_val):
        """Fit on checked or unchecked rows; documented in `fit` of the subclasses."""
        with fitting(self), self._joined():
            continues = self._continues
            if continues:
                X = self._check_rows_to_continue(X)
            else:
                X = self._check_rows(X, reset=True)
            self._check_settings()
            check_checkpoint(self)
            import_for_optimizers()
            validation, earlier = own_validation(self, X_val, y_val), None
            seed = self._agreed_seed(X, continues)
            validation = self._ranks.validation(validation, self._needs_validation)
            own = {}
            if validation is not None:
                own = dict(zip(("X_val", "y_val"), validation, strict=True))
            checkpoint = Checkpoint(self, seed, self._ranks, X=X, **own)
            seed = checkpoint.seed
            X_train = X
            if validation is None and self._needs_validation:
                X_train, *validation = self._split_validation(X, seed)
            self._remember_totals(X, continues)
            with checkpoint:
                if continues:
                    earlier = self._copy_module()
                else:
                    self._choose_beta(X_train, validation, seed, checkpoint)
                    self._start(seed, X_train)
                self._train(X_train, validation, checkpoint, earlier)
                if self.refit and X_train is not X:
                    self._refit(X, seed, checkpoint)
        return self

    @available_if(_has_one_beta)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: MatrixLike, y: Any = None) -> "BaseVAE":
        """Train for one epoch on these rows, starting from the present model.

        The first call creates a model. `annealing` and `lr_schedule` continue from
        call to call, and from a `fit`, with `max_iter` epochs of the size of the
        latest X as the planned length. After the planned epochs "cosine" stays at a
        tenth of `learning_rate_init`, so that some calls on new rows alone learn what
        is new in them and change other results little. No rows are held out, and
        `checkpoint` is neither read nor written.

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
        RuntimeError
            If a distributed fit has failed in another process, or if that process has
            ended or does not answer. The estimator is then as before.
        """
        with fitting(self), self._joined():
            self._validate_params()  # scikit-learn does so before the first call only
            continues = hasattr(self, "_module")
            X = self._check_rows(X, reset=not continues)
            self._check_settings()
            import_for_optimizers()
            seed = self._agreed_seed(X, continues)
            self._remember_totals(X, continues)
            if continues:
                earlier = self._copy_module()
            else:
                earlier = None
                self._choose_beta(X, None, seed)
                self._start(seed, X)
            self._run(X, 1, new_plan=False, earlier=earlier)
        return self

    @contextmanager
    def _joined(self):
        """Fit together with the other processes that `distributed` asks for."""
        if self.distributed is None:
            yield
            return
        self._ranks = join_ranks(self.distributed)
        try:
            with self._ranks.together():
                yield
        finally:
            del self._ranks

    def _agreed_seed(self, X, continues):
        """Return the seed of the fit, which is the same in all processes."""
        if self.distributed is not None and isinstance(X, RowsOnDisk):
            raise ValueError(
                "X is RowsOnDisk, on which one process trains; set distributed=None, "
                'or pass each process a matrix of its rows, and distributed="sharded".'
            )
        if continues:
            seed, n_steps = self._state.seed, self._state.n_steps
        else:
            seed, n_steps = draw_seed(self.random_state), 0
        return self._ranks.agree(self, X, seed, n_steps)

    @property
    def _min_rows(self):
        """Number of rows that X has at least: a process of several may have none."""
        return 0 if self._ranks.own_rows else 1

    @property
    def _continues(self):
        """Whether `fit` continues from the fitted model."""
        return self.warm_start and hasattr(self, "_module")

    def _check_rows_to_continue(self, X):
        """Validate X for a `fit` that continues from the previous one."""
        try:
            return self._check_rows(X, reset=False)
        except ValueError as error:
            if np.ndim(X) == 2 and np.shape(X)[1] != self.n_features_in_:
                raise ValueError(
                    f"{error} warm_start=True continues the previous fit: pass its "
                    "columns, or set warm_start=False to start afresh."
                ) from error
            raise

    @property
    def _needs_validation(self):
        """Whether `fit` holds out rows if it is given no validation set."""
        return self.early_stopping

    def _choose_beta(self, X, validation, seed, checkpoint=None):
        """Set `beta_`, the cap of the weight of the KL."""
        self.beta_ = float(self.beta) if self.variational else 0.0

    def _train(self, X, validation, checkpoint, earlier):
        """Train the present module, unless a resumed fit had already done so."""
        found = checkpoint.outcome("training")
        if found is None:
            resume = checkpoint.resume("training")
            stop, n_epochs = self.early_stopping, self._plain("max_iter")
            self._run(X, n_epochs, validation, stop, resume, earlier=earlier)
        else:
            vars(self).update(found, best_iter_=int(found["best_iter_"]))

    def _refit(self, X, seed, checkpoint):
        """Train afresh on all rows for the best number of epochs."""
        with self._validation_kept() as found:
            checkpoint.finish("training", **found)
            self._start(seed, X)
            self._run(X, found["best_iter_"], resume=checkpoint.resume("refit"))

    def _remember_totals(self, X, continues):
        """Keep the totals of the training rows if rows are drawn given their total."""
        vars(self).pop("_row_totals", None)
        likelihood = self._module.likelihood if continues else self._make_likelihood()
        if likelihood.given_totals:
            self._row_totals = add_counts(self._ranks.gather(count_row_totals(X)))

    def _start(self, seed, X):
        """Set a new module for rows X, and the attributes of an untrained model."""
        module = self._make_module(make_generator(seed, Stream.INITIAL_WEIGHTS))
        self._start_with(module.to(resolve_device(self.device)), seed)

    def _copy_module(self):
        """Continue with a copy of the module; return the module itself.

        It is kept if this fit fails.
        """
        check_device(self.device)  # not used, because a copy stays where it is
        earlier = self._module
        self._module = copy.deepcopy(earlier)
        return earlier

    def _starting_module(self, X):
        """Make the module as it was before any training on X."""
        return self._make_module(
            make_generator(self._state.seed, Stream.INITIAL_WEIGHTS)
        )

    def _blank_module(self, weights):
        return self._make_module(torch.Generator())

    def _make_module(self, generator):
        """Make the module, with initial weights from `generator`."""
        return VAE(
            self.n_features_in_,
            self._plain("n_components"),
            hidden_layer_sizes=[int(size) for size in self.hidden_layer_sizes],
            activation=self.activation,
            likelihood=self._make_likelihood(),
            variational=self.variational,
            input_dropout=self.dropout,
            hidden_dropout=self.hidden_dropout,
            generator=generator,
            **self._architecture(),
        )

    def _make_batches(self, X):
        """Batches of the rows to train on."""
        return RowBatches(X, self._module_device, for_training=True, ranks=self._ranks)

    def _run(self, X, n_epochs, *args, earlier=None, **kwargs):
        """Train for so many epochs, and keep what was learned if interrupted.

        `earlier` is the module from which training continues. Further arguments are
        those of `_make_net`.
        """
        batches = self._make_batches(X)
        net = self._make_net(len(batches), n_epochs, *args, **kwargs)
        if self._state.optimizer is not None:
            # The moments continue; rate and decay are those of the present parameters.
            moments = copy.deepcopy(self._state.optimizer)  # kept if this fit fails
            set_moments(net.optimizer_, self._module, moments)
        outcome = train(net, batches, n_epochs)
        start = lambda: earlier or self._starting_module(X)  # noqa: E731
        check_improved(net, X, outcome, start, self._ranks)
        state = TrainingState(
            self._state.seed,
            net.epoch_,
            net.step_,
            get_moments(net.optimizer_, self._module),
        )
        self._take_in(outcome, _state=state)
        self._module.eval()
        if outcome.interrupted:
            raise KeyboardInterrupt

    def _make_net(
        self,
        n_rows,
        n_epochs,
        validation=None,
        stop_early=False,
        resume=None,
        *,
        new_plan=True,
    ):
        """Make the net; with a new plan the learning-rate schedule starts again."""
        batch_size, max_iter = self._plain("batch_size"), self._plain("max_iter")
        if batch_size == "auto":
            batch_size = min(MAX_AUTO_BATCH_SIZE, max(1, n_rows // MIN_AUTO_STEPS))
        steps_per_epoch = count_steps(n_rows, batch_size, 1)
        planned_steps = steps_per_epoch * max_iter
        first_step = self._state.n_steps
        if not new_plan:
            first_step -= self._state.n_epochs * steps_per_epoch
        score_function = None
        if validation:  # the net trains this very module, in place
            score = lambda: self._validation_score(*validation)  # noqa: E731
            score_function = lambda: self._ranks.from_first(score)  # noqa: E731
        verbose = self.verbose if self._ranks.is_first else 0
        return make_net(
            self._module,
            seed=self._state.seed,
            beta=self.beta_,
            n_annealing_steps=annealing_steps(self._plain("annealing"), planned_steps),
            precision=self.precision,
            first_epoch=self._state.n_epochs,
            first_step=self._state.n_steps,
            lr=self._plain("learning_rate_init"),
            weight_decay=self.alpha,
            batch_size=batch_size,
            verbose=verbose,
            callbacks=make_callbacks(
                n_epochs,
                planned_steps=planned_steps,
                steps_per_epoch=steps_per_epoch,
                first_step=first_step,
                verbose=verbose,
                description=type(self).__name__,
                lr_schedule=self.lr_schedule,
                score_function=score_function,
                patience=self._plain("n_iter_no_change") if stop_early else None,
                tol=self.tol,
                callbacks=self.callbacks or (),
                resume=resume,
            ),
            **self._ranks.net_options,
        )

    # Inference

    @computation()
    def transform(self, X: MatrixLike) -> NDArray[np.float32]:
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

    @available_if(is_variational)
    def elbo(self, X: MatrixLike, *, n_draws: int = 16) -> NDArray[np.float32]:
        """Evidence lower bound of each row, with the KL at its full weight.

        A lower bound of log p(x), whatever beta the model was trained with: Kingma &
        Welling 2014, eq. 3.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        n_draws : int, default=16
            Draws from the posterior over which the expectation is taken. They are the
            same for all rows and in every call, so that the result is deterministic.

        Returns
        -------
        elbo : ndarray of shape (n_samples,), float32
            In nats.
        """
        return self._over_draws(elbo, X, n_draws)

    @available_if(is_variational)
    def score_samples(self, X: MatrixLike, *, n_draws: int = 64) -> NDArray[np.float32]:
        """Estimate the log-probability of each row by importance sampling.

        The bound of Burda et al. 2016, eq. 8, which rises with `n_draws` toward
        log p(x).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data.
        n_draws : int, default=64
            Draws from the posterior. They are the same for all rows and in every
            call, so that the result is deterministic.

        Returns
        -------
        log_prob : ndarray of shape (n_samples,), float32
            In nats.
        """
        return self._over_draws(importance_weighted_log_prob, X, n_draws)

    @computation("lower n_draws, or pass fewer rows at a time")
    def _over_draws(self, function, X, n_draws):
        check_is_fitted(self)
        n_draws = check_positive_int("n_draws", n_draws)
        X = self._check_rows(X, reset=False)
        log_prob = self._average(function, X, n_draws)
        finite = np.isfinite(log_prob)
        if not finite.all():
            row = int(np.flatnonzero(~finite)[0])
            raise ValueError(
                f"The log-probability of row {row} of X is {log_prob[row]}: values "
                f"up to {X[[row]].max():.3g} are too large for the model to compute "
                "with in float32; scale X."
            )
        return log_prob

    def _average(self, function, X, n_draws):
        """Apply a function of a module, rows and noise to checked rows.

        The noise is the same in every call.
        """
        generator = make_generator(self._state.seed, Stream.EVALUATION)
        noise = antithetic_noise(n_draws, self._module.n_components, generator)
        noise = noise.to(self._module_device)
        return self._gather_rows(X, lambda rows: function(self._module, rows, noise))

    # Draws

    def _draw_codes(self, n_samples, rng):
        """Draw codes from the prior: ndarray of shape (n_samples, n_components).

        Returned with the torch generator that they came from, for the draws of x.
        """
        device = self._module_device
        generator = make_generator(rng.randint(2**31 - 1), device=device)
        z = torch.empty(
            n_samples, self._module.n_components, dtype=torch.float32, device=device
        )
        z.normal_(generator=generator)
        return z.cpu().numpy(), generator

    def _draw_training_totals(self, n_samples, rng):
        """Draw totals of rows as the training rows had them: shape (n_samples,)."""
        values, frequencies = self._row_totals
        return rng.choice(values, n_samples, p=frequencies / frequencies.sum())
