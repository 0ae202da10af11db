"""Metrics of top-k rankings: one user's list against the user's relevant items."""

import numpy as np

from skvae.metrics import _hits
from skvae.metrics._validation import (
    as_array,
    check_one_ranking,
    hits_at_k,
    ranked_items,
)
from skvae.utils._validation import check_choice, check_positive_int


def ndcg_at_k(
    y_true,
    *,
    y_score=None,
    y_rank=None,
    k=10,
    relevance_threshold=0,
    gains="binary",
    per_user=False,
):
    r"""Normalised discounted cumulative gain of the first k items.

    With gain :math:`g` of the item at each rank :math:`r`, and 0 for items that are
    not relevant, :math:`DCG@k = \sum_{r=1}^k g_r / \log_2(r + 1)`, divided by that
    of the best possible ranking, whose list is cut at k as well.

    Parameters
    ----------
    y_true : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
        Values of the items for the users; those held out, in a recommender's case.

    y_score : array-like of shape (n_users, n_items), default=None
        Scores to rank by; among equals the item of lowest index comes first, and a
        score of minus infinity leaves an item out. Give this or ``y_rank``.

    y_rank : array-like of shape (n_users, >= min(k, n_items)), int, default=None
        Ranked item indices, best first, -1 for none. Give this or ``y_score``.

    k : int, default=10
        Length of the list; a k above ``n_items`` counts as ``n_items``.

    relevance_threshold : float, default=0
        Items with a higher value in ``y_true`` are relevant. At least 0.

    gains : {"binary", "linear", "exponential"}, default="binary"
        Gain of a relevant item of value :math:`v`: 1, as in [1]_; :math:`v`, as in
        :func:`sklearn.metrics.ndcg_score`; or :math:`2^v - 1`.

    per_user : bool, default=False
        Whether to return a number for each user instead of the mean.

    Returns
    -------
    ndcg : float or ndarray of shape (n_users,)
        Between 0 and 1. Users without relevant items are left out of the mean and NaN
        in the array; the mean over nobody is NaN.

    Raises
    ------
    ValueError
        If not exactly one of ``y_score`` and ``y_rank`` is given, if shapes do not
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
    y_true,
    *,
    y_score=None,
    y_rank=None,
    k=10,
    relevance_threshold=0,
    denominator="min_k",
    per_user=False,
):
    """Share of the relevant items that are among the first k.

    Parameters
    ----------
    y_true : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
        Values of the items for the users.

    y_score : array-like of shape (n_users, n_items), default=None
        Scores to rank by, as in :func:`ndcg_at_k`. Give this or ``y_rank``.

    y_rank : array-like of shape (n_users, >= min(k, n_items)), int, default=None
        Ranked item indices, best first, -1 for none. Give this or ``y_score``.

    k : int, default=10
        Length of the list; a k above ``n_items`` counts as ``n_items``.

    relevance_threshold : float, default=0
        Items with a higher value in ``y_true`` are relevant. At least 0.

    denominator : {"min_k", "relevant"}, default="min_k"
        What hits are divided by: ``min(k, n_relevant)``, with which a perfect list
        scores 1 at any k [1]_, or ``n_relevant`` [2]_.

    per_user : bool, default=False
        Whether to return a number for each user instead of the mean.

    Returns
    -------
    recall : float or ndarray of shape (n_users,)
        Between 0 and 1. Users without relevant items are left out of the mean and NaN
        in the array; the mean over nobody is NaN.

    Raises
    ------
    ValueError
        As :func:`ndcg_at_k`, or for an unknown ``denominator``.

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
    y_true, *, y_score=None, y_rank=None, k=10, relevance_threshold=0, per_user=False
):
    """Share of the first k items that are relevant.

    Parameters
    ----------
    y_true : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
        Values of the items for the users.

    y_score : array-like of shape (n_users, n_items), default=None
        Scores to rank by, as in :func:`ndcg_at_k`. Give this or ``y_rank``.

    y_rank : array-like of shape (n_users, >= min(k, n_items)), int, default=None
        Ranked item indices, best first, -1 for none. Give this or ``y_score``.

    k : int, default=10
        Length of the list, which the hits are divided by even where the list has gaps;
        a k above ``n_items`` counts as ``n_items``.

    relevance_threshold : float, default=0
        Items with a higher value in ``y_true`` are relevant. At least 0.

    per_user : bool, default=False
        Whether to return a number for each user instead of the mean.

    Returns
    -------
    precision : float or ndarray of shape (n_users,)
        Between 0 and 1. Users without relevant items are left out of the mean and NaN
        in the array; the mean over nobody is NaN.

    Raises
    ------
    ValueError
        As :func:`ndcg_at_k`.

    Examples
    --------
    >>> from skvae.metrics import precision_at_k
    >>> precision_at_k([[1, 0, 0, 1]], y_rank=[[0, 1, 3, 2]], k=2)
    0.5
    """
    hits, k = hits_at_k(y_true, y_score, y_rank, k, relevance_threshold)
    return _result(_hits.precision(hits, k), per_user)


def average_precision_at_k(
    y_true, *, y_score=None, y_rank=None, k=10, relevance_threshold=0, per_user=False
):
    r"""Average precision of the first k items; over users, mean average precision.

    :math:`AP@k = \frac{1}{\min(k, n)} \sum_{r=1}^k P(r)\, rel(r)`, where :math:`n`
    is the number of relevant items, :math:`P(r)` the precision of the first :math:`r`
    and :math:`rel(r)` 1 if the item at rank :math:`r` is relevant, else 0.

    Parameters
    ----------
    y_true : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
        Values of the items for the users.

    y_score : array-like of shape (n_users, n_items), default=None
        Scores to rank by, as in :func:`ndcg_at_k`. Give this or ``y_rank``.

    y_rank : array-like of shape (n_users, >= min(k, n_items)), int, default=None
        Ranked item indices, best first, -1 for none. Give this or ``y_score``.

    k : int, default=10
        Length of the list; a k above ``n_items`` counts as ``n_items``.

    relevance_threshold : float, default=0
        Items with a higher value in ``y_true`` are relevant. At least 0.

    per_user : bool, default=False
        Whether to return a number for each user instead of the mean.

    Returns
    -------
    average_precision : float or ndarray of shape (n_users,)
        Between 0 and 1. Users without relevant items are left out of the mean and NaN
        in the array; the mean over nobody is NaN.

    Raises
    ------
    ValueError
        As :func:`ndcg_at_k`.

    Examples
    --------
    Hits at ranks 1 and 3 of two relevant items, (1/1 + 2/3) / 2:

    >>> from skvae.metrics import average_precision_at_k
    >>> round(average_precision_at_k([[1, 0, 0, 1]], y_rank=[[0, 1, 3]], k=3), 4)
    0.8333
    """
    hits, k = hits_at_k(y_true, y_score, y_rank, k, relevance_threshold)
    return _result(_hits.average_precision(hits, k), per_user)


def reciprocal_rank_at_k(
    y_true, *, y_score=None, y_rank=None, k=10, relevance_threshold=0, per_user=False
):
    """One over the rank of the first relevant item, 0 if it is not among the first k.

    Parameters
    ----------
    y_true : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
        Values of the items for the users.

    y_score : array-like of shape (n_users, n_items), default=None
        Scores to rank by, as in :func:`ndcg_at_k`. Give this or ``y_rank``.

    y_rank : array-like of shape (n_users, >= min(k, n_items)), int, default=None
        Ranked item indices, best first, -1 for none. Give this or ``y_score``.

    k : int, default=10
        Length of the list; a k above ``n_items`` counts as ``n_items``.

    relevance_threshold : float, default=0
        Items with a higher value in ``y_true`` are relevant. At least 0.

    per_user : bool, default=False
        Whether to return a number for each user instead of the mean.

    Returns
    -------
    reciprocal_rank : float or ndarray of shape (n_users,)
        Between 0 and 1. Users without relevant items are left out of the mean and NaN
        in the array; the mean over nobody is NaN.

    Raises
    ------
    ValueError
        As :func:`ndcg_at_k`.

    Examples
    --------
    >>> from skvae.metrics import reciprocal_rank_at_k
    >>> reciprocal_rank_at_k([[0, 0, 1, 1]], y_rank=[[0, 3, 2]], k=3)
    0.5
    """
    hits, k = hits_at_k(y_true, y_score, y_rank, k, relevance_threshold)
    return _result(_hits.reciprocal_rank(hits, k), per_user)


def hit_rate_at_k(
    y_true, *, y_score=None, y_rank=None, k=10, relevance_threshold=0, per_user=False
):
    """Share of the users with a relevant item among the first k.

    Parameters
    ----------
    y_true : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
        Values of the items for the users.

    y_score : array-like of shape (n_users, n_items), default=None
        Scores to rank by, as in :func:`ndcg_at_k`. Give this or ``y_rank``.

    y_rank : array-like of shape (n_users, >= min(k, n_items)), int, default=None
        Ranked item indices, best first, -1 for none. Give this or ``y_score``.

    k : int, default=10
        Length of the list; a k above ``n_items`` counts as ``n_items``.

    relevance_threshold : float, default=0
        Items with a higher value in ``y_true`` are relevant. At least 0.

    per_user : bool, default=False
        Whether to return a number for each user, 0 or 1, instead of the mean.

    Returns
    -------
    hit_rate : float or ndarray of shape (n_users,)
        Between 0 and 1. Users without relevant items are left out of the mean and NaN
        in the array; the mean over nobody is NaN.

    Raises
    ------
    ValueError
        As :func:`ndcg_at_k`.

    Examples
    --------
    >>> from skvae.metrics import hit_rate_at_k
    >>> hit_rate_at_k([[0, 0, 1], [1, 0, 0]], y_rank=[[2, 0], [1, 2]], k=2)
    0.5
    """
    hits, k = hits_at_k(y_true, y_score, y_rank, k, relevance_threshold)
    return _result(_hits.hit_rate(hits, k), per_user)


def coverage_at_k(*, y_score=None, y_rank=None, k=10, n_items=None):
    """Share of the catalogue that is among the first k of any user.

    Parameters
    ----------
    y_score : array-like of shape (n_users, n_items), default=None
        Scores to rank by, as in :func:`ndcg_at_k`. Give this or ``y_rank``.

    y_rank : array-like of shape (n_users, >= min(k, n_items)), int, default=None
        Ranked item indices, best first, -1 for none. Give this or ``y_score``.

    k : int, default=10
        Length of the list; a k above ``n_items`` counts as ``n_items``.

    n_items : int, default=None
        Size of the catalogue; needed with ``y_rank``.

    Returns
    -------
    coverage : float
        Between 0 and 1.

    Raises
    ------
    ValueError
        As :func:`ndcg_at_k`, or if ``n_items`` is needed and missing.

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
        raise ValueError(f"{name} has shape {ranking.shape}; pass a row per user.")
    if n_items is None:
        if y_score is None:
            raise ValueError("With y_rank pass n_items too, the size of the catalogue.")
        n_items = ranking.shape[1]
    check_positive_int("n_items", n_items)
    check_positive_int("k", k)
    shape = (len(ranking), n_items)
    items = ranked_items(y_score, y_rank, min(k, n_items), shape)
    _hits.check_ranked(items, n_items)
    return float(np.unique(items[items >= 0]).size / n_items)


def _result(per_user_values, per_user):
    return per_user_values if per_user else _hits.mean_over_users(per_user_values)
