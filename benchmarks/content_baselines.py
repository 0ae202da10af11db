"""Item-kNN for items with content: by the content alone, or with the ratings beside it.

They score items that nobody has rated, which the recommenders of `baselines` cannot,
and are what a model of ratings and content has to beat (Ferrari Dacrema et al. 2021).
Like those, they belong to the benchmarks, not to the package.

References
----------
M. Ferrari Dacrema, S. Boglio, P. Cremonesi, D. Jannach, "A Troubling Analysis of
Reproducibility and Progress in Recommender Systems Research", ACM TOIS 39(2), 2021.
"""

from numbers import Integral, Real

import numpy as np
import scipy.sparse as sp
from baselines import ItemModel, nearest_items
from sklearn.base import _fit_context
from sklearn.preprocessing import normalize
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval


class ContentItemKNN(ItemModel):
    """Score an item by how similar its content is to that of the user's items.

    The similarity of items i and j is ``f_i . f_j / (|f_i| |f_j| + shrinkage)`` over
    their rows of `item_features`. Each of the user's items passes it on to its
    `n_neighbors` nearest, and the score of i adds up what it gets.

    Parameters
    ----------
    n_neighbors : int, default=300
        Neighbours kept for each item; neighbours without any common word do not count.
    shrinkage : float, default=0.0
        Lowers the similarities of items with rows of small norm; where the rows all
        have the same norm, as after `TfidfTransformer`, it changes no ranking.

    Attributes
    ----------
    item_weights_ : csr_array of shape (n_items, n_items)
        Row j holds the similarities of item j to its neighbours.

    Notes
    -----
    `ItemKNN` and `HybridItemKNN` ask the other way round whether the user's item is
    among the nearest of the item that is scored. Here the neighbours are those of the
    user's item, so even a user with a single item has `n_neighbors` items scored.
    """

    _parameter_constraints: dict = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "shrinkage": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, n_neighbors=300, *, shrinkage=0.0):
        self.n_neighbors = n_neighbors
        self.shrinkage = shrinkage

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, item_features):
        """Find the neighbours of every item by their content.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions; only the number of items is taken from them.
        y : Ignored
            Present by convention.
        item_features : {array-like, sparse matrix} of shape (n_items, n_features)
            Content, a row for each column of X: tf-idf of words, say.

        Returns
        -------
        self : object
        """
        X = self._check_rows(X, reset=True)
        features = _check_item_features(item_features, n_items=X.shape[1])
        self.item_weights_ = nearest_items(features, self.n_neighbors, self.shrinkage)
        return self


class HybridItemKNN(ItemModel):
    """Item-kNN over the ratings and the content of the items side by side.

    This is ItemKNN CFCBF of Ferrari Dacrema et al. (2021). The vector of an item is
    its column of X followed by its row of `item_features`, scaled to the norm
    `content_weight`; similarities and scores are those of `ItemKNN` on these vectors:

        ``(x_i . x_j + w^2 cos(f_i, f_j)) / (|x_i, w| |x_j, w| + shrinkage)``

    with w the content weight. The column of X is not scaled, so the more ratings an
    item has, the less its content counts. Where no user has two items, no two columns
    meet, and what is left is the content, less of it for items with more ratings.

    The paper's own code takes the row of content as it comes. Here it is normalised, so
    that a content weight means the same whatever the weights of the words.

    Parameters
    ----------
    n_neighbors : int, default=300
        Neighbours kept for each item, as in `ItemKNN`: the score of an item adds up
        its similarities to those of the user's items that are among its own nearest.
    shrinkage : float, default=0.0
        Lowers the similarities of items with few ratings. Far above the largest norm
        it leaves the ranking to ``x_i . x_j + w^2 cos(f_i, f_j)``.
    content_weight : float, default=1.0
        Norm of every item's content, where an item of n users has a norm of sqrt(n).

    Attributes
    ----------
    item_weights_ : csr_array of shape (n_items, n_items)
        Column i holds the similarities of item i to its neighbours.
    """

    _parameter_constraints: dict = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "shrinkage": [Interval(Real, 0, None, closed="left")],
        "content_weight": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, n_neighbors=300, *, shrinkage=0.0, content_weight=1.0):
        self.n_neighbors = n_neighbors
        self.shrinkage = shrinkage
        self.content_weight = content_weight

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, item_features):
        """Find the neighbours of every item by its ratings and its content.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions.
        y : Ignored
            Present by convention.
        item_features : {array-like, sparse matrix} of shape (n_items, n_features)
            Content, a row for each column of X: tf-idf of words, say.

        Returns
        -------
        self : object
        """
        X = self._check_rows(X, reset=True)
        features = _check_item_features(item_features, n_items=X.shape[1])
        vectors = sp.hstack([X.T, self.content_weight * normalize(features)])
        similarity = nearest_items(vectors, self.n_neighbors, self.shrinkage)
        self.item_weights_ = similarity.T.tocsr()
        return self


def _check_item_features(item_features, *, n_items):
    features = check_array(
        item_features,
        accept_sparse="csr",
        dtype=np.float64,
        input_name="item_features",
    )
    if features.shape[0] != n_items:
        raise ValueError(
            f"item_features has {features.shape[0]} rows but X has {n_items} columns "
            "(items); pass one row per item."
        )
    return sp.csr_array(features)
