"""ALS of implicit as an estimator, for comparisons: `pip install implicit`."""

import importlib.util

import numpy as np
import scipy.sparse as sp

from skvae.baselines._base import Baseline

INSTALLED = importlib.util.find_spec("implicit") is not None


class ImplicitALS(Baseline):
    """Matrix factorisation by implicit; users are folded in by its least squares.

    Parameters
    ----------
    n_components : int, default=200
        Number of factors.
    alpha : float, default=1.0
        Weight of an interaction; that of what is missing is 1.
    regularization : float, default=0.01
        Penalty of the factors.
    random_state : int or None, default=None
        Seed of the first factors.
    """

    def __init__(
        self, n_components=200, *, alpha=1.0, regularization=0.01, random_state=None
    ):
        self.n_components = n_components
        self.alpha = alpha
        self.regularization = regularization
        self.random_state = random_state

    def fit(self, X, y=None):
        """Fit the factors with the package's 15 iterations, in one thread."""
        from implicit.cpu.als import AlternatingLeastSquares

        X = self._check_training_rows(X)
        self.model_ = AlternatingLeastSquares(
            factors=self.n_components,
            alpha=self.alpha,
            regularization=self.regularization,
            num_threads=1,
            random_state=self.random_state,
        )
        self.model_.fit(sp.csr_matrix(X, dtype=np.float32), show_progress=False)
        return self

    def _score(self, X):
        users = self.model_.recalculate_user(np.arange(X.shape[0]), sp.csr_matrix(X))
        return users @ self.model_.item_factors.T
