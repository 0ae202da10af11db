"""Convert columns of ids, ratings and timestamps to numbers, or explain the error."""

import numpy as np


def encode_ids(column, role):
    """Number the distinct ids of a column in sorted order.

    Parameters
    ----------
    column : array-like of shape (n_rows,)
        Ids, all of them text or all of them numbers.
    role : {"user", "item"}
        Role of the column, for error messages.

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
    """Return the position of each id of a column in `ids`, or -1 if it is missing.

    Parameters
    ----------
    column : array-like of shape (n_rows,)
        Ids, all of them text or all of them numbers.
    ids : ndarray of shape (n_ids,)
        The known ids, from :func:`check_item_ids`.
    role : {"user", "item"}
        Role of the column, for error messages.

    Returns
    -------
    codes : ndarray of int64 of shape (n_rows,)
        Positions in `ids`.
    n_unknown : int
        Number of distinct ids that are not in `ids`.
    """
    import pandas as pd

    values = _plain_ids(column, role)
    if _is_text(values) != _is_text(ids) and len(values):
        raise ValueError(
            f"The {role} column holds {_kind(values)} but {role}_ids holds "
            f"{_kind(ids)}; convert one of them, as otherwise no {role} can match."
        )
    rows, distinct = pd.factorize(values)
    positions = pd.Index(ids).get_indexer(distinct).astype(np.int64)
    return positions[rows], int(np.count_nonzero(positions < 0))


def check_item_ids(item_ids) -> np.ndarray:
    """Validate the requested items, and return them as an array."""
    ids = _compact(_plain_ids(np.asarray(item_ids), "item_ids"))
    if ids.ndim != 1 or len(ids) == 0:
        raise ValueError(
            f"item_ids has shape {ids.shape}; pass a 1-D array of at least one item id."
        )
    distinct, counts = np.unique(ids, return_counts=True)
    if len(distinct) < len(ids):
        raise ValueError(
            f"item_ids holds {distinct[counts > 1][0]!r} more than once "
            f"({len(ids)} ids, {len(distinct)} distinct); pass each item once."
        )
    return ids


def check_ratings(column, *, positive, keep=None):
    """Validate ratings, and return them as float64.

    Parameters
    ----------
    column : array-like of shape (n_rows,)
        Ratings.
    positive : bool
        Whether ratings become values of the matrix, so that they must be positive.
    keep : callable, default=None
        Maps ratings to a boolean mask of those that must be positive; None for all.

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
            f"The rating of row {row} is {value!r}, not a number; correct or drop that "
            "row before loading."
        ) from None
    with np.errstate(over="ignore"):
        stored = ratings.astype(np.float32)
    _refuse(
        ~np.isfinite(stored), ratings, "must be finite", "correct or drop such rows"
    )
    if positive:
        bad = stored <= 0
        if keep is not None:
            bad &= keep(ratings)
        _refuse(
            bad,
            ratings,
            "must be positive, because a sparse matrix stores no zeros and a negative "
            "value is not an interaction",
            "drop such rows with min_rating, shift the scale, or use values='binary'",
        )
    return ratings


def check_timestamps(column):
    """Return timestamps to sort by, and the same as integers to store.

    Parameters
    ----------
    column : array-like of shape (n_rows,)
        Numbers, or datetimes.

    Returns
    -------
    order : ndarray of shape (n_rows,)
        Values that sort by time, with the precision of the column.
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
            "pass timestamp=None."
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
    # Beyond 2**63 the conversion below would silently wrap around.
    if order.dtype.kind != "i" and not (np.abs(order.astype(float)) < 2.0**63).all():
        raise ValueError(
            "timestamps must be finite and fit in 64-bit integers; correct or drop the "
            "rows where they do not."
        )
    whole = np.floor(order) if order.dtype.kind == "f" else order
    return order, whole.astype(np.int64)


def _refuse_complex(column, role):
    if getattr(getattr(column, "dtype", None), "kind", "") == "c":
        raise ValueError(f"The {role} are complex numbers; pass real numbers.")


def _plain_ids(column, role):
    """Return ids as a numpy array of one kind; raise if some are missing."""
    import pandas as pd

    missing = np.asarray(pd.isna(column))
    if missing.any():
        raise ValueError(
            f"{int(missing.sum())} of {missing.size} values of {role} are missing, the "
            f"first in row {int(np.flatnonzero(missing)[0])}; drop those rows or give "
            "them a separate id. (In files an empty field and texts such as NA or null "
            "count as missing; to keep those, read the file as text and pass the "
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
                f"The ids of {role} are integers that do not fit in 64 bits; convert "
                "them to text, for instance with .astype(str)."
            )
        return numbers
    if kind not in ("string", "empty"):
        raise ValueError(
            f"The ids of {role} are of kind {kind!r}; convert all of them to text or "
            "all of them to numbers, for instance with .astype(str)."
        )
    return values


def _compact(ids):
    """Convert text ids to a fixed-width array, which can be saved without pickle."""
    return ids.astype(str) if ids.dtype.kind == "O" else ids


def _is_text(values):
    return values.dtype.kind in "OU"


def _kind(values):
    example = values[0]
    return f"{'text' if _is_text(values) else 'numbers'} such as {example!r}"


def _first_not_number(column):
    """Return the row and the value of the first entry that is not a number."""
    for row, value in enumerate(np.asarray(column, dtype=object)):
        try:
            float(value)
        except (TypeError, ValueError):
            return row, value
    return 0, column[0]  # every entry is a number, but the type of the column is not


def _refuse(bad, ratings, expected, remedy):
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"The rating of row {row} is {ratings[row]} ({int(bad.sum())} such rows; "
            "rows are counted from 0, without the header). Ratings "
            f"{expected}: {remedy}."
        )
