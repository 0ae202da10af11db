"""Hold out whole items, as if nobody had met them yet."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state

from skvae.model_selection._hold_out import check_test_size, count_held_out
from skvae.utils._sparse import check_interactions, take_entries


def hold_out_items(X, test_size=0.2, *, random_state=None):
    """Split interactions by items: all those with some items are held out.

    This is how a recommender is asked about items that nobody has rated yet (cold
    start, the out-of-matrix prediction of [1]_): it is fitted on ``X_train``, where
    the items held out have no interactions, with the content of all items. Then it
    ranks ``items`` for the users of ``X_train``, and ``X_test`` is the truth.

    Parameters
    ----------
    X : {array-like, sparse matrix, sparse array, dataframe} of shape \
            (n_users, n_items)
        Interactions. Entries stored as zero are none, duplicates are summed.

    test_size : float or int, default=0.2
        A float in (0, 1) is the share of the ``n`` items with interactions to hold
        out: ``max(1, floor(test_size * n))``. An int is their number, from 1 to
        ``n - 1``. Items without interactions are never chosen, for they could not be
        found.

    random_state : int, RandomState instance or None, default=None
        Seed of the choice. Every item with interactions is as likely to be chosen.

    Returns
    -------
    X_train : csr_matrix or csr_array of shape (n_users, n_items)
        The interactions with the other items. A csr_matrix if ``X`` is a sparse
        matrix, else a csr_array.

    X_test : csr_matrix or csr_array of shape (n_users, n_items)
        The interactions with the items held out. The two are disjoint and add up to
        ``X``; a user may have nothing left in one of them.

    items : ndarray of shape (n_held_out,), int64
        The columns held out, sorted.

    Raises
    ------
    ValueError
        If ``test_size`` is out of range, ``X`` is not a finite matrix or fewer than
        two items have interactions.

    See Also
    --------
    hold_out_interactions : Hold out part of every user's interactions instead.
    top_items : Rank the items held out, as ``candidates``.

    References
    ----------
    .. [1] C. Wang, D. M. Blei. Collaborative Topic Modeling for Recommending
       Scientific Articles. KDD 2011.

    Examples
    --------
    A recommender by content gives users the items most like those they have:

    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from sklearn.base import BaseEstimator
    >>> from skvae.metrics import recall_at_k
    >>> from skvae.model_selection import hold_out_items, top_items
    >>> class ContentRecommender(BaseEstimator):
    ...     def fit(self, X, y=None, *, item_features):
    ...         self.item_features_ = item_features
    ...         return self
    ...
    ...     def decision_function(self, X):
    ...         return X @ self.item_features_ @ self.item_features_.T
    >>> topics = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 1]])
    >>> X = csr_array(np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]))
    >>> X_train, X_test, items = hold_out_items(X, 2, random_state=0)
    >>> items
    array([2, 5])
    >>> X_train.toarray()
    array([[1, 1, 0, 0, 0, 0],
           [0, 0, 0, 1, 1, 0]])

    Only the items held out are ranked, and compared with what was held out:

    >>> recommender = ContentRecommender().fit(X_train, item_features=topics)
    >>> ranked = top_items(recommender, X_train, 1, candidates=items)
    >>> ranked
    array([[2],
           [5]])
    >>> recall_at_k(X_test, y_rank=ranked, k=1)
    1.0
    """
    check_test_size(test_size, population="the items with interactions")
    interactions = check_interactions(X)
    n_items = interactions.shape[1]
    rated = np.flatnonzero(np.bincount(interactions.indices, minlength=n_items))
    if len(rated) < 2:
        raise ValueError(
            f"X has interactions with {len(rated)} of its {n_items} items; pass "
            "interactions with at least 2, one to hold out and one to train on."
        )
    if isinstance(test_size, Integral) and test_size >= len(rated):
        raise ValueError(
            f"test_size={test_size} but X has interactions with {len(rated)} items; "
            f"hold out at most {len(rated) - 1}."
        )
    rng = check_random_state(random_state)
    n_held_out = count_held_out(np.int64(len(rated)), test_size)
    items = np.sort(rng.choice(rated, n_held_out, replace=False)).astype(np.int64)
    is_held_out = np.zeros(n_items, dtype=bool)
    is_held_out[items] = True
    held = is_held_out[interactions.indices]
    return take_entries(interactions, ~held), take_entries(interactions, held), items
