"""Split off a part of every user's interactions, at random or by time."""

from numbers import Integral, Real

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_random_state

from skvae.utils._sparse import check_interactions, entry_rows, take_entries
from skvae.utils._typing import CSR, ArrayLike, MatrixLike, RandomState
from skvae.utils._validation import check_sparse, errors_naming


def hold_out_interactions(
    X: MatrixLike,
    test_size: float = 0.2,
    *,
    random_state: RandomState = None,
    by: str | CSR | ArrayLike = "random",
) -> tuple[CSR, CSR]:
    """Split every user's interactions into a part to fold in and a part held out.

    This evaluates a recommender on users who were not in the training data (strong
    generalisation, [1]_): it is given ``fold_in``, and its ranking is compared with
    ``held_out``. To hold out whole users, split the rows with the splitters of
    scikit-learn.

    Parameters
    ----------
    X : {array-like, sparse matrix, sparse array, dataframe} of shape \
            (n_users, n_items)
        Interactions. Stored zeros do not count as interactions, duplicates are summed.

    test_size : float or int, default=0.2
        A float in (0, 1) is the share of each user's ``n`` interactions to hold
        out, ``max(1, floor(test_size * n))``. An int of at least 1 is their number;
        if it is larger than ``n - 1``, ``n - 1`` are held out. Nothing is held out
        for users with fewer than two interactions.

    random_state : int, RandomState instance or None, default=None
        Seed of the random choice. With timestamps it only breaks ties.

    by : {"random"}, CSR of shape (n_users, n_items) or array of shape (nnz,), \
            default="random"
        Which interactions are held out: a random choice, or the latest ones by
        these timestamps. A CSR matrix has a stored timestamp for every interaction
        of ``X``; a stored zero is a timestamp too. A 1-D array is aligned with
        ``X.data``, and then ``X`` must be CSR. If an interaction has several
        timestamps, the latest counts. Timestamps are numbers or ``datetime64``.

    Returns
    -------
    fold_in : csr_matrix or csr_array of shape (n_users, n_items)
        The remaining interactions. A csr_matrix if ``X`` is a sparse matrix, else a
        csr_array.

    held_out : csr_matrix or csr_array of shape (n_users, n_items)
        The held-out interactions, with their values. The two parts are disjoint and
        add up to ``X``.

    Raises
    ------
    ValueError
        If ``test_size`` is out of range, if ``X`` is not a matrix or not finite, or
        if ``by`` lacks a timestamp of an interaction.

    See Also
    --------
    hold_out_items : Hold out whole items instead.
    skvae.metrics.make_ranking_scorer : Scorer that splits its rows in this way.

    References
    ----------
    .. [1] D. Liang, R. G. Krishnan, M. D. Hoffman, T. Jebara. Variational
       Autoencoders for Collaborative Filtering. WWW 2018, section 4.3.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from skvae.model_selection import hold_out_interactions
    >>> X = csr_array(np.array([[1, 1, 1, 1, 1], [0, 1, 0, 0, 0]]))
    >>> fold_in, held_out = hold_out_interactions(X, 0.4, random_state=0)
    >>> fold_in.sum(axis=1), held_out.sum(axis=1)
    (array([3, 1]), array([2, 0]))

    Hold out the latest interactions, given the time of each:

    >>> _, held_out = hold_out_interactions(X, 2, by=np.array([5, 9, 7, 8, 6, 3]))
    >>> held_out.toarray()
    array([[0, 1, 0, 1, 0],
           [0, 0, 0, 0, 0]])
    """
    check_test_size(test_size)
    interactions = check_interactions(X)
    rng = check_random_state(random_state)
    # Order of the interactions of each user, of which the last are held out.
    age = rng.permutation(interactions.nnz)
    if not isinstance(by, str):
        times = _timestamps(X, interactions, by)
        by_time = age[np.argsort(times[age], kind="stable")]  # ties in random order
        age[by_time] = np.arange(interactions.nnz)
    elif by != "random":
        raise ValueError(
            f'by={by!r} is not known; pass "random" or an array of timestamps.'
        )
    rows = entry_rows(interactions)
    # Sorting by one integer key is several times faster than sorting by two keys.
    order = np.argsort(rows * interactions.nnz + age)

    n_interactions = np.diff(interactions.indptr)
    n_fold_in = n_interactions - count_held_out(n_interactions, test_size)
    place_in_row = np.arange(interactions.nnz) - interactions.indptr[rows]
    held = np.empty(interactions.nnz, dtype=bool)
    held[order] = place_in_row >= n_fold_in[rows]
    return take_entries(interactions, ~held), take_entries(interactions, held)


def check_test_size(test_size, name="test_size", population="each user's interactions"):
    """Raise unless test_size is a float in (0, 1) or an int of at least 1.

    Parameters
    ----------
    test_size : object
        The value to check.

    name : str, default="test_size"
        Name of the parameter in the error message.

    population : str, default="each user's interactions"
        What a part is held out from, for the error message.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if isinstance(test_size, Integral) and not isinstance(test_size, bool):
        if test_size >= 1:
            return
    elif isinstance(test_size, Real) and 0 < test_size < 1:
        return
    raise ValueError(
        f"{name}={test_size!r}: pass a float in (0, 1), the share of {population} to "
        "hold out, or an int of at least 1, their number."
    )


def count_held_out(n_there, test_size):
    """Compute how many interactions or items to hold out, so that one is left.

    Parameters
    ----------
    n_there : ndarray or numpy scalar, int
        Number of interactions of each user, or number of items.

    test_size : float or int
        A value that `check_test_size` accepts.

    Returns
    -------
    n_held_out : ndarray or numpy scalar, int
        How many of them to hold out.
    """
    if isinstance(test_size, Integral):
        # Clip to the range of the counts' dtype, which test_size may exceed.
        n_held_out = np.minimum(
            min(int(test_size), np.iinfo(n_there.dtype).max), n_there - 1
        )
    else:
        # 1e-9 corrects for rounding, as in 0.29 * 100 = 28.999999999999996.
        share = np.floor(test_size * n_there + 1e-9).astype(n_there.dtype)
        n_held_out = np.minimum(np.maximum(share, 1), n_there - 1)
    return np.maximum(n_held_out, 0)


def _timestamps(X, interactions, by):
    """Look up the timestamp of every entry of ``interactions``."""
    if issparse(by):
        if by.format != "csr" or by.shape != interactions.shape:
            raise ValueError(
                f"by is {by.format.upper()} of shape {by.shape}; pass the timestamps "
                f"as a CSR matrix of the shape of X, {interactions.shape}."
            )
        stored = check_sparse(by, "by")
        times = stored.data
    else:
        with errors_naming("by", by):
            times = np.asarray(by)
        if not (issparse(X) and X.format == "csr"):
            raise ValueError(
                "by is an array aligned with X.data, so X has to be CSR; pass X as "
                "CSR, or by as a CSR matrix with an entry for every entry of X."
            )
        if times.shape != X.data.shape:
            raise ValueError(
                f"by has shape {times.shape} but X stores {X.data.size} entries; "
                "pass one timestamp per entry of X.data."
            )
        stored = X
    if times.dtype.kind not in "iufmM" or np.isnan(times).any():
        raise ValueError(
            f"by has dtype {times.dtype} or missing values; pass timestamps as "
            "numbers or datetime64, without missing values."
        )

    keys, wanted = _entry_keys(stored), _entry_keys(interactions)
    if not (np.diff(keys) > 0).all():
        order = np.lexsort((times, keys))
        keys, times = keys[order], times[order]
    # side="right" finds the latest of duplicates.
    place = np.searchsorted(keys, wanted, side="right") - 1
    missing = np.append(keys, -1)[place] != wanted  # place -1 is before the first
    if missing.any():
        user, item = divmod(int(wanted[missing.argmax()]), interactions.shape[1])
        raise ValueError(
            f"by has no timestamp for {missing.sum()} interactions of X, the first of "
            f"user {user} with item {item}; pass a timestamp for every entry of X."
        )
    return times[place]


def _entry_keys(interactions):
    """Return the flat index of each stored entry, counted row by row."""
    return entry_rows(interactions) * interactions.shape[1] + interactions.indices
