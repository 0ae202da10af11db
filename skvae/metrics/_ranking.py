"""Metrics of top-k rankings: each user's list against the user's relevant items."""

from typing import Literal

import numpy as np

from skvae.metrics import _hits
from skvae.metrics._validation import (
    as_array,
    check_one_ranking,
    hits_at_k,
    ranked_items,
)
from skvae.utils._typing import ArrayLike, MatrixLike, NDArray
from skvae.utils._validation import check_choice, check_positive_int


def ndcg_at_k(
    y_true: MatrixLike,
    *,
    y_score: ArrayLike | None = None,
    y_rank: ArrayLike | None = None,
    k: int = 10,
    relevance_threshold: float = 0,
    gains: Literal["binary", "linear", "exponential"] = "binary",
    per_user: bool = False,
) -> float | NDArray[np.float64]:
    r"""Compute the normalised discounted cumulative gain of the first k items.

    :math:`DCG@k = \sum_{r=1}^k g_r / \log_2(r + 1)`, where :math:`g_r` is the gain
    of the item at rank :math:`r`, 0 if it is not relevant. It is divided by the
    :math:`DCG@k` of the best possible ranking, which is cut at k as well.

    Parameters
    ----------
    y_true : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
        The ground truth, such as held-out interactions: the value of each item for
        each user.

    y_score : array-like of shape (n_users, n_items), default=None
        Scores to rank by. If scores are equal, the item with the lowest index comes
        first. Items with a score of minus infinity are not ranked. Pass either this
        or ``y_rank``.

    y_rank : array-like of shape (n_users, >= min(k, n_items)), int, default=None
        Ranked item indices, best first; -1 means no item. Pass either this or
        ``y_score``.

    k : int, default=10
        Length of the list, at most ``n_items``; a larger k is reduced to it.

    relevance_threshold : float, default=0
        Items with a higher value in ``y_true`` are relevant. Must be at least 0.

    gains : {"binary", "linear", "exponential"}, default="binary"
        Gain of a relevant item with value :math:`v`: "binary" is 1, as in [1]_;
        "linear" is :math:`v`, as in :func:`sklearn.metrics.ndcg_score`; "exponential"
        is :math:`2^v - 1`.

    per_user : bool, default=False
        Whether to return one number per user instead of the mean.

    Returns
    -------
    ndcg : float or ndarray of shape (n_users,)
        Between 0 and 1. Users without relevant items have NaN in the array and are
        excluded from the mean; if no user has relevant items, the mean is NaN.

    Raises
    ------
    ValueError
        Unless exactly one of ``y_score`` and ``y_rank`` is given, if shapes do not
        match, or if an item is ranked twice or does not exist.

    References
    ----------
    .. [1] D. Liang, R. G. Krishnan, M. D. Hoffman, T. Jebara. Variational
       Autoencoders for Collaborative Filtering. WWW 2018, section 4.2.

    Examples
    --------
    >>> from skvae.metrics import ndcg_at_k
    >>> y_true = [[1, 0, 0, 1], [0, 0, 0, 0]]
    >>> round(ndcg_at_k(y_true, y_rank=[[0, 1, 3], [0, 1, 2]], k=3), 4)
    0.9197
    >>> ndcg_at_k(y_true, y_score=[[4, 1, 2, 3], [4, 3, 2, 1]], k=3, per_user=True)
    array([ 1., nan])
    """
    check_choice("gains", gains, _hits.GAINS)
    hits, k = hits_at_k(y_true, y_score, y_rank, k, relevance_threshold)
    return _result(_hits.ndcg(hits, k, gains), per_user)


def recall_at_k(
    y_true: MatrixLike,
    *,
    y_score: ArrayLike | None = None,
    y_rank: ArrayLike | None = None,
    k: int = 10,
    relevance_threshold: float = 0,
    denominator: Literal["min_k", "relevant"] = "min_k",
    per_user: bool = False,
) -> float | NDArray[np.float64]:
    """Compute the share of the relevant items that are among the first k.

    Parameters
    ----------
    y_true : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
        The ground truth: the value of each item for each user.

    y_score : array-like of shape (n_users, n_items), default=None
        Scores to rank by, as in :func:`ndcg_at_k`. Pass either this or ``y_rank``.

    y_rank : array-like of shape (n_users, >= min(k, n_items)), int, default=None
        Ranked item indices, best first; -1 means no item. Pass either this or
        ``y_score``.

    k : int, default=10
        Length of the list, at most ``n_items``; a larger k is reduced to it.

    relevance_threshold : float, default=0
        Items with a higher value in ``y_true`` are relevant. Must be at least 0.

    denominator : {"min_k", "relevant"}, default="min_k"
        Number that the hits are divided by: "min_k" is ``min(k, n_relevant)``, with
        which a perfect list scores 1 at any k [1]_; "relevant" is ``n_relevant`` [2]_.

    per_user : bool, default=False
        Whether to return one number per user instead of the mean.

    Returns
    -------
    recall : float or ndarray of shape (n_users,)
        Between 0 and 1. Users without relevant items have NaN in the array and are
        excluded from the mean; if no user has relevant items, the mean is NaN.

    Raises
    ------
    ValueError
        In the cases of :func:`ndcg_at_k`, or if ``denominator`` is not known.

    References
    ----------
    .. [1] D. Liang, R. G. Krishnan, M. D. Hoffman, T. Jebara. Variational
       Autoencoders for Collaborative Filtering. WWW 2018, section 4.2.
    .. [2] X. Li, J. She. Collaborative Variational Autoencoder for Recommender
       Systems. KDD 2017, section 4.2.

    Examples
    --------
    >>> from skvae.metrics import recall_at_k
    >>> y_true = [[1, 1, 1, 0]]
    >>> recall_at_k(y_true, y_rank=[[0, 3]], k=2)
    0.5
    >>> round(recall_at_k(y_true, y_rank=[[0, 3]], k=2, denominator="relevant"), 4)
    0.3333
    """
    check_choice("denominator", denominator, _hits.DENOMINATORS)
    hits, k = hits_at_k(y_true, y_score, y_rank, k, relevance_threshold)
    return _result(_hits.recall(hits, k, denominator), per_user)


def precision_at_k(
    y_true: MatrixLike,
    *,
    y_score: ArrayLike | None = None,
    y_rank: ArrayLike | None = None,
    k: int = 10,
    relevance_threshold: float = 0,
    per_user: bool = False,
) -> float | NDArray[np.float64]:
    """Compute the share of the first k items that are relevant.

    Parameters
    ----------
    y_true : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
        The ground truth: the value of each item for each user.

    y_score : array-like of shape (n_users, n_items), default=None
        Scores to rank by, as in :func:`ndcg_at_k`. Pass either this or ``y_rank``.

    y_rank : array-like of shape (n_users, >= min(k, n_items)), int, default=None
        Ranked item indices, best first; -1 means no item. Pass either this or
        ``y_score``.

    k : int, default=10
        Length of the list, at most ``n_items``; a larger k is reduced to it. The
        hits are divided by k even if the list contains -1.

    relevance_threshold : float, default=0
        Items with a higher value in ``y_true`` are relevant. Must be at least 0.

    per_user : bool, default=False
        Whether to return one number per user instead of the mean.

    Returns
    -------
    precision : float or ndarray of shape (n_users,)
        Between 0 and 1. Users without relevant items have NaN in the array and are
        excluded from the mean; if no user has relevant items, the mean is NaN.

    Raises
    ------
    ValueError
        In the cases of :func:`ndcg_at_k`.

    Examples
    --------
    >>> from skvae.metrics import precision_at_k
    >>> precision_at_k([[1, 0, 0, 1]], y_rank=[[0, 1, 3, 2]], k=2)
    0.5
    """
    hits, k = hits_at_k(y_true, y_score, y_rank, k, relevance_threshold)
    return _result(_hits.precision(hits, k), per_user)


def average_precision_at_k(
    y_true: MatrixLike,
    *,
    y_score: ArrayLike | None = None,
    y_rank: ArrayLike | None = None,
    k: int = 10,
    relevance_threshold: float = 0,
    per_user: bool = False,
) -> float | NDArray[np.float64]:
    r"""Compute the average precision of the first k items.

    :math:`AP@k = \frac{1}{\min(k, n)} \sum_{r=1}^k P(r)\, rel(r)`, where :math:`n`
    is the number of relevant items, :math:`P(r)` the precision of the first :math:`r`
    and :math:`rel(r)` 1 if the item at rank :math:`r` is relevant, else 0. The mean
    over users is the mean average precision (MAP).

    Parameters
    ----------
    y_true : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
        The ground truth: the value of each item for each user.

    y_score : array-like of shape (n_users, n_items), default=None
        Scores to rank by, as in :func:`ndcg_at_k`. Pass either this or ``y_rank``.

    y_rank : array-like of shape (n_users, >= min(k, n_items)), int, default=None
        Ranked item indices, best first; -1 means no item. Pass either this or
        ``y_score``.

    k : int, default=10
        Length of the list, at most ``n_items``; a larger k is reduced to it.

    relevance_threshold : float, default=0
        Items with a higher value in ``y_true`` are relevant. Must be at least 0.

    per_user : bool, default=False
        Whether to return one number per user instead of the mean.

    Returns
    -------
    average_precision : float or ndarray of shape (n_users,)
        Between 0 and 1. Users without relevant items have NaN in the array and are
        excluded from the mean; if no user has relevant items, the mean is NaN.

    Raises
    ------
    ValueError
        In the cases of :func:`ndcg_at_k`.

    Examples
    --------
    Two relevant items are ranked first and third, so the result is (1/1 + 2/3) / 2:

    >>> from skvae.metrics import average_precision_at_k
    >>> round(average_precision_at_k([[1, 0, 0, 1]], y_rank=[[0, 1, 3]], k=3), 4)
    0.8333
    """
    hits, k = hits_at_k(y_true, y_score, y_rank, k, relevance_threshold)
    return _result(_hits.average_precision(hits, k), per_user)


def reciprocal_rank_at_k(
    y_true: MatrixLike,
    *,
    y_score: ArrayLike | None = None,
    y_rank: ArrayLike | None = None,
    k: int = 10,
    relevance_threshold: float = 0,
    per_user: bool = False,
) -> float | NDArray[np.float64]:
    """Compute one over the rank of the first relevant item among the first k.

    It is 0 if none of the first k items is relevant.

    Parameters
    ----------
    y_true : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
        The ground truth: the value of each item for each user.

    y_score : array-like of shape (n_users, n_items), default=None
        Scores to rank by, as in :func:`ndcg_at_k`. Pass either this or ``y_rank``.

    y_rank : array-like of shape (n_users, >= min(k, n_items)), int, default=None
        Ranked item indices, best first; -1 means no item. Pass either this or
        ``y_score``.

    k : int, default=10
        Length of the list, at most ``n_items``; a larger k is reduced to it.

    relevance_threshold : float, default=0
        Items with a higher value in ``y_true`` are relevant. Must be at least 0.

    per_user : bool, default=False
        Whether to return one number per user instead of the mean.

    Returns
    -------
    reciprocal_rank : float or ndarray of shape (n_users,)
        Between 0 and 1. Users without relevant items have NaN in the array and are
        excluded from the mean; if no user has relevant items, the mean is NaN.

    Raises
    ------
    ValueError
        In the cases of :func:`ndcg_at_k`.

    Examples
    --------
    >>> from skvae.metrics import reciprocal_rank_at_k
    >>> reciprocal_rank_at_k([[0, 0, 1, 1]], y_rank=[[0, 3, 2]], k=3)
    0.5
    """
    hits, k = hits_at_k(y_true, y_score, y_rank, k, relevance_threshold)
    return _result(_hits.reciprocal_rank(hits, k), per_user)


def hit_rate_at_k(
    y_true: MatrixLike,
    *,
    y_score: ArrayLike | None = None,
    y_rank: ArrayLike | None = None,
    k: int = 10,
    relevance_threshold: float = 0,
    per_user: bool = False,
) -> float | NDArray[np.float64]:
    """Compute the share of the users with a relevant item among the first k.

    Parameters
    ----------
    y_true : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
        The ground truth: the value of each item for each user.

    y_score : array-like of shape (n_users, n_items), default=None
        Scores to rank by, as in :func:`ndcg_at_k`. Pass either this or ``y_rank``.

    y_rank : array-like of shape (n_users, >= min(k, n_items)), int, default=None
        Ranked item indices, best first; -1 means no item. Pass either this or
        ``y_score``.

    k : int, default=10
        Length of the list, at most ``n_items``; a larger k is reduced to it.

    relevance_threshold : float, default=0
        Items with a higher value in ``y_true`` are relevant. Must be at least 0.

    per_user : bool, default=False
        Whether to return one number per user, 0 or 1, instead of the mean.

    Returns
    -------
    hit_rate : float or ndarray of shape (n_users,)
        Between 0 and 1. Users without relevant items have NaN in the array and are
        excluded from the mean; if no user has relevant items, the mean is NaN.

    Raises
    ------
    ValueError
        In the cases of :func:`ndcg_at_k`.

    Examples
    --------
    >>> from skvae.metrics import hit_rate_at_k
    >>> hit_rate_at_k([[0, 0, 1], [1, 0, 0]], y_rank=[[2, 0], [1, 2]], k=2)
    0.5
    """
    hits, k = hits_at_k(y_true, y_score, y_rank, k, relevance_threshold)
    return _result(_hits.hit_rate(hits, k), per_user)


def coverage_at_k(
    *,
    y_score: ArrayLike | None = None,
    y_rank: ArrayLike | None = None,
    k: int = 10,
    n_items: int | None = None,
) -> float:
    """Compute the share of the catalogue that is among the first k of any user.

    Parameters
    ----------
    y_score : array-like of shape (n_users, n_items), default=None
        Scores to rank by, as in :func:`ndcg_at_k`. Pass either this or ``y_rank``.

    y_rank : array-like of shape (n_users, >= min(k, n_items)), int, default=None
        Ranked item indices, best first; -1 means no item. Pass either this or
        ``y_score``.

    k : int, default=10
        Length of the list, at most ``n_items``; a larger k is reduced to it.

    n_items : int, default=None
        Number of items in the catalogue; required with ``y_rank``.

    Returns
    -------
    coverage : float
        Between 0 and 1.

    Raises
    ------
    ValueError
        In the cases of :func:`ndcg_at_k`, or if ``n_items`` is missing with
        ``y_rank``.

    Examples
    --------
    >>> from skvae.metrics import coverage_at_k
    >>> coverage_at_k(y_rank=[[0, 1], [1, 0], [2, 1]], k=2, n_items=4)
    0.75
    """
    check_one_ranking(y_score, y_rank)
    name = "y_rank" if y_score is None else "y_score"
    ranking = as_array(name, y_rank if y_score is None else y_score)
    if ranking.ndim != 2:
        raise ValueError(f"{name} has shape {ranking.shape}; pass one row per user.")
    if n_items is None:
        if y_score is None:
            raise ValueError(
                "y_rank was given without n_items; pass n_items too, the number of "
                "items in the catalogue."
            )
        n_items = ranking.shape[1]
    n_items = check_positive_int("n_items", n_items)
    k = min(check_positive_int("k", k), n_items)
    items = ranked_items(y_score, y_rank, k, (len(ranking), n_items))
    _hits.check_ranked(items, n_items)
    return float(np.unique(items[items >= 0]).size / n_items)


def _result(per_user_values, per_user):
    return per_user_values if per_user else _hits.mean_over_users(per_user_values)
