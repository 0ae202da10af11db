"""Simple recommenders to compare with: popularity, item-kNN and EASE.

Scikit-learn estimators that score every item for rows of interactions, so that
`skvae.model_selection.top_items` and the ranking scorers take them as they take the
recommenders of the package. They are part of the benchmarks, not of the package.
"""

from numbers import Integral, Real

import numpy as np
import scipy.sparse as sp
from scipy.linalg import cholesky
from scipy.linalg.lapack import dpotri
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

# Similarities held as a dense block at a time.
BLOCK_SIZE = 2**21


class ItemModel(BaseEstimator):
    """Scores of items that are linear in the user's row: ``X @ item_weights_``."""

    def decision_function(self, X):
        """Score every item for every user.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of the users.

        Returns
        -------
        scores : ndarray of shape (n_users, n_items)
            Greater is better.
        """
        check_is_fitted(self)
        scores = self._check_rows(X, reset=False) @ self.item_weights_
        return scores.toarray() if sp.issparse(scores) else scores

    def _check_rows(self, X, *, reset):
        return sp.csr_array(
            validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=reset)
        )

    def __sklearn_tags__(self):
        """Rows may be sparse."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class Popularity(ItemModel):
    """Rank the items by the number of users who have them, the same for everyone.

    Attributes
    ----------
    item_counts_ : ndarray of shape (n_items,)
        Users of each item.
    """

    def fit(self, X, y=None):
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
        """
        X = self._check_rows(X, reset=True)
        self.item_counts_ = np.asarray((X != 0).sum(axis=0), dtype=np.float64).ravel()
        return self

    def decision_function(self, X):
        """Give every user the popularity of every item.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of the users.

        Returns
        -------
        scores : ndarray of shape (n_users, n_items)
        """
        check_is_fitted(self)
        n_users = self._check_rows(X, reset=False).shape[0]
        return np.tile(self.item_counts_, (n_users, 1))


class ItemKNN(ItemModel):
    """Score an item by its cosine similarities to what the user has.

    The similarity of items i and j is ``x_i . x_j / (|x_i| |x_j| + shrinkage)`` over
    their columns; the score of i adds it up over those of the user's items that are
    among the `n_neighbors` nearest of i.

    Parameters
    ----------
    n_neighbors : int, default=100
        Neighbours kept for each item; neighbours without any common user do not count.
    shrinkage : float, default=0.0
        Lowers the similarities of items that few users have.

    Attributes
    ----------
    item_weights_ : csr_array of shape (n_items, n_items)
        Column i holds the similarities of item i to its neighbours.
    """

    _parameter_constraints: dict = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "shrinkage": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, n_neighbors=100, *, shrinkage=0.0):
        self.n_neighbors = n_neighbors
        self.shrinkage = shrinkage

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
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
        """
        X = self._check_rows(X, reset=True)
        similarity = nearest_items(X.T, self.n_neighbors, self.shrinkage)
        self.item_weights_ = similarity.T.tocsr()
        return self


class EASE(ItemModel):
    """Linear autoencoder without self-similarity, in closed form (Steck 2019).

    Minimises ``|X - X B|^2 + l2 |B|^2`` over B with a zero diagonal. The dense items x
    items matrix B is the model: memory and time grow with the square and the cube of
    the number of items, which is inherent in it.

    Parameters
    ----------
    l2 : float, default=500.0
        Weight of the penalty, lambda in the paper.

    Attributes
    ----------
    item_weights_ : ndarray of shape (n_items, n_items)
        B of eq. 8.

    References
    ----------
    H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.
    """

    _parameter_constraints: dict = {"l2": [Interval(Real, 0, None, closed="neither")]}

    def __init__(self, l2=500.0):
        self.l2 = l2

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
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
        """
        X = self._check_rows(X, reset=True)
        gram = (X.T @ X).toarray()
        gram[np.diag_indices_from(gram)] += self.l2
        inverse = _inverse(gram)
        # Steck 2019, eq. 8: B_ij = -P_ij / P_jj off the diagonal, P the inverse.
        self.item_weights_ = inverse / -np.diag(inverse)
        np.fill_diagonal(self.item_weights_, 0)
        return self


def nearest_items(vectors, n_neighbors, shrinkage):
    """Find the items most similar to each item, by blocks of items.

    Parameters
    ----------
    vectors : sparse array of shape (n_items, n_features)
        What the items are compared by: their users, their words.

    n_neighbors : int
        Neighbours kept for each item; without anything in common none counts.

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
    k = min(k, n_columns)
    columns = np.argpartition(-rows, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(rows, columns, axis=1)
    indptr = np.arange(n_rows + 1) * k
    kept = sp.csr_array((values.ravel(), columns.ravel(), indptr), shape=rows.shape)
    kept.sort_indices()
    kept.eliminate_zeros()
    return kept


def _inverse(matrix):
    """Invert a positive definite matrix, through Cholesky and in its own memory."""
    factor = cholesky(matrix, overwrite_a=True, check_finite=False)
    upper, info = dpotri(factor, overwrite_c=True)
    if info != 0:
        raise np.linalg.LinAlgError(f"dpotri could not invert the matrix ({info}).")
    return np.triu(upper) + np.triu(upper, 1).T
