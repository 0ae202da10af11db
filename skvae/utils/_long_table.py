"""Recognise tables of interactions that are passed instead of a matrix."""

import re

import numpy as np
from scipy.sparse import issparse

# Names of columns, without case and signs, and with or without an ending.
USER_NAMES = r"(user|customer|reviewer|visitor|member|account|session|u)"
ITEM_NAMES = (
    r"(item|movie|product|parentasin|asin|sku|book|isbn|song|track|artist|article|game"
    r"|anime|business|recipe|i)"
)
ENDING = r"(id|idx|index|name|code|number|no)"
MOST_COLUMNS = 8
# A table without names is recognised by ids: many, some of them large.
FEWEST_ROWS, FEWEST_IDS, FEWEST_LARGEST_ID = 100, 20, 100
MOST_RATINGS = 20
FIRST_TIME = 1e8  # seconds since 1970: the year 1973


def refuse_long_table(X):
    """Raise a ValueError if X is a table with one row per interaction.

    Parameters
    ----------
    X : object
        What was passed to `fit` of a recommender. Sparse matrices are never tables.

    Raises
    ------
    ValueError
        If the names of the columns, or the values of three or four columns, are those
        of a user, an item and a rating or time.
    """
    found = None if issparse(X) else _find_ids(X)
    if found is None:
        return
    reason, call = found
    raise ValueError(
        f"X looks like a table with one row per interaction ({reason}), but a matrix "
        "with one row per user and one column per item is expected. Make it by "
        f"skvae.datasets.load_interactions({call}).matrix. If X is such a matrix, pass "
        "it as scipy.sparse.csr_array(np.asarray(X))."
    )


def _find_ids(X):
    """Return why X is a table, and the arguments of `load_interactions`; or None."""
    # A lazy frame of polars has no shape, and would be evaluated for its columns.
    names = getattr(X, "columns", None) if hasattr(X, "shape") else None
    if names is not None:
        names = list(names)
        user, item = _first(USER_NAMES, names), _first(ITEM_NAMES, names)
        if len(names) <= MOST_COLUMNS and None not in (user, item):
            return f"its columns are {names}", f"X, user={user!r}, item={item!r}"
    try:
        if np.ndim(X) != 2 or np.shape(X)[1] not in (3, 4) or not len(X):
            return None
        table = np.asarray(X)
    except Exception:  # whatever is wrong with X is for its validation to say
        return None
    if names is not None:
        call = f"X, user={names[0]!r}, item={names[1]!r}"
    else:
        call = "(np.asarray(X)[:, 0], np.asarray(X)[:, 1]), user=0, item=1"
    text = [value for value in table[0, :2].tolist() if _is_text(value)]
    if text:
        return f"its first row has the text {text[0]!r}", call
    if _has_ids_in_first_columns(table):
        return "its first two columns hold many large integers, like ids", call
    return None


def _first(pattern, names):
    """Return the first name that matches, else None."""
    for name in names:
        if re.fullmatch(f"{pattern}{ENDING}?", re.sub(r"[\W_]", "", str(name).lower())):
            return name
    return None


def _is_text(value):
    if not isinstance(value, (str, bytes)):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False


def _has_ids_in_first_columns(table):
    """Whether the columns are a user, an item, and ratings or times, all as numbers."""
    users, items, *others = map(_as_numbers, table.T)
    if len(table) < FEWEST_ROWS or users is None or items is None:
        return False
    for ids in (users, items):
        whole = ((ids == np.floor(ids)) & (ids >= 0)).all()
        # A matrix has zeros where a user did not interact with an item; 0 as an id is
        # one id of many.
        if not whole or (ids == 0).mean() > 0.05 or len(np.unique(ids)) < FEWEST_IDS:
            return False
    pairs = np.unique(np.column_stack([users, items]), axis=0)
    return (
        max(users.max(), items.max()) >= FEWEST_LARGEST_ID
        and len(np.unique(users)) <= len(table) / 2  # users interact more than once
        and len(pairs) >= 0.99 * len(table)  # and rarely with the same item
        and all(_is_rating_or_time(other) for other in others)
    )


def _as_numbers(column):
    """Convert a column to floats, seconds for times; None if that is impossible."""
    try:
        if column.dtype == object:
            column = np.array(column.tolist())
        if column.dtype == object and hasattr(column[0], "timestamp"):
            column = [value.timestamp() for value in column]
        return np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None


def _is_rating_or_time(column):
    return column is not None and bool(
        len(np.unique(column)) <= MOST_RATINGS or (column > FIRST_TIME).all()
    )
