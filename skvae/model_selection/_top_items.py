"""Top items of every user, computed by chunks of rows, for any estimator."""

import inspect
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse

from skvae.utils._sparse import entry_rows
from skvae.utils._top_k import check_candidates, check_n_items, top_k
from skvae.utils._typing import ArrayLike, MatrixLike, NDArray
from skvae.utils._validation import check_sparse, errors_naming

CHUNK_BYTES = 64 * 2**20
RECOMMEND_KEYWORDS = {"n_items", "exclude_seen", "candidates", "return_scores"}


def top_items(
    estimator: Any,
    X: MatrixLike,
    n_items: int = 10,
    *,
    exclude_seen: bool = True,
    candidates: ArrayLike | None = None,
    return_scores: bool = False,
) -> NDArray[np.int64] | tuple[NDArray[np.int64], NDArray[np.floating]]:
    """Rank the best items of each user by any estimator that scores items.

    Rows are processed in chunks, so that the dense array of scores of all users and
    items is never held in memory. Fitted pipelines and searches are accepted. If the
    estimator has a method ``recommend`` with the same keywords, it is called instead,
    so that the estimator ranks on its own device.

    Parameters
    ----------
    estimator : object
        Fitted estimator. Its ``decision_function`` returns a score for every row and
        column of ``X``; items with a score of minus infinity are not ranked.

    X : {array-like, sparse matrix, sparse array, dataframe} of shape \
            (n_users, n_items)
        Interactions of the users. Every nonzero entry is a seen item.

    n_items : int, default=10
        Number of items to rank for each user.

    exclude_seen : bool, default=True
        Whether to exclude the items that the user has interacted with in ``X``.

    candidates : array-like of shape (n_candidates,), int, default=None
        Indices of the items to rank; duplicates count once. There may be fewer than
        ``n_items``, or none. None ranks all items.

    return_scores : bool, default=False
        Whether to return the scores too.

    Returns
    -------
    items : ndarray of shape (n_users, n_items), int64
        Item indices, best first. If scores are equal, the lowest index comes first.
        If fewer items can be ranked for a user, the row ends with -1. Translate them
        to ids by :func:`look_up_ids`.

    scores : ndarray of shape (n_users, n_items), floating
        Scores of the items, minus infinity for -1. Only if ``return_scores`` is True.

    Raises
    ------
    TypeError
        If the estimator has neither ``decision_function`` nor such a ``recommend``.

    ValueError
        If ``n_items`` is larger than the number of items, if the candidates are not
        column indices of ``X``, or if the result of ``decision_function`` contains NaN
        or has another shape than ``X``.

    See Also
    --------
    look_up_ids : Look up the ids of ranked items.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.baselines import Popularity
    >>> from skvae.model_selection import top_items
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
        return estimator.recommend(check_sparse(X), **keywords)
    chunks = list(iter_top_items(estimator, X, **keywords))
    if not chunks:  # no users
        items, scores = np.empty((0, n_items), np.int64), np.empty((0, n_items))
        return (items, scores) if return_scores else items
    _, *parts = zip(*chunks, strict=True)
    columns = [np.concatenate(part) for part in parts]
    return (columns[0], columns[1]) if return_scores else columns[0]


def iter_top_items(
    estimator, X, n_items=10, *, exclude_seen=True, candidates=None, return_scores=False
):
    """Yield the top items chunk by chunk of users.

    The parameters are those of :func:`top_items`.

    Yields
    ------
    chunk : slice
        The rows of ``X``.

    items : ndarray of shape (n_rows, n_items), int64
        The items of these users, best first.

    scores : ndarray of shape (n_rows, n_items)
        Scores of the items. Only if ``return_scores`` is True.
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
            f"{_name(estimator)} cannot rank items: it has neither a method "
            "decision_function nor a method recommend with the keywords "
            f"{', '.join(sorted(RECOMMEND_KEYWORDS))}."
        )
    candidates = check_candidates(candidates, n_catalogue)
    n_items = check_n_items(n_items, n_catalogue)
    if candidates is not None:
        candidates = torch.from_numpy(candidates)
    for chunk in row_chunks(n_users, bytes_per_row=8 * n_catalogue):
        X_chunk = _rows(X, chunk)
        scores = estimator.decision_function(X_chunk)
        with errors_naming("decision_function", scores):
            scores = np.asarray(scores)
        if scores.shape != tuple(X_chunk.shape):
            raise ValueError(
                f"decision_function returned shape {scores.shape} for X of shape "
                f"{tuple(X_chunk.shape)}; it must return a score for every row and "
                "column of X."
            )
        with errors_naming("decision_function", scores):
            scores = as_score_tensor(scores)
        seen = None
        if exclude_seen:
            scores = scores.clone()  # top_k writes to it; the estimator may own it
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
    """Convert X to a format whose rows can be sliced, and check its dimensions."""
    with errors_naming("X", X):
        if issparse(X):
            X = check_sparse(X).tocsr()
        elif not hasattr(X, "shape"):
            X = np.asarray(X)
        shape = tuple(X.shape)
    if len(shape) != 2:
        raise ValueError(
            f"X has shape {shape}; pass one row per user and one column per item."
        )
    return X


def _rows(X, chunk):
    with errors_naming("X", X):
        return X.iloc[chunk] if hasattr(X, "iloc") else X[chunk]


def row_chunks(n_rows, bytes_per_row):
    """Yield slices of rows within CHUNK_BYTES, in multiples of 16 rows if possible."""
    size = max(1, CHUNK_BYTES // max(1, bytes_per_row))
    if size > 16:
        size -= size % 16
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def as_score_tensor(scores):
    """Convert scores to a float32 or float64 tensor, without a copy if possible."""
    if scores.dtype.kind == "c":
        raise ValueError("complex numbers cannot be sorted; pass real scores.")
    dtype = np.float32 if scores.dtype in (np.float16, np.float32) else np.float64
    # from_numpy warns about read-only arrays and refuses negative strides.
    return torch.from_numpy(np.require(scores, dtype, ["C_CONTIGUOUS", "WRITEABLE"]))


def _seen(X):
    """Return the rows and columns of the nonzero entries, int64."""
    if not issparse(X):
        with errors_naming("X", X):
            return np.nonzero(np.asarray(X))
    stored = X.data != 0
    return entry_rows(X)[stored], X.indices[stored].astype(np.int64)
