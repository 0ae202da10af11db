"""Turn columns of ids, ratings and timestamps into numbers, or say why not."""

import numpy as np


def encode_ids(column, role):
    """Give numbers to the distinct ids of a column in sorted order.

    Parameters
    ----------
    column : array-like of shape (n_rows,)
        Ids, all of them text or all of them numbers.
    role : {"user", "item"}
        What is numbered, for error messages.

    Returns
    -------
    codes : ndarray of int64 of shape (n_rows,)
        Position of each id in `ids`.
    ids : ndarray of shape (n_ids,)
        The distinct ids, sorted.
    """
    import pandas as pd

    codes, ids = pd.factorize(_plain_ids(column, role), sort=True)
    return codes.astype(np.int64), _compact(np.asarray(ids))


def encode_known_ids(column, ids, role):
    """Position of each id of a column in `ids`, -1 where it is not there.

    Parameters
    ----------
    column : array-like of shape (n_rows,)
        Ids, all of them text or all of them numbers.
    ids : ndarray of shape (n_ids,)
        The known ids, from :func:`check_item_ids`.
    role : {"user", "item"}
        What is numbered, for error messages.

    Returns
    -------
    codes : ndarray of int64 of shape (n_rows,)
        Positions in `ids`.
    n_unknown : int
        Number of distinct ids which are not in `ids`.
    """
    import pandas as pd

    values = _plain_ids(column, role)
    if _is_text(values) != _is_text(ids) and len(values):
        raise ValueError(
            f"The {role} column holds {_kind(values)} but {role}_ids holds "
            f"{_kind(ids)}; convert one of them, for no {role} can match."
        )
    rows, distinct = pd.factorize(values)
    positions = pd.Index(ids).get_indexer(distinct).astype(np.int64)
    return positions[rows], int(np.count_nonzero(positions < 0))


def check_item_ids(item_ids):
    """Validate the columns that a caller asks for; return them as an array."""
    ids = _compact(_plain_ids(np.asarray(item_ids), "item_ids"))
    if ids.ndim != 1 or len(ids) == 0:
        raise ValueError(
            f"item_ids has shape {ids.shape}; pass a 1-D array of at least one item id."
        )
    distinct, counts = np.unique(ids, return_counts=True)
    if len(distinct) < len(ids):
        raise ValueError(
            f"item_ids holds {distinct[counts > 1][0]!r} more than once "
            f"({len(ids)} ids, {len(distinct)} distinct); each item is one column."
        )
    return ids


def check_ratings(column, *, positive, keep=None):
    """Ratings as float64, all of them usable.

    Parameters
    ----------
    column : array-like of shape (n_rows,)
        Ratings.
    positive : bool
        Whether they become values of the matrix, which zero and less cannot.
    keep : callable, default=None
        Rating array -> boolean mask of those which must be positive.

    Returns
    -------
    ratings : ndarray of float64 of shape (n_rows,)
    """
    _refuse_complex(column, "ratings")
    try:
        ratings = np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        row, value = _first_not_number(column)
        raise ValueError(
            f"The rating of row {row} is {value!r}, not a number; repair that row or "
            "drop it before loading."
        ) from None
    with np.errstate(over="ignore"):
        stored = ratings.astype(np.float32)
    _refuse(~np.isfinite(stored), ratings, "must be finite", "repair or drop such rows")
    if positive:
        bad = stored <= 0
        if keep is not None:
            bad &= keep(ratings)
        _refuse(
            bad,
            ratings,
            "must be positive, because a sparse matrix stores no zeros and a negative "
            "value is no interaction",
            "drop such rows with min_rating, shift the scale, or use values='binary'",
        )
    return ratings


def check_timestamps(column):
    """Return timestamps to order by, and the same in whole numbers to store.

    Parameters
    ----------
    column : array-like of shape (n_rows,)
        Numbers, or datetimes.

    Returns
    -------
    order : ndarray of shape (n_rows,)
        Values in the order of time, as exact as the column is.
    timestamps : ndarray of int64 of shape (n_rows,)
        Numbers rounded down; datetimes as seconds since 1970-01-01 UTC.
    """
    import pandas as pd

    _refuse_complex(column, "timestamps")
    series = pd.Series(column)
    n_missing = int(series.isna().sum())
    if n_missing:
        raise ValueError(
            f"{n_missing} of {len(series)} timestamps are missing, the first in row "
            f"{int(np.flatnonzero(series.isna())[0])}; fill them, drop those rows, or "
            "load without timestamp."
        )
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        moments = pd.DatetimeIndex(series)
        if moments.tz is not None:
            moments = moments.tz_convert(None)
        moments = moments.to_numpy()
        return moments, moments.astype("datetime64[s]").astype(np.int64)
    try:
        order = np.asarray(pd.to_numeric(series))
    except (TypeError, ValueError):
        row, value = _first_not_number(series)
        raise ValueError(
            f"The timestamp of row {row} is {value!r}; timestamps must be numbers or "
            "datetimes: convert the column, for instance with pandas.to_datetime, and "
            "pass the DataFrame."
        ) from None
    if order.dtype.kind not in "iuf":  # a nullable integer column, or bool
        order = np.asarray(order.tolist()) * 1
    # Past 2**63 the conversion below would wrap around without a word.
    if order.dtype.kind != "i" and not (np.abs(order.astype(float)) < 2.0**63).all():
        raise ValueError("timestamps must be finite and fit in 64-bit integers.")
    whole = np.floor(order) if order.dtype.kind == "f" else order
    return order, whole.astype(np.int64)


def _refuse_complex(column, role):
    if getattr(getattr(column, "dtype", None), "kind", "") == "c":
        raise ValueError(f"The {role} are complex numbers; pass real ones.")


def _plain_ids(column, role):
    """Ids as a numpy array of one kind, without missing values."""
    import pandas as pd

    missing = np.asarray(pd.isna(column))
    if missing.any():
        raise ValueError(
            f"{int(missing.sum())} of {missing.size} values of {role} are missing, the "
            f"first in row {int(np.flatnonzero(missing)[0])}; drop those rows or give "
            "them an id of their own. (In files an empty field and texts such as NA or "
            "null count as missing; to keep those, read the file as text and pass the "
            "DataFrame.)"
        )
    values = np.asarray(column)
    if values.dtype.kind != "O":
        return values
    kind = pd.api.types.infer_dtype(values, skipna=False)
    if kind in ("integer", "boolean", "floating"):
        numbers = np.asarray(values.tolist())
        if kind == "integer" and numbers.dtype.kind not in "iu":
            raise ValueError(
                f"The ids of {role} are integers that no type of 64 bits holds; make "
                "them text, for instance with .astype(str)."
            )
        return numbers
    if kind not in ("string", "empty"):
        raise ValueError(
            f"The ids of {role} are of kind {kind!r}; make all of them text or all of "
            "them numbers, for instance with .astype(str)."
        )
    return values


def _compact(ids):
    """Text ids as a fixed-width array, which saves without pickle."""
    return ids.astype(str) if ids.dtype.kind == "O" else ids


def _is_text(values):
    return values.dtype.kind in "OU"


def _kind(values):
    example = values[0]
    return f"{'text' if _is_text(values) else 'numbers'} such as {example!r}"


def _first_not_number(column):
    """Row and value of the first entry which is no number."""
    for row, value in enumerate(np.asarray(column, dtype=object)):
        try:
            float(value)
        except (TypeError, ValueError):
            return row, value
    return 0, column[0]  # all of them are, one by one: the kind of column is at fault


def _refuse(bad, ratings, expected, remedy):
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"The rating of row {row} is {ratings[row]} ({int(bad.sum())} such rows, "
            f"counted from 0 without the header); ratings {expected}: {remedy}."
        )
