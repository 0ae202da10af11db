"""Ranking by popularity."""

from typing import Any

import numpy as np

from skvae._base._module import fitting
from skvae.baselines._base import WITHOUT_MEMORY, Baseline
from skvae.utils._typing import MatrixLike


class Popularity(Baseline):
    """Rank the items by the number of their users, in the same order for everyone.

    The baseline that every recommender has to beat.

    Attributes
    ----------
    item_counts_ : ndarray of shape (n_items,), float64
        Number of users of each item.

    n_features_in_ : int
        Number of items.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the items, if `X` was a dataframe with string column names.

    See Also
    --------
    ItemKNN : Rank by similarity to the items of the user.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.baselines import Popularity
    >>> X = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [1, 1, 1, 0]])
    >>> popularity = Popularity().fit(X)
    >>> popularity.item_counts_
    array([2., 3., 1., 1.])
    >>> popularity.recommend(X, n_items=2)
    array([[ 2,  3],
           [ 0,  2],
           [ 3, -1]])
    """

    def fit(self, X: MatrixLike, y: Any = None) -> "Popularity":
        """Count the users of each item.

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
            row per interaction.
        """
        with fitting(self, WITHOUT_MEMORY):
            X = self._check_training_rows(X)
            counts = np.bincount(X.indices, minlength=X.shape[1])
            self.item_counts_ = counts.astype(float)
        return self

    def _score(self, X):
        return np.tile(self.item_counts_, (X.shape[0], 1))
