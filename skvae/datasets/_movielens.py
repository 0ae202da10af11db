"""The MovieLens data sets, which come in three file formats."""

import csv
import io
import zipfile
import zlib
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from skvae.datasets._fetch import cached_file
from skvae.datasets._interactions import load_interactions
from skvae.datasets._readers import find_member

_URL = "https://files.grouplens.org/datasets/movielens/ml-{}.zip"

# Errors of zipfile; RuntimeError is that of an encrypted archive.
DAMAGED = (zipfile.BadZipFile, EOFError, RuntimeError, zlib.error)

_TERMS = """\
MovieLens was collected by GroupLens Research at the University of Minnesota. The data
are for research; commercial use needs the permission of GroupLens, and so may passing
them on: see the README inside the archive. Publications cite F. M. Harper and J. A.
Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015.
"""


class _Format(NamedTuple):
    """File format of an archive."""

    ratings: str  # file with the ratings; its separator and columns
    sep: str
    columns: dict
    titles: str  # file with the titles; its encoding
    encoding: str


_TAB = _Format(
    ratings="u.data",
    sep="\t",
    columns={"user": 0, "item": 1, "rating": 2, "timestamp": 3},
    titles="u.item",
    encoding="latin-1",
)
# Fields are separated by "::". If they are split at ":", every second field is empty.
_DAT = _Format(
    ratings="ratings.dat",
    sep=":",
    columns={"user": 0, "item": 2, "rating": 4, "timestamp": 6},
    titles="movies.dat",
    encoding="latin-1",
)
_CSV = _Format(
    ratings="ratings.csv",
    sep=",",
    columns={
        "user": "userId",
        "item": "movieId",
        "rating": "rating",
        "timestamp": "timestamp",
    },
    titles="movies.csv",
    encoding="utf-8",
)

_FORMATS = {
    "latest-small": _CSV,
    "100k": _TAB,
    "1m": _DAT,
    "10m": _DAT._replace(encoding="utf-8"),
    "20m": _CSV,
    "25m": _CSV,
    "32m": _CSV,
}

# GroupLens publishes MD5 checksums; these are the SHA256 checksums of the archives that
# match them. latest-small is regenerated from time to time, so it has none.
_SHA256 = {
    "100k": "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    "1m": "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    "10m": "813c411ccb6122564edfe752e7f80c4dcc5aa25fa94c93622f6877a7ba252862",
    "20m": "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
    "25m": "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
    "32m": "e4a68655d7386b8f95f2f2424b2ff975dfdd15ffd59e0d864a14dca43e99d6ee",
}


# Well above the sizes of all published archives and of the files in them.
_MAX_BYTES = {"archive": 2**30, "ratings": 2**32, "titles": 2**26}


@validate_params(
    {
        "version": [StrOptions(set(_FORMATS))],
        "data_home": [str, PathLike, None],
        "download_if_missing": ["boolean"],
        "values": [StrOptions({"binary", "rating", "count"})],
        "min_rating": [Interval(Real, None, None, closed="neither"), None],
        "min_user_items": [Interval(Integral, 1, None, closed="left")],
        "min_item_users": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def fetch_movielens(
    version: Literal[
        "latest-small", "100k", "1m", "10m", "20m", "25m", "32m"
    ] = "latest-small",
    *,
    data_home: str | PathLike[str] | None = None,
    download_if_missing: bool = True,
    values: Literal["binary", "rating", "count"] = "binary",
    min_rating: float | None = None,
    min_user_items: int = 1,
    min_item_users: int = 1,
) -> Bunch:
    """Load a MovieLens data set, downloading it if necessary.

    =============  ==========  =======  ============  =======
    version        ratings     users    rated movies  archive
    =============  ==========  =======  ============  =======
    latest-small      100,836      610         9,724     1 MB
    100k              100,000      943         1,682     5 MB
    1m              1,000,209    6,040         3,706     6 MB
    10m            10,000,054   69,878        10,677    63 MB
    20m            20,000,263  138,493        26,744   190 MB
    25m            25,000,095  162,541        59,047   250 MB
    32m            32,000,204  200,948        84,432   239 MB
    =============  ==========  =======  ============  =======

    Parameters
    ----------
    version : {"latest-small", "100k", "1m", "10m", "20m", "25m", "32m"}, \
            default="latest-small"
        Data set to load. "latest-small" changes from time to time; the table describes
        its state in 2018.

    data_home : str or path-like, default=None
        Folder of all data sets. None stands for the folder of scikit-learn, by default
        '~/scikit_learn_data'. The archive is kept there as ``movielens/ml-*.zip``.

    download_if_missing : bool, default=True
        If False, raise an OSError if the archive is missing, instead of downloading it.

    values : {"binary", "rating", "count"}, default="binary"
        Values of the matrix, as in :func:`load_interactions`.

    min_rating : float, default=None
        Keep only ratings of at least this many stars. Liang et al. [2]_ keep 4 and 5:
        ``min_rating=4``.

    min_user_items, min_item_users : int, default=1
        Keep users and items with at least this many interactions, as in
        :func:`load_interactions`.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        The attributes that :func:`load_interactions` returns, including ``timestamps``
        (seconds since 1970-01-01 UTC), and

        item_names : ndarray of object of shape (n_items,)
            The title of the movie of each column, with the year; "" if it has none.

    Raises
    ------
    OSError
        If the archive is missing and `download_if_missing` is False, or cannot be
        downloaded.
    ValueError
        If the archive cannot be read, or no interactions are left.

    See Also
    --------
    load_interactions : Load any table of interactions.
    fetch_amazon_reviews : Load reviews of Amazon products.

    Notes
    -----
    An archive that is already in the folder is used as it is, without network access.
    Downloads are checked against a SHA256 checksum, except for "latest-small", whose
    checksum changes with its content.

    The data are for research use; read the terms in ``DESCR`` and in the README inside
    the archive.

    References
    ----------
    .. [1] F. M. Harper and J. A. Konstan, "The MovieLens Datasets: History and
       Context", ACM Transactions on Interactive Intelligent Systems 5(4), 2015.
       https://grouplens.org/datasets/movielens/

    .. [2] D. Liang, R. G. Krishnan, M. D. Hoffman and T. Jebara, "Variational
       Autoencoders for Collaborative Filtering", WWW 2018.

    Examples
    --------
    >>> from skvae.datasets import fetch_movielens
    >>> movies = fetch_movielens("100k", min_rating=4)  # doctest: +SKIP
    >>> movies.matrix.shape  # doctest: +SKIP
    (942, 1447)
    >>> movies.item_names[0]  # doctest: +SKIP
    'Toy Story (1995)'
    """
    path = cached_file(
        _URL.format(version),
        "movielens",
        data_home=data_home,
        download_if_missing=download_if_missing,
        max_bytes=_MAX_BYTES["archive"],
        sha256=_SHA256.get(version),
    )
    layout = _FORMATS[version]
    _check_archive(path, layout)
    dataset = load_interactions(
        path,
        **layout.columns,
        sep=layout.sep,
        member=layout.ratings,
        values=values,
        min_rating=min_rating,
        min_user_items=min_user_items,
        min_item_users=min_item_users,
    )
    titles = _read_titles(path, layout)
    dataset.item_names = np.array(
        [titles.get(item, "") for item in dataset.item_ids.tolist()], dtype=object
    )
    dataset.DESCR = f"MovieLens {version}\n\n{dataset.DESCR}\n{_TERMS}"
    return dataset


def _check_archive(path, layout):
    """Raise a ValueError if files are missing, or larger than any such file is."""
    try:
        with zipfile.ZipFile(path) as archive:
            for kind in ("ratings", "titles"):
                name = getattr(layout, kind)
                found = [i for i in archive.infolist() if Path(i.filename).name == name]
                if len(found) != 1:
                    raise zipfile.BadZipFile(f"it does not hold exactly one {name}")
                if found[0].file_size > _MAX_BYTES[kind]:
                    raise zipfile.BadZipFile(
                        f"{name} in it has {found[0].file_size:,} bytes unpacked"
                    )
    except DAMAGED as error:
        raise ValueError(
            f"{path} is not a MovieLens archive ({error}); delete it to download it "
            "again."
        ) from error


def _read_titles(path, layout):
    """Read the title of each movie id: a dict."""
    try:
        return _parse_titles(path, layout)
    except (*DAMAGED, LookupError, TypeError, ValueError, csv.Error) as error:
        raise ValueError(
            f"{path} is damaged: {layout.titles} in it is not a table of titles "
            f"({error!r}); delete it to download it again."
        ) from error


def _parse_titles(path, layout):
    with zipfile.ZipFile(path) as archive:
        with archive.open(find_member(archive, layout.titles)) as file:
            lines = io.TextIOWrapper(file, encoding=layout.encoding, newline="")
            if layout.titles.endswith(".csv"):
                return {
                    int(row["movieId"]): row["title"] for row in csv.DictReader(lines)
                }
            # u.item: id|title|date|...; movies.dat: id::title::genres (":" in titles)
            sep = "|" if layout.titles == "u.item" else "::"
            rows = (line.split(sep) for line in lines if line.strip())
            return {int(row[0]): row[1].strip() for row in rows}
