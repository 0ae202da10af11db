"""The CiteULike data sets of Wang et al., 2013: saved articles and their words."""

import csv
import gzip
import io
import re
import zlib
from itertools import chain
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.sparse import csr_array
from sklearn.utils import Bunch
from sklearn.utils._param_validation import Options, StrOptions, validate_params

from skvae.datasets._fetch import cached_file, data_folder

_URL = "https://raw.githubusercontent.com/js05212/citeulike-{}/master/"
# The split is that of the authors of CVAE, in their own repository.
_SPLIT_URL = (
    "https://raw.githubusercontent.com/eelxpeng/CollaborativeVAE/master/"
    "data/citeulike-{}/"
)

# The authors publish no checksums. These belong to files whose MD5 checksums agree with
# those that the data registry of DataRec lists for the same addresses. For "a" it lists
# only MD5.
_SHA256 = {
    ("t", "users.dat"): (
        "02d5d429b2c0362e0ed79f6ef204666b4092563d21493abf4dfb521e8a7078bf"
    ),
    ("t", "mult.dat"): (
        "5ed81e6fdbf8d475122d4a18d622202571ac80f27be017e194a1957da585283d"
    ),
    ("t", "vocabulary.dat"): (
        "d58f0e6ce40da9e57c7ad6bbb2d0f1351730e3ecfcbbdf14eec07d493ce539e1"
    ),
}

# Well above the sizes of all files.
_MAX_BYTES = 2**28

# Patterns of the lines of each kind of file. All numbers have fewer than nine digits.
_ITEMS_LINE = re.compile(rb"\d{1,9}(?: +\d{1,9})*\s*")
_WORDS_LINE = re.compile(rb"\d{1,9}(?: +\d{1,9}:\d{1,9})*\s*")

_TERMS = """\
Collected from CiteULike by Hao Wang, Binyi Chen and Wu-Jun Li (citeulike-a partly by
Chong Wang and David M. Blei) and offered for research; the texts belong to their
authors and publishers. Publications cite H. Wang, B. Chen and W.-J. Li, "Collaborative
Topic Regression with Social Regularization for Tag Recommendation", IJCAI 2013.
"""


@validate_params(
    {
        "version": [StrOptions({"a", "t"})],
        "data_home": [str, PathLike, None],
        "download_if_missing": ["boolean"],
        "p": [Options(Integral, {1, 10}), None],
        "titles": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def fetch_citeulike(
    version: Literal["a", "t"] = "t",
    *,
    data_home: str | PathLike[str] | None = None,
    download_if_missing: bool = True,
    p: Literal[1, 10] | None = None,
    titles: bool = False,
) -> Bunch:
    """Load the articles that users of CiteULike saved, with the words of each article.

    These are interactions with item content, for recommenders that learn from both.

    =======  =====  ========  ===========  ======
    version  users  articles  user-item    words
                              pairs
    =======  =====  ========  ===========  ======
    a        5,551    16,980      204,987   8,000
    t        7,947    25,975      134,860  20,000
    =======  =====  ========  ===========  ======

    Parameters
    ----------
    version : {"a", "t"}, default="t"
        Data set to load: citeulike-a, or citeulike-t, which was collected separately,
        by 273 tags, and is sparser.

    data_home : str or path-like, default=None
        Folder of all data sets. None stands for the folder of scikit-learn, by default
        '~/scikit_learn_data'. The files are kept there in ``citeulike-a`` or
        ``citeulike-t``, those of the split in its subfolder ``splits``. Each file may
        be as published or gzipped (``users.dat`` or ``users.dat.gz``).

    download_if_missing : bool, default=True
        If False, raise an OSError if a file is missing, instead of downloading it.

    p : {1, 10}, default=None
        If given, also load a split by Li and She [2]_: `p` random articles of each user
        for training (all articles if a user has no more), the others for testing.

    titles : bool, default=False
        Whether to load the titles of the articles as well. Only citeulike-a has them,
        in a file with all abstracts.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        matrix : csr_array of float32 of shape (n_users, n_items)
            1 for each article that a user saved, with sorted indices and no
            duplicates. Rows and columns are in the order of the files.
        train, test : csr_array of float32 of shape (n_users, n_items), or None
            The two parts of the split, in the same form. None if `p` is None.
        item_features : csr_array of float32 of shape (n_items, n_words)
            How often each word occurs in the title and abstract of each article. Row i
            is the article of column i of `matrix`.
        vocabulary : ndarray of object of shape (n_words,)
            The word of each column of `item_features`.
        item_names : ndarray of object of shape (n_items,), or None
            The title of each article, "" if it has none; None if `titles` is False.
        DESCR : str
            Description of the data, and the terms of use.

    Raises
    ------
    OSError
        If a file is missing and `download_if_missing` is False, or cannot be
        downloaded.
    ValueError
        If a line of a file is invalid, or refers to an article or a word that does not
        exist; if a split has another number of users; or if titles are requested for
        "t".

    See Also
    --------
    fetch_movielens : Load ratings of movies.
    skvae.model_selection.hold_out_items : Hold out items, to recommend by content.

    Notes
    -----
    A file that is already in the folder is used as it is, without network access.
    Downloads of ``users.dat``, ``mult.dat`` and ``vocabulary.dat`` of "t" are checked
    against a SHA256 checksum; for the other files no checksum is known.

    In "t", 31 articles have no words and 391 were saved by no user. With ``p=10``,
    5,349 of its users have no test articles; metrics leave these users out.

    The data are for research use.

    References
    ----------
    .. [1] H. Wang, B. Chen and W.-J. Li, "Collaborative Topic Regression with Social
       Regularization for Tag Recommendation", IJCAI 2013.
       https://github.com/js05212/citeulike-t

    .. [2] X. Li and J. She, "Collaborative Variational Autoencoder for Recommender
       Systems", KDD 2017. https://github.com/eelxpeng/CollaborativeVAE

    Examples
    --------
    >>> from skvae.datasets import fetch_citeulike
    >>> articles = fetch_citeulike("t", p=10)  # doctest: +SKIP
    >>> articles.train.shape, articles.item_features.shape  # doctest: +SKIP
    ((7947, 25975), (25975, 20000))
    """
    if titles and version == "t":
        raise ValueError(
            "titles=True, but citeulike-t has no titles separate from its texts; pass "
            'titles=False, or version="a".'
        )
    names = ["users.dat", "mult.dat", "vocabulary.dat"]
    if titles:
        names.append("raw-data.csv")
    splits = [] if p is None else [f"cf-train-{p}-users.dat", f"cf-test-{p}-users.dat"]
    # Find all files first, so that a missing one is reported before the reading.
    where = {"data_home": data_home, "download_if_missing": download_if_missing}
    paths = {name: _find_file(_URL, version, name, "", **where) for name in names}
    for name in splits:
        paths[name] = _find_file(_SPLIT_URL, version, name, "splits", **where)

    vocabulary = _read_vocabulary(paths["vocabulary.dat"])
    item_features = _read_words(paths["mult.dat"], len(vocabulary))
    n_items = item_features.shape[0]
    matrix = _read_items(paths["users.dat"], n_items)
    parts = [_read_items(paths[name], n_items) for name in splits]
    for name, part in zip(splits, parts, strict=True):
        if part.shape != matrix.shape:
            raise ValueError(
                f"{paths[name]} has {part.shape[0]} lines but {paths['users.dat']} has "
                f"{matrix.shape[0]}, one per user; delete the file that is not from "
                f"citeulike-{version} to download it again."
            )
    train, test = parts or (None, None)
    return Bunch(
        matrix=matrix,
        train=train,
        test=test,
        item_features=item_features,
        vocabulary=vocabulary,
        item_names=_read_titles(paths["raw-data.csv"], n_items) if titles else None,
        DESCR=_describe(version, p, matrix, item_features),
    )


def _find_file(url, version, name, subfolder, *, data_home, download_if_missing):
    """Return the path of the gzipped file if it exists, else of the published file."""
    folder = Path(f"citeulike-{version}", subfolder)
    gzipped = data_folder(data_home, folder) / f"{name}.gz"
    if gzipped.is_file():
        return gzipped
    return cached_file(
        url.format(version) + name,
        folder,
        data_home=data_home,
        download_if_missing=download_if_missing,
        max_bytes=_MAX_BYTES,
        sha256=_SHA256.get((version, name)),
    )


def _read_bytes(path):
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is not a complete gzip file ({error}); delete it to download it "
            "again."
        ) from error
    if len(content) > _MAX_BYTES:
        raise ValueError(
            f"{path} holds more than {_MAX_BYTES:,} bytes, more than any file of "
            "CiteULike; delete it to download it again."
        )
    return content


def _read_vocabulary(path):
    """Read a file with one word per line."""
    # Some words contain characters that str.splitlines takes for line breaks.
    try:
        words = _read_bytes(path).decode("utf-8").rstrip("\r\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not text in UTF-8 ({error}); delete it to download it again."
        ) from error
    return np.array([word.rstrip("\r") for word in words], dtype=object)


def _read_items(path, n_items):
    """Read the items of each user, from lines "n item item ...", as a binary matrix."""
    items, indptr = _read_rows(path, _ITEMS_LINE, "n item item ...")
    _check_known(path, items, indptr, n_items, "item")
    matrix = _canonical_rows(np.ones(len(items)), items, indptr, n_items)
    matrix.data[:] = 1  # an item that is listed twice counts once
    return matrix


def _read_words(path, n_words):
    """Read the words of each item, from lines "n word:count ...", as counts."""
    numbers, indptr = _read_rows(path, _WORDS_LINE, "n word:count word:count ...")
    words, counts, indptr = numbers[::2], numbers[1::2], indptr // 2
    _check_known(path, words, indptr, n_words, "word")
    matrix = _canonical_rows(counts, words, indptr, n_words)
    matrix.eliminate_zeros()
    return matrix


def _canonical_rows(data, indices, indptr, n_columns):
    """Build a csr_array of float32 with sorted int32 indices; sum duplicates."""
    indices, indptr = indices.astype(np.int32), indptr.astype(np.int32)
    shape = (len(indptr) - 1, n_columns)
    matrix = csr_array((data.astype(np.float32), indices, indptr), shape=shape)
    matrix.sum_duplicates()
    return matrix


def _read_rows(path, pattern, layout):
    """Read lines of integers, each starting with the number of entries that follow.

    Parameters
    ----------
    path : Path
        The file.
    pattern : re.Pattern
        Pattern that every line must match.
    layout : str
        Form of a line, for error messages. An entry is one number, or two numbers
        separated by a colon.

    Returns
    -------
    numbers : ndarray of int64
        The numbers of all entries, in the order of the lines.
    indptr : ndarray of shape (n_lines + 1,)
        Where the numbers of each line begin and end.
    """
    lines = _read_bytes(path).rstrip().split(b"\n")
    for number, line in enumerate(lines, start=1):
        if pattern.fullmatch(line) is None:
            raise _bad_line(
                path, number, f'is not of the form "{layout}" with integers'
            )
    rows = [line.replace(b":", b" ").split() for line in lines]
    numbers = np.array(list(chain.from_iterable(rows)), dtype=np.int64)
    widths = np.array([len(row) for row in rows])
    heads = np.concatenate(([0], np.cumsum(widths[:-1])))
    announced, listed = numbers[heads], (widths - 1) // (1 + (":" in layout))
    wrong = np.flatnonzero(announced != listed)
    if wrong.size:
        first = wrong[0]
        raise _bad_line(
            path,
            first + 1,
            f"announces {announced[first]} entries but lists {listed[first]}",
        )
    indptr = np.concatenate(([0], np.cumsum(widths - 1)))
    return np.delete(numbers, heads), indptr


def _check_known(path, indices, indptr, n_known, kind):
    """Raise a ValueError for the first index that is not below `n_known`."""
    unknown = np.flatnonzero(indices >= n_known)
    if unknown.size:
        line = np.searchsorted(indptr, unknown[0], side="right")
        raise _bad_line(
            path,
            line,
            f"refers to {kind} {indices[unknown[0]]} but there are only {n_known}, "
            "numbered from 0",
        )


def _bad_line(path, number, fault):
    return ValueError(
        f"Line {number} of {path} {fault}; delete the file to download it again."
    )


def _read_titles(path, n_items):
    """Read the title of each item from a CSV file that numbers the items from 1."""
    titles = np.full(n_items, "", dtype=object)
    text = _read_bytes(path).decode("latin-1")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for row in rows:
            number = int(row["doc.id"])
            if not 1 <= number <= n_items:
                raise ValueError(f"doc.id {number}")
            titles[number - 1] = row["title"].strip()
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        fault = f"is not an article with doc.id (1 to {n_items}) and title ({error!r})"
        raise _bad_line(path, rows.line_num, fault) from error
    return titles


def _describe(version, p, matrix, item_features):
    n_users, n_items = matrix.shape
    n_words = item_features.shape[1]
    lines = [
        f"CiteULike {version}",
        "",
        f"Articles that {n_users:,} users saved, of {n_items:,} articles",
        "",
        f"Interactions: {matrix.nnz:,} pairs, {matrix.nnz / n_users:.1f} per user, "
        f"density {matrix.nnz / n_users / n_items:.2%}.",
        f"Item features: counts of {n_words:,} words, "
        f"{item_features.nnz / n_items:.1f} different words per article.",
    ]
    if p is not None:
        lines.append(f"Split: {p} per user for training, the others for testing.")
    return "\n".join(lines) + f"\n\n{_TERMS}"
