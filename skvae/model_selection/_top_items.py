"""Top items of every user, by row chunks, for anything with decision_function."""

import inspect

import numpy as np
import torch
from scipy.sparse import issparse

from skvae.utils._sparse import entry_rows
from skvae.utils._top_k import check_candidates, check_n_items, top_k
from skvae.utils._validation import errors_naming

CHUNK_BYTES = 64 * 2**20
RECOMMEND_KEYWORDS = {"n_items", "exclude_seen", "candidates", "return_scores"}


def top_items(
    estimator, X, n_items=10, *, exclude_seen=True, candidates=None, return_scores=False
):
    """Rank the best items of each user for any estimator that scores items.

    Works by chunks of rows, so that no dense array of all users by all items is
    ever held. Fitted pipelines and searches will do. An estimator with a
    ``recommend`` of the same keywords does it itself (on its own device).

    Parameters
    ----------
    estimator : object
        Fitted. Its ``decision_function`` gives rows of ``X`` a score for every
        column; items scored minus infinity are not ranked.

    X : {array-like, sparse matrix, sparse array, dataframe} of shape \
            (n_users, n_items)
        Interactions of the users; every entry other than zero is a seen item.

    n_items : int, default=10
        How many items for each user.

    exclude_seen : bool, default=True
        Whether to leave out the items that the user has in ``X``.

    candidates : array-like of shape (n_candidates,), int, default=None
        Indices of the items to rank, each counted once; the others never appear.
        All items if None.

    return_scores : bool, default=False
        Whether to return the scores too.

    Returns
    -------
    items : ndarray of shape (n_users, n_items), int64
        Item indices, best first; among equal scores the lowest index first. Where a
        user has fewer items left to rank, -1 at the end.

    scores : ndarray of shape (n_users, n_items), floating
        Their scores, minus infinity where there is no item. Only if
        ``return_scores``.

    Raises
    ------
    TypeError
        If the estimator has neither ``decision_function`` nor such a ``recommend``.

    ValueError
        If ``n_items`` exceeds the number of items or of candidates, if candidates
        are no indices of columns of ``X``, or if ``decision_function`` gives another
        shape than that of ``X``, or NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.base import BaseEstimator
    >>> from skvae.model_selection import top_items
    >>> class Popularity(BaseEstimator):
    ...     def fit(self, X, y=None):
    ...         self.counts_ = np.asarray(X.sum(axis=0), dtype=float)
    ...         return self
    ...
    ...     def decision_function(self, X):
    ...         return np.tile(self.counts_, (X.shape[0], 1))
    >>> X = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [1, 1, 1, 0]])
    >>> popularity = Popularity().fit(X)
    >>> top_items(popularity, X, n_items=2)
    array([[ 2,  3],
           [ 0,  2],
           [ 3, -1]])
    >>> top_items(popularity, X, n_items=2, exclude_seen=False, candidates=[0, 2, 3])
    array([[0, 2],
           [0, 2],
           [0, 2]])
    """
    keywords = {
        "n_items": n_items,
        "exclude_seen": exclude_seen,
        "candidates": candidates,
        "return_scores": return_scores,
    }
    if _recommends(estimator):
        return estimator.recommend(X, **keywords)
    chunks = list(iter_top_items(estimator, X, **keywords))
    if not chunks:  # no users
        items, scores = np.empty((0, n_items), np.int64), np.empty((0, n_items))
        return (items, scores) if return_scores else items
    _, *columns = zip(*chunks, strict=True)
    columns = [np.concatenate(column) for column in columns]
    return tuple(columns) if return_scores else columns[0]


def iter_top_items(
    estimator, X, n_items=10, *, exclude_seen=True, candidates=None, return_scores=False
):
    """Yield the top items of one chunk of users after another.

    Parameters are those of :func:`top_items`.

    Yields
    ------
    chunk : slice
        The rows of ``X``.

    items : ndarray of shape (n_rows, n_items), int64
        Their items, best first.

    scores : ndarray of shape (n_rows, n_items)
        Their scores; only if ``return_scores``.
    """
    X = _row_indexable(X)
    n_users, n_catalogue = X.shape
    if _recommends(estimator):
        keywords = {
            "n_items": n_items,
            "exclude_seen": exclude_seen,
            "candidates": candidates,
            "return_scores": return_scores,
        }
        for chunk in row_chunks(n_users, bytes_per_row=16 * int(n_items)):
            ranked = estimator.recommend(_rows(X, chunk), **keywords)
            yield (chunk, *ranked) if return_scores else (chunk, ranked)
        return

    if inspect.isclass(estimator) or not hasattr(estimator, "decision_function"):
        raise TypeError(
            f"{_name(estimator)} cannot rank items: it has neither decision_function "
            "nor a recommend with the keywords "
            f"{', '.join(sorted(RECOMMEND_KEYWORDS))}."
        )
    candidates = check_candidates(candidates, n_catalogue)
    check_n_items(n_items, n_catalogue, candidates)
    if candidates is not None:
        candidates = torch.from_numpy(candidates)
    for chunk in row_chunks(n_users, bytes_per_row=8 * n_catalogue):
        X_chunk = _rows(X, chunk)
        scores = estimator.decision_function(X_chunk)
        with errors_naming("decision_function", scores):
            scores = np.asarray(scores)
        if scores.shape != tuple(X_chunk.shape):
            raise ValueError(
                f"decision_function gave shape {scores.shape} for X of shape "
                f"{tuple(X_chunk.shape)}; it must score every column for every row."
            )
        with errors_naming("decision_function", scores):
            scores = as_score_tensor(scores)
        seen = None
        if exclude_seen:
            scores = scores.clone()  # top_k overwrites; the estimator may keep its own
            seen = tuple(torch.from_numpy(index) for index in _seen(X_chunk))
        items, scores = top_k(scores, n_items, seen=seen, candidates=candidates)
        ranked = (items.numpy(), scores.numpy())
        yield (chunk, *ranked) if return_scores else (chunk, ranked[0])


def _name(estimator):
    if inspect.isclass(estimator):
        return f"The class {estimator.__name__} (pass a fitted instance)"
    return type(estimator).__name__


def _recommends(estimator):
    recommend = getattr(estimator, "recommend", None)
    return (
        callable(recommend)
        and not inspect.isclass(estimator)
        and RECOMMEND_KEYWORDS <= inspect.signature(recommend).parameters.keys()
    )


def _row_indexable(X):
    """Give something of rows and columns that can be cut by rows."""
    with errors_naming("X", X):
        X = X.tocsr() if issparse(X) else X if hasattr(X, "shape") else np.asarray(X)
        shape = tuple(X.shape)
    if len(shape) != 2:
        raise ValueError(
            f"X has shape {shape}; pass a row for each user and a column for each item."
        )
    return X


def _rows(X, chunk):
    with errors_naming("X", X):
        return X.iloc[chunk] if hasattr(X, "iloc") else X[chunk]


def row_chunks(n_rows, bytes_per_row):
    """Yield slices of rows near the budget, by sixteens where that is possible."""
    size = max(1, CHUNK_BYTES // max(1, bytes_per_row))
    if size > 16:
        size -= size % 16
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def as_score_tensor(scores):
    """Give scores as a float32 or float64 tensor, without a copy where possible."""
    if scores.dtype.kind == "c":
        raise ValueError("complex numbers have no order; pass real scores.")
    dtype = np.float32 if scores.dtype in (np.float16, np.float32) else np.float64
    # from_numpy warns of read-only arrays and refuses negative strides.
    return torch.from_numpy(np.require(scores, dtype, ["C_CONTIGUOUS", "WRITEABLE"]))


def _seen(X):
    """Rows and columns of the entries other than zero, as int64."""
    if not issparse(X):
        with errors_naming("X", X):
            return np.nonzero(np.asarray(X))
    stored = X.data != 0
    return entry_rows(X)[stored], X.indices[stored].astype(np.int64)
