"""Load a table of interactions as the sparse matrix that recommenders take."""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from os import PathLike
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils import Bunch
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from skvae.datasets._encoding import (
    check_known_ids,
    check_ratings,
    check_timestamps,
    encode_ids,
    is_text,
)
from skvae.datasets._pairs import core_pairs, csr_from_sorted_pairs, merge_pairs
from skvae.datasets._readers import read_columns


class _DataFrame(Protocol):
    """A data frame of pandas or polars."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""

    def __getitem__(self, name: Any, /) -> Any:
        """Return a column."""


_MERGED = {
    "binary": "each pair is 1, however often it occurs",
    "rating": "each pair has the rating of its latest interaction",
    "count": "the interactions of each pair are counted (ratings are summed)",
}


@validate_params(
    {
        "source": "no_validation",
        "user": [str, Interval(Integral, 0, None, closed="left")],
        "item": [str, Interval(Integral, 0, None, closed="left")],
        "rating": [str, Interval(Integral, 0, None, closed="left"), None],
        "timestamp": [str, Interval(Integral, 0, None, closed="left"), None],
        "values": [StrOptions({"binary", "rating", "count"})],
        "min_rating": [Interval(Real, None, None, closed="neither"), None],
        "min_user_items": [Interval(Integral, 1, None, closed="left")],
        "min_item_users": [Interval(Integral, 1, None, closed="left")],
        "user_ids": ["array-like", None],
        "item_ids": ["array-like", None],
        "sep": [str],
        "member": [str, None],
        "encoding": [str],
        "decimal": [StrOptions({".", ","})],
        "timestamp_format": [str, None],
        "drop_empty_users": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def load_interactions(
    source: str | PathLike[str] | _DataFrame | Mapping[str, Any] | Sequence[ArrayLike],
    *,
    user: str | int,
    item: str | int,
    rating: str | int | None = None,
    timestamp: str | int | None = None,
    values: Literal["binary", "rating", "count"] = "binary",
    min_rating: float | None = None,
    min_user_items: int = 1,
    min_item_users: int = 1,
    user_ids: ArrayLike | None = None,
    item_ids: ArrayLike | None = None,
    sep: str = ",",
    member: str | None = None,
    encoding: str = "utf-8",
    decimal: Literal[".", ","] = ".",
    timestamp_format: str | None = None,
    drop_empty_users: bool = False,
) -> Bunch:
    """Load a table of user-item interactions as a sparse users x items matrix.

    Ids of any kind are numbered, repeated interactions are merged, and rare users and
    items can be dropped. New data can be loaded with the columns of earlier data.

    Parameters
    ----------
    source : str, path-like, DataFrame, mapping or tuple of arrays
        One row per interaction, from one of

        - a delimited text file, compressed or not (``.csv``, ``.csv.gz``,
          ``.csv.bz2``, ``.csv.xz``); only the requested columns are kept;
        - a ``.zip`` archive, see `member`;
        - a pandas or polars DataFrame;
        - a mapping from column names to arrays, or a tuple of arrays.

    user, item : str or int
        The columns of the user ids and of the item ids: names, or positions counted
        from 0 for a tuple of arrays and for a file without a header line.

    rating : str or int, default=None
        The column of ratings, which must be positive if they become values of the
        matrix.

    timestamp : str or int, default=None
        The column of the times of the interactions: numbers (rounded down to integers),
        or datetimes or text of dates such as "2024-05-31 18:00:00" (converted to
        seconds since 1970-01-01 UTC). For text in another form see `timestamp_format`.

    values : {"binary", "rating", "count"}, default="binary"
        Values of the matrix, and how several interactions of one user with one item
        are merged:

        - "binary": 1, however many interactions there are;
        - "rating": the rating of the latest interaction by `timestamp`; without
          `timestamp`, or with equal ones, the rating of the last one in the source;
        - "count": the number of interactions; with `rating`, the sum of their ratings.

    min_rating : float, default=None
        Keep only rows with at least this rating. This comes before all other steps.
        Liang et al. [1]_ keep 4 and 5 stars: ``min_rating=4``.

    min_user_items, min_item_users : int, default=1
        Keep users with at least `min_user_items` distinct items, and items with at
        least `min_item_users` distinct users. Dropping users may bring items below
        their minimum and vice versa, so both filters are repeated until both minima
        hold. ([1]_ filter once: first the items, then the users, with 5 for the users
        of MovieLens.) The default drops nothing.

    user_ids : array-like of shape (n_users,), default=None
        The users of the rows, in this order. Each has a row, even if it is empty.
        Interactions of other users are dropped and counted. Cannot be combined with
        `min_user_items`.

    item_ids : array-like of shape (n_items,), default=None
        The items of the columns, in this order, such as the ``item_ids`` of the data
        that a model was fitted on. Interactions with other items are dropped and
        counted. All users of the source then keep a row, even if it is empty, because
        users without known history need recommendations too; only `min_user_items`
        above 1 drops users. It is no error if no interactions are left, or if the
        source has no rows. Cannot be combined with `min_item_users`.

    sep : str, default=","
        The separator of a file, one character.

    member : str, default=None
        The file to read in a ``.zip`` archive: its path in the archive, or its name
        alone. None takes the only CSV file, or ``ratings.csv`` if there are several.

    encoding : str, default="utf-8"
        The encoding of a file, by its name in Python, such as "latin-1" or "utf-16".

    decimal : {".", ","}, default="."
        The decimal mark of the ratings and timestamps of a file.

    timestamp_format : str, default=None
        The form of timestamps that are text, in the codes of
        :meth:`datetime.datetime.strptime`, such as ``"%d/%m/%Y %H:%M"``. None takes
        dates in the form of ISO 8601. Times without a time zone are UTC.

    drop_empty_users : bool, default=False
        Whether to drop the users that have no interactions left, even if `item_ids` is
        given. Without `item_ids` they are always dropped. Cannot be combined with
        `user_ids`.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        matrix : csr_array of float32 of shape (n_users, n_items)
            The interactions, with sorted indices, no duplicates, no explicit zeros.
        user_ids : ndarray of shape (n_users,)
            The user of each row: `user_ids` if given, else sorted.
        item_ids : ndarray of shape (n_items,)
            The item of each column: `item_ids` if given, else sorted.
        timestamps : csr_array of int64 of shape (n_users, n_items), or None
            The time of the latest interaction of each pair, with the same ``indptr``
            and ``indices`` as `matrix`. It may hold explicit zeros. None without
            `timestamp`.
        n_read : int
            Number of rows of the source.
        n_below_min_rating : int
            Number of rows dropped by `min_rating`.
        n_unknown_users, n_unknown_items, n_unknown_interactions : int
            Number of distinct users that are not in `user_ids`, of distinct items that
            are not in `item_ids`, and of rows dropped with either; 0 without `user_ids`
            and `item_ids`.
        n_empty_users : int
            Number of users that have no interactions left. They were dropped, except
            that with `user_ids`, or with `item_ids` unless `drop_empty_users` or
            `min_user_items` above 1, they have empty rows.
        n_duplicates : int
            Number of rows merged into another row of the same user and item.
        n_filtered : int
            Number of pairs dropped by `min_user_items` and `min_item_users`.
        DESCR : str
            Description of what was read, merged and dropped.

    Raises
    ------
    FileNotFoundError
        If `source` is a path at which there is no file.
    TypeError
        If `source` is none of the above.
    ValueError
        If a file cannot be read with this `sep` and `encoding`, or a line has too many
        fields; a column is missing; ids or timestamps are missing in some rows, or
        different ids could be taken for the same one; ratings that are used are not
        finite, or not positive although they become values; `rating` is needed but not
        given;
        `user_ids` or `item_ids` repeats an id, is of another kind than the ids of the
        source or is combined with `min_user_items` or `min_item_users`; or no
        interactions are left and `item_ids` is not given.

    See Also
    --------
    fetch_movielens : Load the MovieLens data sets, with titles.
    make_interactions : Generate interactions whose true preferences are known.

    Notes
    -----
    A file is parsed in chunks, so that memory is needed for the requested columns, not
    for the whole file. Ids of a file become numbers if all are distinct numbers of 64
    bits without leading zeros or plus signs; otherwise the whole column stays text, as
    it does if `user_ids` or `item_ids` are text. So 7 and 0007 are two ids.

    For "rating" and "count", a rating of zero raises an error and is not dropped: only
    the caller knows whether it means dislike (``min_rating=1``) or an interaction
    without a rating (``values="binary"``).

    References
    ----------
    .. [1] D. Liang, R. G. Krishnan, M. D. Hoffman and T. Jebara, "Variational
       Autoencoders for Collaborative Filtering", WWW 2018.

    Examples
    --------
    >>> from skvae.datasets import load_interactions
    >>> table = {
    ...     "who": ["eva", "eva", "kim", "kim", "kim"],
    ...     "what": ["tea", "jam", "tea", "jam", "tea"],
    ...     "stars": [5, 4, 2, 3, 4],
    ... }
    >>> data = load_interactions(
    ...     table, user="who", item="what", rating="stars", values="rating"
    ... )
    >>> data.matrix.toarray()
    array([[4., 5.],
           [3., 4.]], dtype=float32)
    >>> data.user_ids.tolist(), data.item_ids.tolist()
    (['eva', 'kim'], ['jam', 'tea'])

    Load the interactions of new users with the columns of the data above:

    >>> new = {"who": ["ann", "ann"], "what": ["tea", "bread"]}
    >>> new = load_interactions(new, user="who", item="what", item_ids=data.item_ids)
    >>> new.matrix.toarray()
    array([[0., 1.]], dtype=float32)
    >>> new.n_unknown_items
    1
    """
    known = {"user": user_ids, "item": item_ids}
    minima = {"user": min_user_items, "item": min_item_users}
    check_combination(values, rating, min_rating, known, minima)
    if drop_empty_users and user_ids is not None:
        raise ValueError(
            "user_ids fixes the rows, so drop_empty_users=True cannot drop any; leave "
            "drop_empty_users=False."
        )
    if timestamp_format is not None and timestamp is None:
        raise ValueError(
            f"timestamp_format={timestamp_format!r} needs the timestamps; pass the "
            "name of their column as timestamp=..."
        )
    roles = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    roles = {
        role: name if isinstance(name, str) else int(name)
        for role, name in roles.items()
        if name is not None
    }
    known = {
        role: None if ids is None else check_known_ids(ids, role)
        for role, ids in known.items()
    }
    as_text = {role for role, ids in known.items() if ids is not None and is_text(ids)}
    if timestamp_format is not None:
        as_text.add("timestamp")
    columns = read_columns(
        source,
        roles,
        sep=sep,
        member=member,
        encoding=encoding,
        decimal=decimal,
        text_roles=as_text,
    )
    n_read = len(columns["user"])
    if n_read == 0 and item_ids is None:
        raise ValueError("The source has no rows; pass at least one interaction.")

    users, row_ids, n_unknown_users = encode_ids(columns["user"], "user", known["user"])
    items, column_ids, n_unknown_items = encode_ids(
        columns["item"], "item", known["item"]
    )
    weights, liked = weights_of(columns.get("rating"), values, min_rating, n_read)
    order = times = None
    if timestamp is not None:
        order, times = check_timestamps(columns["timestamp"], timestamp_format)
    del columns

    is_known = (users >= 0) & (items >= 0)
    kept = np.flatnonzero(liked & is_known)
    pairs, data, latest = merge_pairs(
        users[kept] * len(column_ids) + items[kept],
        weights[kept],
        None if order is None else order[kept],
        values,
    )
    if values == "count" and data.size and data.max() > np.finfo(np.float32).max:
        raise ValueError(
            f"The ratings of one user and item add up to {data.max():.3g}, beyond the "
            "range of float32; scale them, or use values='rating'."
        )
    core = core_pairs(
        pairs, (len(row_ids), len(column_ids)), min_user_items, min_item_users
    )
    counts = {
        "n_read": n_read,
        "n_below_min_rating": n_read - int(np.count_nonzero(liked)),
        "n_unknown_users": n_unknown_users,
        "n_unknown_items": n_unknown_items,
        "n_unknown_interactions": int(np.count_nonzero(liked & ~is_known)),
        "n_duplicates": len(kept) - len(pairs),
        "n_filtered": len(pairs) - int(np.count_nonzero(core)),
    }
    if not core.any() and item_ids is None:
        raise ValueError(_nothing_left(counts, min_user_items, min_item_users))
    rows, cols = np.divmod(pairs[core], len(column_ids))
    has_items = np.bincount(rows, minlength=len(row_ids)) > 0
    counts["n_empty_users"] = int(np.count_nonzero(~has_items))
    drops_users = item_ids is None or min_user_items > 1 or drop_empty_users
    drops_users = drops_users and user_ids is None
    user_kept = has_items if drops_users else np.ones(len(row_ids), dtype=bool)
    item_kept = np.ones(len(column_ids), dtype=bool)
    if item_ids is None:
        item_kept = np.bincount(cols, minlength=len(column_ids)) > 0
    row_ids, column_ids = row_ids[user_kept], column_ids[item_kept]
    rows, cols = np.cumsum(user_kept)[rows] - 1, np.cumsum(item_kept)[cols] - 1

    shape = (len(row_ids), len(column_ids))
    matrix = csr_from_sorted_pairs(rows, cols, data[core], shape)
    timestamps = None
    if times is not None:
        timestamps = sparse.csr_array(
            (times[kept[latest[core]]], matrix.indices.copy(), matrix.indptr.copy()),
            shape=shape,
        )
    return Bunch(
        matrix=matrix,
        user_ids=row_ids,
        item_ids=column_ids,
        timestamps=timestamps,
        **counts,
        DESCR=_describe(source, matrix, values, min_rating, counts),
    )


def check_combination(values, rating, min_rating, known, minima):
    if rating is None and values == "rating":
        raise ValueError(
            "values='rating' needs the ratings; pass the name of their column as "
            "rating=..., or values='binary'."
        )
    if rating is None and min_rating is not None:
        raise ValueError(
            f"min_rating={min_rating} needs the ratings; pass the name of their column "
            "as rating=..."
        )
    for (role, ids), other, kept in zip(
        known.items(), ("item", "user"), ("rows", "columns"), strict=True
    ):
        name = f"min_{role}_{other}s"
        if ids is not None and minima[role] > 1:
            raise ValueError(
                f"{role}_ids fixes the {kept}, so {name}={minima[role]} cannot drop "
                f"any; leave {name}=1."
            )


def weights_of(ratings, values, min_rating, n_read):
    """Return the weight of each row, and a mask of rows with sufficient rating."""
    liked = np.ones(n_read, dtype=bool)
    if ratings is None or (values == "binary" and min_rating is None):
        return np.ones(n_read, dtype=np.int8), liked
    at_least = None if min_rating is None else (lambda rating: rating >= min_rating)
    ratings = check_ratings(ratings, positive=values != "binary", keep=at_least)
    if min_rating is not None:
        liked = at_least(ratings)
    return (np.ones(n_read, dtype=np.int8) if values == "binary" else ratings), liked


def _nothing_left(counts, min_user_items, min_item_users):
    """Make an error message that says how much each filter dropped."""
    dropped = []
    if counts["n_below_min_rating"]:
        dropped.append(f"min_rating dropped {counts['n_below_min_rating']} rows")
    is_unknown = counts["n_unknown_interactions"] > 0
    if is_unknown:
        dropped.append(
            f"{counts['n_unknown_interactions']} are of users or items not in user_ids "
            "or item_ids (check that these belong to this data)"
        )
    if counts["n_filtered"]:
        dropped.append(
            f"min_user_items={min_user_items} with min_item_users={min_item_users} "
            f"dropped {counts['n_filtered']} pairs"
        )
    return (
        f"No interactions are left of {counts['n_read']} rows: {'; '.join(dropped)}."
        + " Lower the minimum that drops the most." * (len(dropped) > is_unknown)
    )


def _describe(source, matrix, values, min_rating, counts):
    where = f"{source}, " if isinstance(source, (str, PathLike)) else ""
    n_users, n_items = matrix.shape
    lines = [
        f"Interactions of {n_users:,} users with {n_items:,} items",
        "",
        f"Source: {where}{counts['n_read']:,} rows.",
        f"Interactions: {matrix.nnz:,} pairs, {matrix.nnz / max(n_users, 1):.1f} per "
        f"user, density {matrix.nnz / max(n_users * n_items, 1):.2%}.",
        f"Values: {values}; {_MERGED[values]} "
        f"({counts['n_duplicates']:,} rows merged).",
    ]
    if min_rating is not None:
        lines.append(
            f"Ratings below {min_rating:g} dropped: {counts['n_below_min_rating']:,} "
            "rows."
        )
    for role in ("user", "item"):
        if n_unknown := counts[f"n_unknown_{role}s"]:
            lines.append(
                f"{role.capitalize()}s not in {role}_ids dropped: {n_unknown:,}."
            )
    if counts["n_unknown_interactions"]:
        lines.append(
            "Interactions of unknown users or items dropped: "
            f"{counts['n_unknown_interactions']:,} rows."
        )
    if counts["n_filtered"]:
        lines.append(
            "Users and items with too few interactions dropped: "
            f"{counts['n_filtered']:,} pairs."
        )
    if n_empty := counts["n_empty_users"]:
        has_rows = np.count_nonzero(np.diff(matrix.indptr) == 0) > 0
        lines.append(
            f"Users without remaining interactions: {n_empty:,}, "
            f"{'which have empty rows' if has_rows else 'dropped'}."
        )
    return "\n".join(lines) + "\n"
