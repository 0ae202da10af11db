"""Item-based nearest neighbours by common users."""

from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval

from skvae._base._module import fitting
from skvae.baselines._base import WITHOUT_MEMORY, ItemModel
from skvae.utils._typing import MatrixLike

# Similarities held as a dense block at a time.
BLOCK_SIZE = 2**21


class ItemKNN(ItemModel):
    """Score an item by its cosine similarities to the items of the user.

    The similarity of items i and j is ``x_i . x_j / (|x_i| |x_j| + shrinkage)`` over
    their columns. The score of i is the sum of its similarities to those of the
    user's items that are among the `n_neighbors` nearest items of i.

    Parameters
    ----------
    n_neighbors : int, default=100
        Neighbours kept for each item. Items without a common user are no neighbours.

    shrinkage : float, default=0.0
        Reduces the similarities of items with few users.

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
    ContentItemKNN : Neighbours by the content of the items.
    HybridItemKNN : Neighbours by users and content.

    Examples
    --------
    >>> from skvae.baselines import ItemKNN
    >>> from skvae.datasets import make_checkerboard
    >>> X, held_out = make_checkerboard(20, 12)
    >>> knn = ItemKNN().fit(X)
    >>> bool((knn.predict(X) == held_out).all())
    True
    """

    _parameter_constraints: dict = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "shrinkage": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, n_neighbors: int = 100, *, shrinkage: float = 0.0) -> None:
        self.n_neighbors = n_neighbors
        self.shrinkage = shrinkage

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: MatrixLike, y: Any = None) -> "ItemKNN":
        """Find the neighbours of every item, by blocks of items.

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
            similarity = nearest_items(X.T, self.n_neighbors, self.shrinkage)
            self.item_weights_ = similarity.T.tocsr()
        return self


def nearest_items(vectors, n_neighbors, shrinkage):
    """Find the items most similar to each item, by blocks of items.

    Parameters
    ----------
    vectors : sparse array of shape (n_items, n_features)
        What the items are compared by: their users, their words.

    n_neighbors : int
        Neighbours kept for each item. Items with nothing in common are no neighbours.

    shrinkage : float
        Added to the product of the norms, which divides the inner product.

    Returns
    -------
    similarities : csr_array of shape (n_items, n_items)
        Row i holds the similarities of item i to its neighbours.
    """
    vectors = sp.csr_array(vectors)
    features = vectors.T.tocsr()
    norms = np.sqrt(np.asarray((vectors * vectors).sum(axis=1)).ravel())
    n_items = len(norms)
    blocks = []
    block = max(1, BLOCK_SIZE // n_items)
    for start in range(0, n_items, block):
        items = np.arange(start, min(start + block, n_items))
        similarity = (vectors[items] @ features).toarray()
        denominator = np.outer(norms[items], norms) + shrinkage
        np.divide(similarity, denominator, out=similarity, where=denominator > 0)
        similarity[np.arange(len(items)), items] = 0  # an item is no neighbour
        blocks.append(_largest(similarity, n_neighbors))
    return sp.vstack(blocks, format="csr")


def _largest(rows, k):
    """Keep the k largest positive entries of each row, as CSR."""
    n_rows, n_columns = rows.shape
    k = min(int(k), n_columns)
    columns = np.argpartition(-rows, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(rows, columns, axis=1).clip(min=0)
    indptr = np.arange(n_rows + 1) * k
    kept = sp.csr_array((values.ravel(), columns.ravel(), indptr), shape=rows.shape)
    kept.sort_indices()
    kept.eliminate_zeros()
    return kept
