"""Split off all interactions with some items, as if these items were new."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state

from skvae.model_selection._hold_out import check_test_size, count_held_out
from skvae.utils._sparse import check_interactions, take_entries
from skvae.utils._typing import CSR, MatrixLike, NDArray, RandomState


def hold_out_items(
    X: MatrixLike, test_size: float = 0.2, *, random_state: RandomState = None
) -> tuple[CSR, CSR, NDArray[np.int64]]:
    """Split interactions by items: hold out all interactions with some of the items.

    This evaluates a recommender on items without interactions (cold start, the
    out-of-matrix prediction of [1]_): it is fitted on ``X_train``, where the held-out
    items have no interactions, and on the content of all items. Then it ranks
    ``items`` for the users of ``X_train``, and ``X_test`` is the ground truth.

    Parameters
    ----------
    X : {array-like, sparse matrix, sparse array, dataframe} of shape \
            (n_users, n_items)
        Interactions. Stored zeros do not count as interactions, duplicates are summed.

    test_size : float or int, default=0.2
        A float in (0, 1) is the share of the ``n`` items with interactions to hold
        out, ``max(1, floor(test_size * n))``. An int is their number, from 1 to
        ``n - 1``. Items without interactions are never chosen, because they cannot be
        relevant to any user.

    random_state : int, RandomState instance or None, default=None
        Seed of the random choice. All items with interactions are equally likely.

    Returns
    -------
    X_train : csr_matrix or csr_array of shape (n_users, n_items)
        The interactions with the other items. A csr_matrix if ``X`` is a sparse
        matrix, else a csr_array.

    X_test : csr_matrix or csr_array of shape (n_users, n_items)
        The interactions with the held-out items. The two parts are disjoint and add up
        to ``X``; a user may have no interactions in one of them.

    items : ndarray of shape (n_held_out,), int64
        Column indices of the held-out items, in increasing order.

    Raises
    ------
    ValueError
        If ``test_size`` is out of range, if ``X`` is not a matrix or not finite, or if
        fewer than two items have interactions.

    See Also
    --------
    hold_out_interactions : Hold out a part of every user's interactions instead.
    top_items : Rank the held-out items, passed as ``candidates``.

    References
    ----------
    .. [1] C. Wang, D. M. Blei. Collaborative Topic Modeling for Recommending
       Scientific Articles. KDD 2011.

    Examples
    --------
    Hold out two items, which then have no interactions in ``X_train``:

    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from skvae.baselines import ContentItemKNN
    >>> from skvae.metrics import recall_at_k
    >>> from skvae.model_selection import hold_out_items, top_items
    >>> topics = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 1]])
    >>> X = csr_array(np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]))
    >>> X_train, X_test, items = hold_out_items(X, 2, random_state=0)
    >>> items
    array([2, 5])
    >>> X_train.toarray()
    array([[1, 1, 0, 0, 0, 0],
           [0, 0, 0, 1, 1, 0]])

    A recommender that compares the content of items ranks the held-out items:

    >>> recommender = ContentItemKNN().fit(X_train, item_features=topics)
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
