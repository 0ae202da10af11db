"""Mult-VAE and Mult-DAE for top-N recommendation (Liang et al. 2018)."""

from numbers import Integral, Real

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import _fit_context
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils._param_validation import Interval
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    check_array,
    check_is_fitted,
    check_non_negative,
    validate_data,
)

from skvae._base import BaseVAE, _is_variational
from skvae._recommender import RecommenderMixin
from skvae._training import make_generator
from skvae._validation import check_float32_range
from skvae.metrics._scorer import parse_metrics, ranking_scores
from skvae.model_selection import hold_out_interactions
from skvae.model_selection._sparse import canonical_csr, check_interactions
from skvae.nn import Multinomial


class MultVAERecommender(RecommenderMixin, BaseVAE):
    _normalize = True

    _parameter_constraints: dict = {
        **BaseVAE._parameter_constraints,
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "scoring": [str],
    }

    def __init__(
        self,
        n_components=200,
        *,
        hidden_layer_sizes=(),
        activation="tanh",
        variational=True,
        tied_weights=False,
        beta=0.02,
        annealing=0.8,
        dropout=0.5,
        hidden_dropout=0.0,
        label_smoothing=0.0,
        learning_rate_init=0.002,
        lr_schedule=None,
        alpha=0.0,
        batch_size=500,
        max_iter=100,
        tol=0.0,
        early_stopping=False,
        validation_fraction=0.1,
        scoring="ndcg@100",
        n_iter_no_change=10,
        refit=False,
        warm_start=False,
        callbacks=None,
        device="auto",
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.variational = variational
        self.tied_weights = tied_weights
        self.beta = beta
        self.annealing = annealing
        self.dropout = dropout
        self.hidden_dropout = hidden_dropout
        self.label_smoothing = label_smoothing
        self.learning_rate_init = learning_rate_init
        self.lr_schedule = lr_schedule
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.n_iter_no_change = n_iter_no_change
        self.refit = refit
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, X_val=None, y_val=None):
        """Fit the model to the interactions of users.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions: positive where the user met the item, as 1 or as a count
            that weighs it.
        y : Ignored
            Present by convention.
        X_val : {array-like, sparse matrix} of shape (n_val_users, n_items), \
                default=None
            Interactions of validation users, to be folded in. With a validation set
            the weights of the epoch with the best `scoring` are kept; with
            `early_stopping` the fit ends when they have not improved for
            `n_iter_no_change` epochs.
        y_val : {array-like, sparse matrix} of shape (n_val_users, n_items), \
                default=None
            Held-out interactions of the same users, the truth.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is negative, not finite or without any interaction, if X_val and
            y_val do not fit it, or if training diverges. The estimator is then as
            before.
        """
        parse_metrics(self.scoring)
        return self._fit(X, X_val, y_val)

    def inverse_transform(self, Z):
        """Score all items for given latent codes.

        Parameters
        ----------
        Z : array-like of shape (n_users, n_components)
            Codes, as `transform` returns them.

        Returns
        -------
        scores : ndarray of shape (n_users, n_items), float32
            What `decision_function` gives for users with these codes.
        """
        check_is_fitted(self)
        Z = check_array(Z, dtype=(np.float32, np.float64), input_name="Z")
        check_float32_range(Z, "Z")
        n_components = self._module.n_components
        if Z.shape[1] != n_components:
            raise ValueError(
                f"Z has {Z.shape[1]} columns but the model has {n_components} latent "
                "dimensions; pass what transform returns."
            )
        return self._gather_rows(Z, self._module.decode)

    def _iter_scores(self, X):
        def score(batch):
            return self._module.decode(self._module.encode(batch))

        return self._map_rows(X, score)

    @available_if(_is_variational)
    def sample(self, n_samples=1, *, n_interactions=None, random_state=None):
        """Draw users from the model: z from the prior, then items from p(x given z).

        Parameters
        ----------
        n_samples : int, default=1
            Number of users.
        n_interactions : int or array-like of shape (n_samples,), default=None
            Number N of interactions of each user. None draws it from the numbers that
            the training users had.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        X : csr_array of shape (n_samples, n_items), float32
            Counts. The multinomial draws with replacement, so that an item may come
            more than once.
        """
        check_is_fitted(self)
        n_samples = check_scalar(n_samples, "n_samples", Integral, min_val=1)
        rng = check_random_state(random_state)
        totals = self._draw_totals(n_samples, n_interactions, rng)
        device = self._module_device
        generator = make_generator(rng.randint(2**31 - 1), device=device)
        z = torch.empty(n_samples, self._module.n_components, device=device)
        z.normal_(generator=generator)

        counts = []
        for rows, _, logits in self._map_rows(z.cpu().numpy(), self._module.decode):
            users, items = self._module.likelihood.sample(
                logits, torch.from_numpy(totals[rows]).to(device), generator
            )
            places = users.cpu().numpy(), items.cpu().numpy()
            ones = np.ones(len(places[0]), dtype=np.float32)
            counts.append(sp.csr_array((ones, places), shape=logits.shape))
        return sp.vstack(counts, format="csr")

    def _draw_totals(self, n_samples, n_interactions, rng):
        """Numbers of interactions of `n_samples` users to draw: int64 array."""
        if n_interactions is None:
            values, frequencies = self._row_totals
            return rng.choice(values, n_samples, p=frequencies / frequencies.sum())
        totals = np.broadcast_to(np.asarray(n_interactions), (n_samples,))
        if totals.dtype.kind not in "iu" or (totals < 0).any():
            raise ValueError(
                f"n_interactions={n_interactions!r} must be an integer >= 0, or one "
                "for each sample."
            )
        return totals.astype(np.int64)

    def _remember_rows(self, X):
        totals = np.rint(np.asarray(X.sum(axis=1)).ravel()).astype(np.int64)
        self._row_totals = np.unique(totals, return_counts=True)

    def _check_rows(self, X, *, reset):
        X = validate_data(
            self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=reset
        )
        check_non_negative(X, type(self).__name__)
        check_float32_range(X)
        X = canonical_csr(X)
        if reset and X.nnz == 0:
            raise ValueError(
                "X holds no interactions (every entry is zero); pass a matrix of users "
                "by items with a positive entry where a user met an item."
            )
        return X

    def _make_likelihood(self):
        return Multinomial(self.label_smoothing)

    def _split_validation(self, X, seed):
        """Hold out whole users, and of these a part of the interactions.

        Only users with two interactions or more can be asked anything.
        """
        rng = np.random.RandomState(seed)
        eligible = np.flatnonzero(np.diff(X.indptr) >= 2)
        n_val = int(np.ceil(self.validation_fraction * X.shape[0]))
        n_val = min(n_val, len(eligible))
        if n_val == 0 or X.shape[0] < 2:
            raise ValueError(
                "No users can be held out for validation: X has "
                f"n_samples = {X.shape[0]} users and n_features = {X.shape[1]} items, "
                f"and {len(eligible)} users have two interactions or more. Pass more "
                "data, X_val, or early_stopping=False and a number as beta."
            )
        held_out = np.zeros(X.shape[0], dtype=bool)
        held_out[rng.choice(eligible, n_val, replace=False)] = True
        X_val, y_val = hold_out_interactions(X[held_out], random_state=rng)
        return X[~held_out], X_val, y_val

    def _check_validation(self, X_val, y_val):
        if y_val is None:
            raise ValueError(
                "X_val needs y_val: pass the interactions to fold in as X_val and "
                "those held out as y_val (see model_selection.hold_out_interactions)."
            )
        X_val = self._check_rows(X_val, reset=False)
        y_val = check_interactions(y_val, "y_val")
        if y_val.shape != X_val.shape:
            raise ValueError(
                f"y_val has shape {y_val.shape} but X_val has {X_val.shape}; pass the "
                "held-out interactions of the same users and items."
            )
        if y_val.nnz == 0:
            raise ValueError("y_val holds no interactions, so nothing can be scored.")
        return X_val, y_val

    def _validation_score(self, X_val, y_val):
        return ranking_scores(self._checked_recommender(), X_val, y_val, self.scoring)

    def __sklearn_tags__(self):
        """Interactions are counts."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags
