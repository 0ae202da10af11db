"""Generated interactions, of which the right recommendations are known."""

from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from skvae.datasets._pairs import csr_from_sorted_pairs

# Interactions drawn at a time, and rounds of draws before Gumbel noise is used.
_CHUNK_DRAWS = 1_000_000
_N_ROUNDS = 4
# Smallest share of any taste, so that no preference is zero.
_MIN_SHARE = 1e-4

_DESCR = """\
Generated interactions of {n_users:,} users with {n_items:,} items: {nnz:,} pairs
({per_user:.1f} per user), {n_factors} tastes.

The preference of user u for item i is user_factors[u] @ item_factors[i]. The
preferences of a user sum to one, and the items of the user are drawn from them without
replacement.
"""


@validate_params(
    {
        "n_users": [Interval(Integral, 1, None, closed="left")],
        "n_items": [Interval(Integral, 2, None, closed="left")],
        "n_factors": [Interval(Integral, 1, None, closed="left")],
        "n_interactions_per_user": [Interval(Real, 1, None, closed="left")],
        "taste_concentration": [Interval(Real, 0.01, None, closed="left")],
        "popularity_exponent": [Interval(Real, 0, 10, closed="both")],
        "activity_sigma": [Interval(Real, 0, 10, closed="both")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_interactions(
    n_users: int = 1000,
    n_items: int = 500,
    *,
    n_factors: int = 8,
    n_interactions_per_user: float = 20.0,
    taste_concentration: float = 0.1,
    popularity_exponent: float = 0.8,
    activity_sigma: float = 0.8,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Generate implicit feedback with known preferences.

    Each taste is a distribution over the items, and each user a mixture of tastes. The
    matrix of preferences therefore has a low rank, which a recommender can learn. A few
    users are very active, and a few items are very popular, so that a ranking by
    popularity alone is better than chance.

    Parameters
    ----------
    n_users : int, default=1000
        Number of users.

    n_items : int, default=500
        Number of items.

    n_factors : int, default=8
        Number of tastes: the rank of the preferences.

    n_interactions_per_user : float, default=20.0
        Mean number of items of a user; at most half of `n_items`.

    taste_concentration : float, default=0.1
        How evenly users and items spread over the tastes: concentration of symmetric
        Dirichlet distributions. With small values each user has one taste; with large
        values all users have the same tastes, and items differ only in popularity.

    popularity_exponent : float, default=0.8
        Exponent of Zipf's law: the popularity of the r-th most popular item is
        proportional to ``r ** -popularity_exponent``. 0 makes all items equally
        popular; at most 10.

    activity_sigma : float, default=0.8
        Standard deviation of the logarithm of the expected number of items of a user.
        0 makes all users equally active; at most 10.

    random_state : int, RandomState instance or None, default=None
        Seed of the generator. The same int gives the same data.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        matrix : csr_array of float32 of shape (n_users, n_items)
            1 if the user interacted with the item. Every user has at least one item
            and at most half of the items.
        user_factors : ndarray of shape (n_users, n_factors)
            The share of each taste in each user; rows sum to one.
        item_factors : ndarray of shape (n_items, n_factors)
            The probability of each item under each taste; columns sum to one.
        item_popularity : ndarray of shape (n_items,)
            The mean of the preferences over the users; sums to one.
        DESCR : str
            Description of the data.

    See Also
    --------
    make_checkerboard : Generate data whose held-out items any recommender should find.
    load_interactions : Load your own interactions.

    Notes
    -----
    The true preferences of some users are ``user_factors[users] @ item_factors.T``,
    where each row is a distribution over the items. The items of a user are drawn from
    it one after the other, without replacement (Plackett-Luce), so that no ranking
    predicts them better than the preferences themselves. Each draw chooses first a
    taste and then an item, and draws are repeated until enough items are distinct. For
    the few users for whom this takes long, Gumbel noise is added to the logarithm of
    their preferences and the largest are taken [1]_, which has the same distribution.
    Memory is proportional to the number of interactions: no dense array of users x
    items is made.

    The number of items of a user is 1 plus a Poisson variable whose mean is log-normal.
    It is limited to half of the items, which lowers the mean if
    `n_interactions_per_user` is close to this limit.

    References
    ----------
    .. [1] W. Kool, H. van Hoof and M. Welling, "Stochastic Beams and Where to Find
       Them: The Gumbel-Top-k Trick for Sampling Sequences Without Replacement", ICML
       2019.

    Examples
    --------
    >>> from skvae.datasets import make_interactions
    >>> data = make_interactions(n_users=100, n_items=50, random_state=0)
    >>> data.matrix.shape
    (100, 50)
    >>> preferences = data.user_factors[:3] @ data.item_factors.T
    >>> preferences.shape
    (3, 50)
    >>> preferences.sum(axis=1).round(6).tolist()
    [1.0, 1.0, 1.0]
    """
    n_users, n_items, n_factors = int(n_users), int(n_items), int(n_factors)
    most = n_items // 2
    if n_interactions_per_user > most:
        raise ValueError(
            f"n_interactions_per_user={n_interactions_per_user} is more than half of "
            f"n_items={n_items}; ask for at most {most}, or for more items."
        )
    rng = check_random_state(random_state)
    user_factors = _shares(rng, n_users, n_factors, taste_concentration)
    memberships = _shares(rng, n_items, n_factors, taste_concentration)
    weights = rng.permutation(np.arange(1, n_items + 1) ** -float(popularity_exponent))
    # The tastes share the weight of each item, so that together they keep Zipf's law.
    item_factors = memberships * weights[:, np.newaxis]
    item_factors /= item_factors.sum(axis=0)

    activity = rng.lognormal(-(activity_sigma**2) / 2, activity_sigma, size=n_users)
    n_wanted = 1 + rng.poisson((n_interactions_per_user - 1) * activity)
    n_wanted = np.minimum(n_wanted, most)

    ends = np.cumsum(n_wanted)
    starts = np.flatnonzero(np.diff(ends // _CHUNK_DRAWS, prepend=-1))
    chunks = []
    for start, stop in zip(starts, [*starts[1:], n_users], strict=True):
        users = slice(start, stop)
        pairs = _draw_pairs(rng, user_factors[users], item_factors, n_wanted[users])
        chunks.append(start * n_items + pairs)
    rows, cols = np.divmod(np.concatenate(chunks), n_items)
    matrix = csr_from_sorted_pairs(rows, cols, np.ones(len(rows)), (n_users, n_items))
    return Bunch(
        matrix=matrix,
        user_factors=user_factors,
        item_factors=item_factors,
        item_popularity=item_factors @ user_factors.mean(axis=0),
        DESCR=_DESCR.format(
            n_users=n_users,
            n_items=n_items,
            nnz=matrix.nnz,
            per_user=matrix.nnz / n_users,
            n_factors=n_factors,
        ),
    )


@validate_params(
    {
        "n_users": [Interval(Integral, 4, None, closed="left")],
        "n_items": [Interval(Integral, 6, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_checkerboard(
    n_users: int = 50,
    n_items: int = 50,
    *,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[sparse.csr_array, NDArray[np.int64]]:
    """Generate a checkerboard of interactions, with one item of each user held out.

    Even users interact with all even items, odd users with all odd items, except for
    one item of each user, which is held out. It is the only item that similar users
    interacted with and this user did not, so any working recommender ranks it first.

    Parameters
    ----------
    n_users : int, default=50
        Number of users, at least 4.

    n_items : int, default=50
        Number of items, at least 6.

    random_state : int, RandomState instance or None, default=None
        If None, the items are held out in turn, without randomness: on a square board,
        its diagonal. Otherwise the held-out items are shuffled among the even users and
        among the odd users.

    Returns
    -------
    X : csr_array of float32 of shape (n_users, n_items)
        1 if the user interacted with the item.
    held_out : ndarray of int of shape (n_users,)
        The held-out item of each user, which is missing in `X`.

    See Also
    --------
    make_interactions : Generate interactions like those of real users.

    Notes
    -----
    The board is that of the tests of the package ``implicit`` [1]_, but of any shape.

    References
    ----------
    .. [1] B. Frederickson, "implicit: Fast Python Collaborative Filtering for Implicit
       Datasets", https://github.com/benfred/implicit

    Examples
    --------
    >>> from skvae.datasets import make_checkerboard
    >>> X, held_out = make_checkerboard(n_users=4, n_items=6)
    >>> X.toarray().astype(int)
    array([[0, 0, 1, 0, 1, 0],
           [0, 0, 0, 1, 0, 1],
           [1, 0, 0, 0, 1, 0],
           [0, 1, 0, 0, 0, 1]])
    >>> held_out
    array([0, 1, 2, 3])
    """
    rng = None if random_state is None else check_random_state(random_state)
    users, items = np.arange(n_users), np.arange(n_items)
    held_out = np.empty(n_users, dtype=np.int64)
    for parity in (0, 1):
        liked = items[parity::2]
        held_out[parity::2] = np.resize(liked, len(users[parity::2]))
        if rng is not None:
            rng.shuffle(held_out[parity::2])
    board = (users[:, np.newaxis] + items) % 2 == 0
    board[users, held_out] = False
    return sparse.csr_array(board.astype(np.float32)), held_out


def _shares(rng, n_rows, n_factors, concentration):
    """Draw the share of each factor in each row, all of them positive."""
    shares = rng.dirichlet(np.full(n_factors, concentration), size=n_rows)
    shares = np.maximum(shares, _MIN_SHARE)
    return shares / shares.sum(axis=1, keepdims=True)


def _draw_pairs(rng, user_factors, item_factors, n_wanted):
    """Draw distinct items for each user.

    Parameters
    ----------
    rng : RandomState
        Source of randomness.
    user_factors : ndarray of shape (n_users, n_factors)
        Mixture of each user; rows sum to one.
    item_factors : ndarray of shape (n_items, n_factors)
        Distribution of each factor; columns sum to one.
    n_wanted : ndarray of int of shape (n_users,)
        Number of items of each user.

    Returns
    -------
    pairs : ndarray of int64 of shape (n_wanted.sum(),)
        ``user * n_items + item`` of all draws, sorted.
    """
    n_users, n_items = len(user_factors), len(item_factors)
    finished = []
    short = np.arange(n_users)
    drawn = np.empty(0, dtype=np.int64)  # of users who need more, in draw order
    for _ in range(_N_ROUNDS):
        users = np.repeat(short, 2 * n_wanted[short])
        items = _draw_items(rng, user_factors, item_factors, users)
        drawn = _first_distinct(
            np.concatenate([drawn, users * n_items + items]), n_items, n_wanted
        )
        n_drawn = np.bincount(drawn // n_items, minlength=n_users)
        is_short = n_drawn < n_wanted
        is_short_pair = is_short[drawn // n_items]
        finished.append(drawn[~is_short_pair])
        drawn, short = drawn[is_short_pair], short[is_short[short]]
        if len(short) == 0:
            break
    rows_at_a_time = max(1, _CHUNK_DRAWS // n_items)
    for start in range(0, len(short), rows_at_a_time):
        users = short[start : start + rows_at_a_time]
        ours = drawn[np.isin(drawn // n_items, users)]
        finished.append(ours)
        rows = np.searchsorted(users, ours // n_items)
        scores = np.log(user_factors[users] @ item_factors.T)
        scores += rng.gumbel(size=scores.shape)
        scores[rows, ours % n_items] = -np.inf
        missing = n_wanted[users] - np.bincount(rows, minlength=len(users))
        best = np.argsort(-scores, axis=1)[:, : missing.max()]
        rank = np.arange(best.shape[1])
        taken = (users[:, np.newaxis] * n_items + best)[rank < missing[:, np.newaxis]]
        finished.append(taken)
    return np.sort(np.concatenate(finished))


def _draw_items(rng, user_factors, item_factors, users):
    """Draw one item for each entry of `users`: first a taste, then an item of it."""
    n_items, n_factors = item_factors.shape
    # The tastes lie side by side on the line from 0 to n_factors, for a single search.
    limits = np.cumsum(item_factors, axis=0)
    limits = (limits / limits[-1] + np.arange(n_factors)).T.ravel()
    user_limits = np.cumsum(user_factors, axis=1)[:, :-1]
    tastes = np.zeros(len(users), dtype=np.int64)
    choice = rng.random_sample(len(users))
    for limit in user_limits.T:
        tastes += choice >= limit[users]
    found = np.searchsorted(limits, tastes + rng.random_sample(len(users)), "right")
    # Rounding may reach the first item of the next taste.
    return np.minimum(found - tastes * n_items, n_items - 1)


def _first_distinct(pairs, n_items, n_wanted):
    """Select the first `n_wanted` distinct pairs of each user, in draw order."""
    _, first = np.unique(pairs, return_index=True)
    pairs = pairs[np.sort(first)]
    pairs = pairs[np.argsort(pairs // n_items, kind="stable")]
    users = pairs // n_items
    starts = np.searchsorted(users, np.arange(len(n_wanted)))
    return pairs[np.arange(len(pairs)) - starts[users] < n_wanted[users]]
