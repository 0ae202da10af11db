"""A blend of recommenders by their standardised scores."""

from collections.abc import Sequence
from itertools import combinations
from math import comb
from numbers import Real
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from sklearn.base import _fit_context, clone
from sklearn.utils import Bunch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import _BaseComposition

from skvae._base._module import fitting, own_validation
from skvae._base._recommender import (
    MAX_VALIDATION_USERS,
    RecommenderMixin,
    hold_out_users,
)
from skvae._training import RowBatches, draw_seed
from skvae.metrics._scorer import parse_metrics, ranking_scores
from skvae.model_selection._top_items import row_chunks
from skvae.utils._typing import ArrayLike, MatrixLike, RandomState

# Steps from no weight to all weight, and settings of the grid of weights, at most.
MAX_STEPS, MAX_SETTINGS = 20, 150


class BlendRecommender(RecommenderMixin, _BaseComposition):
    """Recommend by the weighted sum of the scores of several recommenders.

    Recommenders that err differently rank better together than each alone. For each
    user, the scores of a recommender are standardised over the catalogue, to a mean of
    zero and a standard deviation of one, before they are weighted and added.

    Parameters
    ----------
    estimators : list of (str, estimator)
        Names and recommenders, which are cloned and fitted to X alone, without
        content of items: any estimators with `decision_function(X)` of shape
        (n_users, n_items), pipelines too. Their parameters can be set, as in
        ``blend.set_params(vae__beta=0.1)``, and one is left out by
        ``blend.set_params(vae="drop")``.

    weights : array-like of shape (n_estimators,) or "auto", default="auto"
        Weights of the recommenders that are not dropped. Only their ratios matter.
        "auto" takes those of a grid that rank best for users who are held out, with
        recommenders that were fitted without these. That fits each of them twice.

    validation_fraction : float, default=0.2
        Share of the users that "auto" holds out, up to 500 users. The recommenders
        are then fitted again on all users.

    scoring : str, default="ndcg@100"
        Metric by which "auto" chooses: a mean over users, as for
        :func:`make_ranking_scorer`.

    random_state : int, RandomState instance or None, default=None
        Seed of the choice of users. The recommenders have their own.

    verbose : int, default=0
        Whether to print which recommender is being fitted.

    Attributes
    ----------
    estimators_ : list of estimators
        Fitted recommenders, without those that are dropped.

    named_estimators_ : :class:`~sklearn.utils.Bunch`
        The same by name.

    weights_ : ndarray of shape (n_estimators,)
        Weights, with a sum of 1.

    best_validation_score_ : float
        Score of the users who were held out. Only if the weights of two recommenders
        or more were "auto".

    n_features_in_ : int
        Number of items.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the items, if `X` was a dataframe with string column names.

    See Also
    --------
    LinearVAERecommender : A recommender that is fitted in seconds.
    sklearn.ensemble.VotingClassifier : The same interface for classifiers.

    Examples
    --------
    >>> from skvae import BlendRecommender, LinearVAERecommender
    >>> from skvae.baselines import EASE
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(300, 50, random_state=0).matrix
    >>> blend = BlendRecommender(
    ...     [("linear", LinearVAERecommender(10, random_state=0)), ("ease", EASE())],
    ...     random_state=0,
    ... ).fit(X)
    >>> blend.recommend(X[:2], n_items=3).shape
    (2, 3)
    """

    _parameter_constraints: dict = {
        "estimators": [list],
        "weights": ["array-like", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "scoring": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimators: Sequence[tuple[str, Any]],
        *,
        weights: ArrayLike | str = "auto",
        validation_fraction: float = 0.2,
        scoring: str = "ndcg@100",
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.estimators = estimators
        self.weights = weights
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.random_state = random_state
        self.verbose = verbose

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters, with `deep` those of the recommenders too.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return the recommenders by their names, and their parameters.

        Returns
        -------
        params : dict
            Parameters by name.
        """
        return self._get_params("estimators", deep=deep)

    def set_params(self, **params: Any) -> "BlendRecommender":
        """Set parameters, recommenders by their names, and their parameters.

        Parameters
        ----------
        **params : dict
            As ``vae=estimator``, ``vae="drop"`` or ``vae__beta=0.1``.

        Returns
        -------
        self : object
            The blend.
        """
        self._set_params("estimators", **params)
        return self

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: MatrixLike,
        y: Any = None,
        *,
        X_val: MatrixLike | None = None,
        y_val: MatrixLike | None = None,
    ) -> "BlendRecommender":
        """Fit the recommenders, and find the weights.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions.
        y : Ignored
            Present by convention.
        X_val : {array-like, sparse matrix} of shape (n_val_users, n_items), \
                default=None
            Interactions to fold in for validation, by which weights are found. The
            recommenders are then fitted once, on X. Not used if weights are given.
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
            If X is not fit for a recommender or a table with one row per interaction,
            if there is no recommender or a name is not unique, if the weights do not
            fit them, or if no users can be held out.
        """
        parse_metrics(self.scoring)
        with fitting(self):
            X = self._check_rows(X, reset=True)
            names, models = self._check_estimators()
            automatic = isinstance(self.weights, str)
            weights = np.ones(len(models))
            if not automatic:
                weights = self._check_weights(len(models))
            X_train, validation = X, own_validation(self, X_val, y_val)
            if automatic and validation is None and len(models) > 1:
                X_train, *validation = self._hold_out(X)
            self.__dict__.pop("best_validation_score_", None)
            fitted = self._fit_all(names, models, X_train)
            if automatic and len(models) > 1:
                weights, self.best_validation_score_ = _best_weights(
                    fitted, validation, self.scoring
                )
            if X_train is not X:
                del fitted  # of the memory for both
                fitted = self._fit_all(names, models, X)
            self.estimators_ = fitted
            self.named_estimators_ = Bunch(**dict(zip(names, fitted, strict=True)))
            self.weights_ = weights / weights.sum()
        return self

    def _check_estimators(self):
        """Names and unfitted recommenders, without those that are dropped."""
        if not self.estimators or not all(
            isinstance(pair, (tuple, list)) and len(pair) == 2
            for pair in self.estimators
        ):
            raise ValueError(
                f"estimators={self.estimators!r} must hold pairs of a name and a "
                'recommender, as in [("linear", LinearVAERecommender())].'
            )
        self._validate_names([name for name, _ in self.estimators])
        kept = [(n, model) for n, model in self.estimators if not _is_dropped(model)]
        if not kept:
            raise ValueError("All recommenders are dropped; keep at least one.")
        for name, model in kept:
            if isinstance(model, type) or not hasattr(model, "decision_function"):
                raise ValueError(
                    f"The estimator {name!r} is {model!r}, which has no "
                    "decision_function; pass an instance of a recommender."
                )
        names, models = zip(*kept, strict=True)
        return list(names), list(models)

    def _check_weights(self, n_models):
        weights = np.asarray(self.weights, dtype=float)
        if weights.shape != (n_models,):
            raise ValueError(
                f"weights has shape {weights.shape} for {n_models} recommenders; pass "
                "one weight for each that is not dropped."
            )
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
            raise ValueError(
                f"weights={self.weights!r} must be finite, not negative, and not all "
                "zero."
            )
        return weights

    def _hold_out(self, X):
        split = hold_out_users(
            X,
            self.validation_fraction,
            draw_seed(self.random_state),
            max_users=MAX_VALIDATION_USERS,
        )
        if split is None:
            raise ValueError(
                "No users can be held out to find the weights: X has "
                f"n_samples = {X.shape[0]} users and n_features = {X.shape[1]} items. "
                "Pass more data, X_val and y_val, or weights."
            )
        return split

    def _fit_all(self, names, models, X):
        fitted = []
        for name, model in zip(names, models, strict=True):
            if self.verbose:
                print(f"BlendRecommender: fitting {name} on {X.shape[0]} users")
            fitted.append(clone(model).fit(X))
        return fitted

    def _iter_scores(self, X):
        for rows, batch, parts in _standardised_batches(self.estimators_, X):
            yield rows, batch, torch.from_numpy(blended(self.weights_, parts))

    def __sklearn_is_fitted__(self):
        """Whether there are fitted recommenders."""
        return hasattr(self, "estimators_")

    def __sklearn_tags__(self):
        """Rows may be sparse."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def weight_grid(n_models):
    """Weights with a sum of 1 in equal steps: ndarray of shape (n_settings, n_models).

    The first setting has equal weights. There are as many steps as `MAX_SETTINGS`
    allows.
    """
    n_steps = 1
    while (
        n_steps < MAX_STEPS and comb(n_steps + n_models, n_models - 1) <= MAX_SETTINGS
    ):
        n_steps += 1
    # The steps of a model are those between two of the dividers.
    dividers = combinations(range(n_steps + n_models - 1), n_models - 1)
    ends = np.array([(-1, *places, n_steps + n_models - 1) for places in dividers])
    steps = np.diff(ends, axis=1) - 1
    return np.vstack([np.full(n_models, 1 / n_models), steps / n_steps])


def standardised(scores):
    """Scale each row to mean 0 and standard deviation 1; a constant row to zeros."""
    scores = np.array(scores, dtype=np.float32)
    scores -= scores.mean(axis=1, keepdims=True, dtype=np.float64)
    deviation = np.sqrt(np.square(scores, dtype=np.float64).mean(axis=1, keepdims=True))
    return np.divide(scores, deviation, out=scores, where=deviation > 0)


def blended(weights, parts):
    """Weighted sum of arrays, in float32, entry by entry."""
    return sum(
        np.float32(weight) * part for weight, part in zip(weights, parts, strict=True)
    )


def _standardised_batches(models, X):
    """Yield (slice, batch, list of the scores of each model) over batches of rows.

    A batch has as many rows as `ranking_scores` asks scores for at a time.
    """
    batches = RowBatches(X, "cpu")
    for rows in row_chunks(X.shape[0], bytes_per_row=8 * X.shape[1]):
        parts = [standardised(model.decision_function(X[rows])) for model in models]
        yield rows, batches.take(rows), parts


def _best_weights(models, validation, scoring):
    """Find the weights on a grid that rank best: (weights, score)."""
    X_val, y_val = validation
    grid = weight_grid(len(models))
    totals, n_users = np.zeros(len(grid)), 0
    for rows, _, parts in _standardised_batches(models, X_val):
        n_scored = np.count_nonzero(np.diff(y_val[rows].indptr))
        if n_scored == 0:
            continue
        n_users += n_scored
        for place, weights in enumerate(grid):
            scores = blended(weights, parts)
            ranking = SimpleNamespace(decision_function=lambda X, s=scores: s)
            value = ranking_scores(ranking, X_val[rows], y_val[rows], scoring)
            totals[place] += n_scored * value
    best = int(totals.argmax())
    return grid[best], totals[best] / n_users


def _is_dropped(model):
    return isinstance(model, str) and model == "drop"
