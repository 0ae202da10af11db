"""Convert columns of ids, ratings and timestamps to numbers, or explain the error."""

import re
from itertools import repeat
from operator import contains

import numpy as np

# Text ids become a fixed-width array if it has at most so many characters (64 MiB).
WIDE_CHARACTERS = 2**24


def encode_ids(column, role, known=None):
    """Number the distinct ids of a column, in sorted order or by their known position.

    Parameters
    ----------
    column : array-like of shape (n_rows,)
        Ids, all of them text or all of them numbers.
    role : {"user", "item"}
        Role of the column, for error messages.
    known : ndarray of shape (n_ids,), default=None
        The ids to look up, from :func:`check_known_ids`.

    Returns
    -------
    codes : ndarray of int64 of shape (n_rows,)
        Position of each id in `ids`, -1 for one that is not known.
    ids : ndarray of shape (n_ids,)
        `known`, or the distinct ids, sorted.
    n_unknown : int
        Number of distinct ids that are not known.
    """
    import pandas as pd

    values = plain_ids(column, role)
    if known is None:
        codes, ids = pd.factorize(values, sort=True)
        return codes.astype(np.int64), compact(np.asarray(ids)), 0
    if len(values) and _kind(values) != _kind(known):
        raise ValueError(
            f"The {role} column holds {_kind(values)} such as {_first(values)} "
            f"but {role}_ids holds {_kind(known)} such as {_first(known)}; convert one "
            f"of them, as otherwise no {role} can match."
        )
    rows, distinct = pd.factorize(values)
    if distinct.dtype != known.dtype and not is_text(known):
        # As Python's numbers; the common type of int64 and uint64 would be float64.
        known_index = pd.Index(known.astype(object), dtype=object)
        distinct = pd.Index(distinct.astype(object), dtype=object)
    else:
        known_index = pd.Index(known)
    positions = known_index.get_indexer(distinct).astype(np.int64)
    return positions[rows], known, int(np.count_nonzero(positions < 0))


def check_known_ids(ids, role) -> np.ndarray:
    """Validate the requested ids of a role, and return them as an array."""
    name = f"{role}_ids"
    ids = _as_column(ids)
    if ids.ndim != 1 or len(ids) == 0:
        raise ValueError(
            f"{name} has shape {ids.shape}; pass a 1-D array of at least one {role} id."
        )
    ids = compact(plain_ids(ids, name))
    distinct, counts = np.unique(ids, return_counts=True)
    if len(distinct) < len(ids):
        raise ValueError(
            f"{name} holds {distinct[counts > 1].tolist()[0]!r} more than once "
            f"({len(ids)} ids, {len(distinct)} distinct); pass each {role} once."
        )
    return ids


def is_text(ids):
    """Return whether an array of ids holds text."""
    return ids.dtype.kind in "OU"


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
        comma = isinstance(value, str) and re.fullmatch(r"\s*\d*,\d+\s*", value)
        remedy = (
            "if the comma is the decimal mark of a file, pass decimal=','"
            if comma
            else "correct or drop that row before loading"
        )
        raise ValueError(
            f"The rating of row {row} is {value!r}, not a number; {remedy}."
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


def check_timestamps(column, form=None):
    """Return timestamps to sort by, and the same as integers to store.

    Parameters
    ----------
    column : array-like of shape (n_rows,)
        Numbers, datetimes, or text of dates.
    form : str, default=None
        Form of text, in the codes of strptime; None for numbers and ISO 8601.

    Returns
    -------
    order : ndarray of shape (n_rows,)
        Values that sort by time, with the precision of the column.
    timestamps : ndarray of int64 of shape (n_rows,)
        Numbers rounded down; datetimes as seconds since 1970-01-01 UTC.
    """
    import pandas as pd

    _refuse_complex(column, "timestamps")
    series = pd.Series(column).infer_objects()
    n_missing = int(series.isna().sum())
    if n_missing:
        raise ValueError(
            f"{n_missing} of {len(series)} timestamps are missing, the first in row "
            f"{int(np.flatnonzero(series.isna())[0])}; fill them, drop those rows, or "
            "pass timestamp=None."
        )
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        return _moments(series)
    if form is not None:
        return _moments(_parsed_dates(series.astype(str), form))
    try:
        order = np.asarray(pd.to_numeric(series))
    except (TypeError, ValueError):
        return _moments(_parsed_dates(series))
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


def _moments(series):
    """Return datetimes in UTC to sort by, and the same in seconds since 1970."""
    import pandas as pd

    moments = pd.DatetimeIndex(series)
    if moments.tz is not None:
        moments = moments.tz_convert(None)
    moments = moments.to_numpy()
    return moments, moments.astype("datetime64[s]").astype(np.int64)


def _parsed_dates(series, form=None):
    """Parse text of dates in this form; None is ISO 8601."""
    import pandas as pd

    dates = None
    if pd.api.types.infer_dtype(series, skipna=False) in ("string", "empty"):
        try:
            dates = pd.to_datetime(
                series, format=form or "ISO8601", utc=True, errors="coerce"
            )
        except ValueError as error:  # the form itself is invalid
            raise ValueError(
                f"timestamp_format={form!r} is invalid: {error}."
            ) from None
    if dates is not None and not dates.isna().any():
        return dates
    if form is not None:
        row = int(np.flatnonzero(dates.isna())[0])
        raise ValueError(
            f"The timestamp of row {row} is {series.iloc[row]!r}, which does not have "
            f"the form timestamp_format={form!r}; correct the form or that row."
        )
    row, value = _first_not_number(series)
    if dates is not None:
        neither = dates.isna() & pd.to_numeric(series, errors="coerce").isna()
        row = int(np.flatnonzero(neither if neither.any() else dates.isna())[0])
        value = series.iloc[row]
    raise ValueError(
        f"The timestamp of row {row} is {value!r}; timestamps must be numbers, "
        "datetimes or text such as '2024-05-31 18:00:00' (ISO 8601), all of one kind. "
        "For text in another form pass timestamp_format=..., such as "
        "timestamp_format='%d/%m/%Y %H:%M'."
    )


def _refuse_complex(column, role):
    if getattr(getattr(column, "dtype", None), "kind", "") == "c":
        raise ValueError(f"The {role} are complex numbers; pass real numbers.")


def plain_ids(column, role):
    """Return ids as a numpy array of one kind; raise if some are missing."""
    import pandas as pd

    if not hasattr(column, "dtype"):
        column = _as_column(column)
    missing = np.asarray(pd.isna(column))
    if missing.any():
        raise ValueError(
            f"{int(missing.sum())} of {missing.size} values of {role} are missing, the "
            f"first in row {int(np.flatnonzero(missing)[0])}; drop those rows or give "
            "them a separate id. (In files an empty field and texts such as NA, None "
            "or null count as missing; rename an id that is such a text.)"
        )
    values = np.asarray(column)
    if values.dtype.kind == "O":
        values = _of_one_kind(values, role)
    if values.dtype.kind == "f":
        _check_float_ids(values, role)
    if is_text(values) and any(map(contains, values.tolist(), repeat("\0"))):
        bad = next(value for value in values.tolist() if "\0" in value)
        raise ValueError(
            f"The ids of {role} include {_shown(bad)}, which contains the character "
            "NUL; arrays of text do not keep it, so remove it from the ids."
        )
    return values


def _as_column(column):
    """Return a list as an array of its elements as they are, others as an array.

    As another type, numpy would make floats of [1, 2**63] and ones of [1, True].
    """
    return np.asarray(column, dtype=None if hasattr(column, "dtype") else object)


def _of_one_kind(values, role):
    """Convert ids of type object to integers, floats, booleans, or leave them text."""
    import pandas as pd

    kind = pd.api.types.infer_dtype(values, skipna=False)
    if kind in ("string", "empty"):
        return values
    if kind == "integer":
        integers = list(map(int, values.tolist()))
        low, high = min(integers), max(integers)
        for dtype in (np.int64, np.uint64):
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return np.array(integers, dtype=dtype)
        raise ValueError(
            f"The ids of {role} are integers from {low} to {high}, which no type of 64 "
            "bits holds; convert them to text, for instance with .astype(str)."
        )
    if kind in ("boolean", "floating", "mixed-integer-float"):
        numbers = np.asarray(values.tolist())
        if numbers.dtype.kind in "bf":
            return numbers
    raise ValueError(
        f"The ids of {role} are of kind {kind!r}; convert all of them to text or all "
        "of them to numbers, for instance with .astype(str)."
    )


def _check_float_ids(values, role):
    """Raise a ValueError if several ids may have become one floating-point number."""
    limit = 2.0 ** (np.finfo(values.dtype).nmant + 1)
    merged = ~(np.abs(values) < limit)
    if values.dtype.itemsize > 8:
        raise ValueError(
            f"The ids of {role} are of type {values.dtype}, which cannot be kept "
            "exactly; convert them to integers or to text."
        )
    if merged.any():
        raise ValueError(
            f"The ids of {role} include {values[merged][0]} as a floating-point number "
            f"({values.dtype}). From {limit:.0f} on, different integers become the "
            "same such number; pass the ids as integers or as text."
        )


def compact(ids):
    """Convert text ids to a fixed-width array, which can be saved without pickle.

    Ids stay objects if one is so long that the array would waste much memory.
    """
    if ids.dtype.kind != "O" or not len(ids):
        return ids.astype(str) if ids.dtype.kind == "O" else ids
    lengths = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
    n_characters = int(lengths.max()) * len(ids)
    wasteful = n_characters > max(WIDE_CHARACTERS, 16 * int(lengths.sum()))
    return ids if wasteful else ids.astype(str)


def _kind(values):
    return {"b": "booleans", "O": "text", "U": "text"}.get(values.dtype.kind, "numbers")


def _first(values):
    return _shown(values[:1].tolist()[0])


def _shown(value):
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


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
