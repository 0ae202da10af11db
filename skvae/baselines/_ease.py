"""EASE, a linear autoencoder in closed form (Steck 2019)."""

from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from scipy.linalg import cholesky
from scipy.linalg.lapack import dpotri
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval

from skvae._base._module import fitting
from skvae._nn import power
from skvae.baselines._base import WITHOUT_MEMORY, ItemModel
from skvae.utils._typing import MatrixLike

# Matrices of items by items that a fit holds at once.
N_MATRICES = 3


class EASE(ItemModel):
    """Linear autoencoder without self-similarity, in closed form [1]_.

    Minimises ``|X - X B|^2 + l2 |B|^2`` over B with a zero diagonal. The dense matrix B
    of items by items is the model: memory grows with the square of the number of
    items, and time with its cube.

    Parameters
    ----------
    l2 : float, default=500.0
        Weight of the penalty, lambda in the paper. With exponents, X has smaller
        values and l2 must be smaller too.

    user_exponent, item_exponent : float, default=0.0
        Exponents of the numbers of interactions of users and items, by powers of
        which X is divided, as in :class:`~skvae.LinearVAERecommender`.

    output_exponent : float, default=0.0
        Exponent of the number of interactions of an item, with a power of which its
        scores are multiplied.

    max_gigabytes : float, default=16.0
        Memory that the matrices of items by items may take. If they need more, `fit`
        raises an error before it computes anything.

    Attributes
    ----------
    item_weights_ : ndarray of shape (n_items, n_items), float64
        B of eq. 8, with the scales of the items.

    n_features_in_ : int
        Number of items.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the items, if `X` was a dataframe with string column names.

    See Also
    --------
    skvae.LinearVAERecommender : A model of similar quality without such a matrix.

    References
    ----------
    .. [1] H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019,
       https://arxiv.org/abs/1905.03375

    Examples
    --------
    >>> from skvae.baselines import EASE
    >>> from skvae.datasets import make_checkerboard
    >>> X, held_out = make_checkerboard(20, 12)
    >>> ease = EASE(l2=1.0).fit(X)
    >>> bool((ease.predict(X) == held_out).all())
    True
    """

    _parameter_constraints: dict = {
        "l2": [Interval(Real, 0, None, closed="neither")],
        "user_exponent": [Interval(Real, 0, 1, closed="both")],
        "item_exponent": [Interval(Real, 0, 1, closed="both")],
        "output_exponent": [Interval(Real, -1, 1, closed="both")],
        "max_gigabytes": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        l2: float = 500.0,
        *,
        user_exponent: float = 0.0,
        item_exponent: float = 0.0,
        output_exponent: float = 0.0,
        max_gigabytes: float = 16.0,
    ) -> None:
        self.l2 = l2
        self.user_exponent = user_exponent
        self.item_exponent = item_exponent
        self.output_exponent = output_exponent
        self.max_gigabytes = max_gigabytes

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: MatrixLike, y: Any = None) -> "EASE":
        """Solve for the item weights.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions.
        y : Ignored
            Present by convention.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is negative, not finite, without any interaction or a table with one
            row per interaction, or if the matrices would need more memory than
            `max_gigabytes`.
        """
        with fitting(self, WITHOUT_MEMORY):
            X = self._check_training_rows(X)
            self._check_memory(X.shape[1])
            self.item_weights_ = self._solve(X)
        return self

    def _check_memory(self, n_items):
        gigabytes = N_MATRICES * 8 * n_items**2 / 1e9
        if gigabytes > self.max_gigabytes:
            raise ValueError(
                f"EASE needs about {gigabytes:.3g} GB for {n_items} items, more than "
                f"max_gigabytes={self.max_gigabytes:g}; use LinearVAERecommender, "
                "which needs no matrix of items by items, or raise max_gigabytes if "
                "there is that much memory."
            )

    def _solve(self, X):
        """Weights of the items for the interactions X, (n_items, n_items)."""
        users, counts = (
            torch.from_numpy(np.asarray(X.sum(axis=axis)).ravel()) for axis in (1, 0)
        )
        users = power(users, -self.user_exponent).numpy()
        scale = power(counts, -self.item_exponent).numpy()
        X = sp.diags(users) @ X @ sp.diags(scale)
        gram = (X.T @ X).toarray()
        gram[np.diag_indices_from(gram)] += self.l2
        inverse = _inverse(gram)
        # Steck 2019, eq. 8: B_ij = -P_ij / P_jj off the diagonal, P the inverse.
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0)
        weights *= scale[:, None]
        weights *= power(counts, self.output_exponent).numpy()
        return weights


def _inverse(matrix):
    """Invert a positive definite matrix in its own memory, through Cholesky."""
    factor = cholesky(matrix, overwrite_a=True, check_finite=False)
    upper, info = dpotri(factor, overwrite_c=True)
    if info != 0:
        raise np.linalg.LinAlgError(f"dpotri could not invert the matrix ({info}).")
    return np.triu(upper) + np.triu(upper, 1).T
