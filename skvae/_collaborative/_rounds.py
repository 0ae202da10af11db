"""The rounds of CollaborativeVAE: an epoch of content, then both half-steps."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import scipy.sparse as sp
import torch

from skvae._collaborative._als import (
    half_step,
    inverse_cholesky,
    objective,
    shrinkage,
)
from skvae._collaborative._content import content_net
from skvae._nn import SparseRows
from skvae._training import (
    IndexedBatches,
    Outcome,
    Stream,
    VAENet,
    device_of,
    make_generator,
    stream_seed,
    train,
)
from skvae.metrics._scorer import ranking_scores
from skvae.utils._top_k import rank_batches


@dataclass(frozen=True)
class Validation:
    """A validation set, and the settings of early stopping.

    Parameters
    ----------
    X_val, y_val : CSR of shape (n_val_users, n_items)
        Interactions to fold in, and those held out.
    scoring : str
        Name of the ranking metric.
    patience : int or None
        Rounds without a better score after which training ends; None for no limit.
    tol : float
        Improvement that makes a score a better one.
    """

    X_val: object
    y_val: object
    scoring: str
    patience: int | None
    tol: float

    def score(self, model):
        """Score the rankings of a `FactorModel`."""

        def recommend(
            X, n_items=10, *, exclude_seen=True, candidates=None, return_scores=False
        ):
            return rank_batches(
                model.iter_scores(X),
                X.shape,
                n_items,
                exclude_seen=exclude_seen,
                candidates=candidates,
                return_scores=return_scores,
            )

        ranker = SimpleNamespace(recommend=recommend)
        return ranking_scores(ranker, self.X_val, self.y_val, self.scoring)


def fit_rounds(
    model,
    X,
    features,
    settings,
    *,
    n_rounds,
    seed,
    validation=None,
    callbacks=(),
    verbose=0,
):
    """Initialise the factors of a model, then train them and its content in rounds.

    Parameters
    ----------
    model : FactorModel
        On its device, without factors; trained in place.
    X : CSR of shape (n_users, n_items)
        Interactions, checked.
    features : CSR or ndarray of shape (n_items, n_words), or None
        Content of the items, checked; None if the model has no content model.
    settings : ContentSettings
        Optimiser and schedules of the content model.
    n_rounds : int
        Number of rounds at most; 0 computes factors for the content model as it is.
    seed : int
        Seed of the fit.
    validation : Validation or None, default=None
        With a validation set the model of the best round is kept.
    callbacks : sequence, default=()
        Callbacks of the caller.
    verbose : int, default=0
        As in `CollaborativeVAE`.

    Returns
    -------
    outcome : Outcome
        Records of the rounds. If they were interrupted, the factors have been updated
        for the weights of the content model at that time.
    """
    sweep = Sweep(model, X, features)
    sweep.start(make_generator(seed, Stream.INITIAL_WEIGHTS))
    outcome = Outcome(epochs=[], best_epoch=None, interrupted=False)
    try:
        if n_rounds:
            batches = []
            if features is not None:
                batches = IndexedBatches(features, device_of(model), for_training=True)
            net = content_net(
                model,
                settings,
                net_class=RoundsNet,
                sweep=sweep,
                n_rows=max(1, len(batches)),
                n_epochs=n_rounds,
                seed=stream_seed(seed, Stream.ROUNDS),
                anneal=settings.content_epochs == 0,
                verbose=verbose,
                description="CollaborativeVAE",
                training_of="the content model, in the rounds,",
                callbacks=callbacks,
                **({} if validation is None else _early_stopping(model, validation)),
            )
            outcome = train(net, batches, n_rounds)
            model.eval()
        if outcome.interrupted or not n_rounds:
            sweep()  # update the factors for the current weights
    except KeyboardInterrupt:
        outcome = replace(outcome, interrupted=True)
    return outcome


def _early_stopping(model, validation):
    return {
        "score_function": lambda: validation.score(model),
        "patience": validation.patience,
        "tol": validation.tol,
    }


class RoundsNet(VAENet):
    """Train a `FactorModel`: an epoch of content, then both half-steps.

    Parameters
    ----------
    module : FactorModel
        On its device.
    sweep : Sweep
        Does the half-steps.
    **kwargs
        As in `VAENet`.
    """

    recorded_last = "objective"

    def __init__(self, module, *, sweep, **kwargs):
        super().__init__(module, **kwargs)
        self.sweep = sweep

    def initialize_optimizer(self, *args, **kwargs):
        """Make no optimiser if there are no weights to optimise."""
        if self.module_.content is None:
            self.optimizer_ = None
            return self
        return super().initialize_optimizer(*args, **kwargs)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Train on the content once, then do the half-steps.

        Raises
        ------
        ValueError
            If a loss or the objective is not finite.
        """
        if iterator is None:
            return
        total = 0.0
        if self.module_.content is None:
            self.epoch_ += 1
        else:
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
            epoch = self.history[-1]
            total = epoch["train_reconstruction"] + self.beta * epoch["train_kl"]
            total *= len(iterator)
        total += self.sweep()
        if not np.isfinite(total):
            raise ValueError(
                f"The objective became {total} in round {self.epoch_}: the factors "
                "have grown without bound. Scale X or item_features, or pass "
                "greater lambda_u and lambda_v."
            )
        self.history.record("objective", total)


class Sweep:
    """The half-steps of a round, on interactions that stay on the device.

    Parameters
    ----------
    model : FactorModel
        On its device; its buffers are set in place.
    X : CSR of shape (n_users, n_items)
        Interactions.
    features : CSR or ndarray of shape (n_items, n_words), or None
        Content of the items.
    """

    def __init__(self, model, X, features):
        self.model = model
        self.features = features
        device = device_of(model)
        self.users = _all_rows(X, device)
        self.items = _all_rows(sp.csr_array(X.T), device)
        self.prior = None  # codes of the content
        self.user_factors = None

    @torch.no_grad()
    def start(self, generator):
        """Set the initial factors: codes of the content, or small random numbers."""
        model = self.model
        if self.features is None:
            noise = torch.randn(
                model.item_factors.shape, generator=generator, dtype=torch.float32
            )
            model.item_factors.copy_(noise / noise.shape[1] ** 0.5)
        else:
            model.item_factors.copy_(model.encode(self.features))
        self._solve_users()
        self._set_shrinkage()

    @torch.no_grad()
    def __call__(self):
        """Solve for the items, then for the users, and return the objective."""
        model = self.model
        if self.features is not None:
            self.prior = model.encode(self.features)
        self._set_shrinkage()
        model.item_factors.copy_(
            half_step(
                self.items,
                self.user_factors,
                a=model.a,
                b=model.b,
                regularization=model.lambda_v,
                prior=self.prior,
            )
        )
        self._solve_users()
        return objective(
            self.users,
            self.user_factors,
            model.item_factors,
            a=model.a,
            b=model.b,
            lambda_rows=model.lambda_u,
            lambda_columns=model.lambda_v,
            prior=self.prior,
        )

    def _solve_users(self):
        model = self.model
        shared = {"b": model.b, "regularization": model.lambda_u}
        model.user_inverse.copy_(inverse_cholesky(model.item_factors, **shared))
        self.user_factors = half_step(
            self.users,
            model.item_factors,
            a=model.a,
            **shared,
            inverse=model.user_inverse,
        )

    def _set_shrinkage(self):
        model = self.model
        model.item_shrinkage.copy_(
            shrinkage(self.user_factors, b=model.b, regularization=model.lambda_v)
        )


def _all_rows(X, device):
    """Rows of a CSR matrix as `SparseRows`, which may share its memory on a CPU."""

    def tensor(array, dtype):
        return torch.from_numpy(np.require(array, dtype, "W")).to(device)

    index_dtype = np.int32 if X.nnz <= np.iinfo(np.int32).max else np.int64
    return SparseRows(
        tensor(X.indptr, index_dtype),
        tensor(X.indices, np.int32),
        tensor(X.data, np.float32),
        X.shape[1],
    )
