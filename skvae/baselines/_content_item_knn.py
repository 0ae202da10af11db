"""Item-based nearest neighbours by content, or by users and content."""

from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import _fit_context
from sklearn.preprocessing import normalize
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval

from skvae._base._module import fitting
from skvae.baselines._base import WITHOUT_MEMORY, ItemModel
from skvae.baselines._item_knn import nearest_items
from skvae.utils._typing import MatrixLike
from skvae.utils._validation import check_sparse


class ContentItemKNN(ItemModel):
    """Score an item by the similarity of its content to that of the user's items.

    It can score items without interactions, which `ItemKNN` cannot, and it is the
    baseline that a model of interactions and content has to beat [1]_.

    The similarity of items i and j is ``f_i . f_j / (|f_i| |f_j| + shrinkage)`` over
    their rows of `item_features`. Each of the user's items adds its similarity to the
    scores of its `n_neighbors` nearest items.

    Parameters
    ----------
    n_neighbors : int, default=300
        Neighbours kept for each item. Items without a common feature are no
        neighbours.

    shrinkage : float, default=0.0
        Reduces the similarities of items whose rows have a small norm. If all rows
        have the same norm, as after `TfidfTransformer`, it changes no ranking.

    Attributes
    ----------
    item_weights_ : csr_array of shape (n_items, n_items), float64
        Row j holds the similarities of item j to its neighbours.

    n_features_in_ : int
        Number of items.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the items, if `X` was a dataframe with string column names.

    See Also
    --------
    HybridItemKNN : Neighbours by users and content.
    skvae.CollaborativeVAE : A model of interactions and content.

    Notes
    -----
    In `ItemKNN` and `HybridItemKNN` a score adds up the user's items that are among
    the neighbours of the scored item. Here the neighbours are those of the user's
    item, so that `n_neighbors` items are scored even for a user with a single item.

    References
    ----------
    .. [1] M. Ferrari Dacrema, S. Boglio, P. Cremonesi, D. Jannach, "A Troubling
       Analysis of Reproducibility and Progress in Recommender Systems Research", ACM
       TOIS 39(2), 2021, https://arxiv.org/abs/1911.07698

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.baselines import ContentItemKNN
    >>> topics = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 1]])
    >>> X = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0]])
    >>> knn = ContentItemKNN().fit(X, item_features=topics)
    >>> knn.predict(X)
    array([2, 5])
    """

    _parameter_constraints: dict = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "shrinkage": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, n_neighbors: int = 300, *, shrinkage: float = 0.0) -> None:
        self.n_neighbors = n_neighbors
        self.shrinkage = shrinkage

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: MatrixLike, y: Any = None, *, item_features: MatrixLike
    ) -> "ContentItemKNN":
        """Find the neighbours of every item by their content.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions, of which only the number of items is used.
        y : Ignored
            Present by convention.
        item_features : {array-like, sparse matrix} of shape (n_items, n_features)
            Content, a row for each column of X, for instance tf-idf of words.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is negative, not finite, without any interaction or a table with one
            row per interaction, or if item_features are not finite or not one row for
            each item.
        """
        with fitting(self, WITHOUT_MEMORY):
            X = self._check_training_rows(X)
            features = _check_item_features(item_features, n_items=X.shape[1])
            self.item_weights_ = nearest_items(
                features, self.n_neighbors, self.shrinkage
            )
        return self


class HybridItemKNN(ItemModel):
    """Score an item by its similarities in users and content to the user's items.

    This is ItemKNN CFCBF of [1]_. The vector of an item is its column of X followed
    by its row of `item_features`, scaled to the norm `content_weight`. Similarities
    and scores are those of `ItemKNN` on these vectors, with w the content weight:

        ``(x_i . x_j + w^2 cos(f_i, f_j)) / (|x_i, w| |x_j, w| + shrinkage)``

    Parameters
    ----------
    n_neighbors : int, default=300
        Neighbours kept for each item, as in `ItemKNN`: the score of an item is the sum
        of its similarities to those of the user's items that are among its own
        nearest items.

    shrinkage : float, default=0.0
        Reduces the similarities of items with few interactions. A value far above the
        largest norm makes the ranking that of ``x_i . x_j + w^2 cos(f_i, f_j)``.

    content_weight : float, default=1.0
        Norm of the content of every item, where an item of n users has a norm of
        sqrt(n).

    Attributes
    ----------
    item_weights_ : csr_array of shape (n_items, n_items), float64
        Column i holds the similarities of item i to its neighbours.

    n_features_in_ : int
        Number of items.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the items, if `X` was a dataframe with string column names.

    See Also
    --------
    ContentItemKNN : Neighbours by content alone.
    skvae.CollaborativeVAE : A model of interactions and content.

    Notes
    -----
    The column of X is not scaled, so the content of an item counts less the more
    interactions the item has. The code of the paper takes the rows of content
    as they are; here they are normalised, so that the content weight does not depend
    on the scale of the features.

    References
    ----------
    .. [1] M. Ferrari Dacrema, S. Boglio, P. Cremonesi, D. Jannach, "A Troubling
       Analysis of Reproducibility and Progress in Recommender Systems Research", ACM
       TOIS 39(2), 2021, https://arxiv.org/abs/1911.07698

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.baselines import HybridItemKNN
    >>> topics = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 1]])
    >>> X = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0]])
    >>> knn = HybridItemKNN(content_weight=2.0).fit(X, item_features=topics)
    >>> knn.predict(X)
    array([2, 5])
    """

    _parameter_constraints: dict = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "shrinkage": [Interval(Real, 0, None, closed="left")],
        "content_weight": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        n_neighbors: int = 300,
        *,
        shrinkage: float = 0.0,
        content_weight: float = 1.0,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.shrinkage = shrinkage
        self.content_weight = content_weight

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: MatrixLike, y: Any = None, *, item_features: MatrixLike
    ) -> "HybridItemKNN":
        """Find the neighbours of every item by its users and its content.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions.
        y : Ignored
            Present by convention.
        item_features : {array-like, sparse matrix} of shape (n_items, n_features)
            Content, a row for each column of X, for instance tf-idf of words.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is negative, not finite, without any interaction or a table with one
            row per interaction, or if item_features are not finite or not one row for
            each item.
        """
        with fitting(self, WITHOUT_MEMORY):
            X = self._check_training_rows(X)
            features = _check_item_features(item_features, n_items=X.shape[1])
            vectors = sp.hstack([X.T, self.content_weight * normalize(features)])
            similarity = nearest_items(vectors, self.n_neighbors, self.shrinkage)
            self.item_weights_ = similarity.T.tocsr()
        return self


def _check_item_features(item_features, *, n_items):
    features = check_array(
        check_sparse(item_features, "item_features", as_floats=True),
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
