"""Hostile tables, files and arguments for every loader and generator."""

import bz2
import gzip
import io
import lzma
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import strategies as st

from skvae import datasets
from skvae.datasets import load_interactions, make_checkerboard, make_interactions
from tests.hostile import strategies as hostile
from tests.hostile.cases import cases
from tests.hostile.outcomes import Refused, attempt, check_floats

# Names that errors of the loaders may mention in addition to their parameters.
NAMES = (
    "source",
    "user",
    "item",
    "rating",
    "timestamp",
    "user_ids",
    "item_ids",
    "interactions",
)

IDS = {
    "text": lambda n: [f"u{i % 3}" for i in range(n)],
    "numbers": lambda n: np.arange(n) % 3,
    "same": lambda n: ["a"] * n,
    "floats": lambda n: np.arange(n) / 2,
    "with NaN": lambda n: np.where(np.arange(n) % 2, np.nan, 1.0),
    "with None": lambda n: [None, *"abcdefg"][:n],
    "with NA": lambda n: pd.array([pd.NA, *range(7)][:n], dtype="Int64"),
    "nullable": lambda n: pd.array(list(range(n)), dtype="Int64"),
    "strings": lambda n: pd.array([f"u{i}" for i in range(n)], dtype="string"),
    "arrow": lambda n: pd.Series([f"u{i % 2}" for i in range(n)]),
    "categorical": lambda n: pd.Categorical([f"u{i % 2}" for i in range(n)]),
    "mixed": lambda n: [1, "a", 2.0, None, "b", 3, 4, 5][:n],
    "mixed numbers": lambda n: [1, 2.5, True, 3, 4, 5, 6, 7][:n],
    "huge": lambda n: [2**63 + i for i in range(n)],
    "past 64 bits": lambda n: [2**70 + i for i in range(n)],
    "negative": lambda n: -np.arange(n),
    "booleans": lambda n: np.arange(n) % 2 == 0,
    "bytes": lambda n: [b"a"] * n,
    "complex": lambda n: np.arange(n) + 1j,
    "inf": lambda n: np.full(n, np.inf),
    "dates": lambda n: pd.date_range("2020", periods=n),
    "NaT": lambda n: np.full(n, "NaT", dtype="datetime64[s]"),
    "intervals": lambda n: pd.interval_range(0, max(n, 1))[:n],
    "lists": lambda n: [[1]] * n,
    "tuples": lambda n: [(1, 2)] * n,
    "objects": lambda n: [object()] * n,
    "empty text": lambda n: [""] * n,
    "NUL": lambda n: ["a\0"] * n,
    "unicode": lambda n: ["é", "e\u0301", "\U0001f600", "\ud800", "", " ", "a", "b"][
        :n
    ],
    "polars": lambda n: pl.Series([f"u{i % 3}" for i in range(n)]),
    "polars with null": lambda n: pl.Series([None, *"abcdefg"][:n]),
    "read-only": lambda n: np.broadcast_to(np.int64(3), n),
    "2-D": lambda n: np.ones((n, 2)),
    "scalar": lambda n: 3,
    "one longer": lambda n: list(range(n + 1)),
}
NUMBERS = {
    "stars": lambda n: np.arange(n) % 5 + 1.0,
    "zeros": lambda n: np.zeros(n),
    "negative": lambda n: -np.ones(n),
    "1e38": lambda n: np.full(n, 3e38),
    "1e300": lambda n: np.full(n, 1e300),
    "denormal": lambda n: np.full(n, 1e-310),
    "text of numbers": lambda n: ["1", "2", "3.5", "4", "5", "1e3", " 7", "8"][:n],
    "text": lambda n: ["good"] * n,
    "seconds": lambda n: np.arange(n) * 86400 + 1_500_000_000,
    "fractions": lambda n: np.arange(n) + 0.5,
    "int64 edge": lambda n: np.full(n, np.iinfo(np.int64).min),
    "uint64 edge": lambda n: np.full(n, np.iinfo(np.uint64).max),
    "dates with zone": lambda n: pd.date_range("2020", periods=n, tz="Asia/Tokyo"),
    "durations": lambda n: pd.to_timedelta(np.arange(n), unit="s"),
    "text of dates": lambda n: ["2020-01-01"] * n,
    **IDS,
}
VALID = ("text", "numbers", "strings", "arrow", "categorical", "negative", "polars")


@st.composite
def tables(draw):
    """Draw recipes of a table: its type, its number of rows and its columns."""
    ids = hostile.mostly(VALID, sorted(IDS))
    columns = {
        "user": draw(ids),
        "item": draw(ids),
        "rating": draw(hostile.mostly(["stars", None], sorted(NUMBERS))),
        "timestamp": draw(hostile.mostly(["seconds", None], sorted(NUMBERS))),
    }
    return (
        draw(st.sampled_from(["dict", "pandas", "polars", "tuple", "list"])),
        draw(hostile.mostly([8], [1, 0])),
        columns,
    )


def build_table(kind, n_rows, columns):
    """Build the table, and the names of its columns; None if it cannot be built."""
    columns = {role: name for role, name in columns.items() if name is not None}
    with np.errstate(all="ignore"):
        data = {role: NUMBERS[name](n_rows) for role, name in columns.items()}
    if kind in ("tuple", "list"):
        source = tuple(data.values()) if kind == "tuple" else list(data.values())
        return source, {role: i for i, role in enumerate(data)}
    try:
        if kind == "pandas":
            data = pd.DataFrame(data)
        elif kind == "polars":
            data = pl.DataFrame(data)
    except Exception:  # pandas or polars refuses the data
        return None, {}
    return data, {role: role for role in columns}


def check_loaded(data, known=None):
    matrix = data.matrix
    assert matrix.dtype == np.float32
    assert matrix.has_canonical_format
    assert (matrix.data > 0).all()
    assert np.isfinite(matrix.data).all()
    assert matrix.shape == (len(data.user_ids), len(data.item_ids))
    assert matrix.nnz >= 1 or known is not None
    if data.timestamps is not None:
        assert data.timestamps.dtype == np.int64
        assert (data.timestamps.indices == matrix.indices).all()
        assert (data.timestamps.indptr == matrix.indptr).all()
    assert data.DESCR


@cases(
    tables(),
    hostile.mostly(["binary", "rating", "count"], ["other", None]),
    hostile.mostly([None, 1, 3.5], [100, -1, float("nan"), "3", np.float32(2)]),
    hostile.mostly([1], [2, 0, 1.0, None, 2**70]),
    st.fixed_dictionaries(
        {},
        optional={
            "user": hostile.mostly(VALID, sorted(IDS)),
            "item": hostile.mostly(VALID, sorted(IDS)),
        },
    ),
    quick=100,
    slow=500,
)
def test_load_interactions_of_any_table(table, values, minimum, at_least, known):
    source, names = build_table(*table)
    if source is None:
        return
    options = {"values": values, "min_user_items": at_least, **names}
    if "rating" in names:
        options["min_rating"] = minimum
    for role, name in known.items():
        options[f"{role}_ids"] = IDS[name](8)
    result = attempt(load_interactions, source, names=NAMES, **options)
    if not isinstance(result, Refused):
        check_loaded(result, known.get("item"))


COLUMNS = ("user", "item", 0, 1, -1, 2, 7, 2**70, "", None, 1.5, True, [0], b"user", ())
SOURCES = {
    **hostile.ODDITIES,
    "dict": lambda: {"user": [1, 2], "item": [1, 2]},
    "lists": lambda: ([1, 2], [3, 4]),
    "array": lambda: np.array([[1, 2], [3, 4]]),
    "frame": lambda: pd.DataFrame({"user": [1, 2], "item": ["a", "b"]}),
    "numbered frame": lambda: pd.DataFrame([[1, 2], [3, 4]]),
    "named twice": lambda: pd.DataFrame([[1, 2]], columns=["user", "user"]),
    "missing file": lambda: "/no/such/file.csv",
    "folder": lambda: "/",
    "empty path": lambda: "",
    "path with NUL": lambda: "a\0b",
    "long path": lambda: "a" * 5000,
    "matrix": lambda: sp.csr_array(np.ones((2, 2))),
}


@cases(
    hostile.mostly(["dict", "lists", "frame", "numbered frame"], sorted(SOURCES)),
    hostile.mostly(["user", 0], COLUMNS),
    hostile.mostly(["item", 1], COLUMNS),
    hostile.mostly([","], ["", "::", None, 3]),
    quick=30,
    slow=150,
)
def test_load_interactions_of_any_source(source, user, item, sep):
    result = attempt(
        load_interactions,
        SOURCES[source](),
        user=user,
        item=item,
        sep=sep,
        names=NAMES,
        also=(OSError,),
    )
    if not isinstance(result, Refused):
        check_loaded(result)


TEXTS = {
    "good": b"user,item,rating,time\n1,2,3,4\n1,3,4,5\n2,2,5,6\n",
    "empty": b"",
    "newline": b"\n",
    "header": b"user,item,rating,time\n",
    "no header": b"1,2,3,4\n5,6,7,8\n",
    "ragged": b"user,item,rating,time\n1,2\n1,2,3,4,5,6,7\n",
    "quotes": b'user,item,rating,time\n"1,2,3,4\n',
    "NUL": b"user,item,rating,time\n\0,2,3,4\n",
    "latin-1": "user,item,rating,time\né,2,3,4\n".encode("latin-1"),
    "BOM": b"\xef\xbb\xbfuser,item,rating,time\n1,2,3,4\n",
    "UTF-16": "user,item,rating,time\n1,2,3,4\n".encode("utf-16"),
    "blank fields": b"user,item,rating,time\n,2,3,4\n1,,3,4\n",
    "NA": b"user,item,rating,time\nNA,null,3,4\n",
    "words": b"user,item,rating,time\na,b,good,now\n",
    "huge": b"user,item,rating,time\n99999999999999999999999,1e400,1e400,1e400\n",
    "tabs": b"user\titem\trating\ttime\n1\t2\t3\t4\n",
    "named twice": b"user,user,item,rating,time\n1,2,3,4,5\n",
    "dates": b"user,item,rating,time\n1,2,3,2020-01-01\n",
    "text of dates": b"user,item,rating,time\n1,2,3,1/2/2020\n",
    "decimal commas": b"user;item;rating;time\n1;2;3,5;4\n",
    "leading zeros": b"user,item,rating,time\n007,2,3,4\n7,2,3,4\n",
    "lone quote": b'user,item,rating,time\n1,"2,3,4\n5,6,7,8\n9,"a",3,4\n',
    "too many fields": b"user,item,rating,time\n1,2,3,4\n1,a, b,3,4\n",
    "past 64 bits": b"user,item,rating,time\n-1,2,3,4\n9223372036854775809,2,3,4\n",
    "tar": b"ratings.csv".ljust(257, b"\0") + b"ustar".ljust(800, b"\0"),
    "carriage returns": b"user,item,rating,time\r1,2,3,4\r",
    "noise": bytes(range(256)) * 4,
}


def _zipped(text, name="ratings.csv"):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, text)
    return file.getvalue()


PACKED = {
    ".csv": bytes,
    ".CSV": bytes,
    "": bytes,
    ".csv.gz": gzip.compress,
    ".csv.bz2": bz2.compress,
    ".csv.xz": lzma.compress,
    ".zip": _zipped,
    ".tar": bytes,
}


@cases(
    hostile.mostly(["good"], sorted(TEXTS)),
    st.sampled_from(sorted(PACKED)),
    st.sampled_from(sorted(PACKED)),
    st.integers(0, 40),
    hostile.mostly([","], ["\t", ";", "::", "", '"', "\n", "\r", "é", " ", "\0"]),
    hostile.mostly([None], ["ratings.csv", "other.csv"]),
    st.sampled_from(["names", "names", "places", "binary"]),
    st.fixed_dictionaries(
        {},
        optional={
            "encoding": hostile.mostly(["latin-1"], ["utf-16", "utf-7", "rot13", "\0"]),
            "decimal": hostile.mostly([","], ["x", None]),
            "timestamp_format": hostile.mostly(
                ["%d/%m/%Y"], ["", "%", "%Q", "ISO8601"]
            ),
            "drop_empty_users": st.just(True),
            "item_ids": st.sampled_from([["2", "3"], [2, 3]]),
        },
    ),
    quick=60,
    slow=300,
)
def test_load_interactions_of_any_file(
    text, packed, suffix, cut, sep, member, columns, layout
):
    content = PACKED[packed](TEXTS[text])
    if cut < 10:  # the file is damaged: its end is missing
        content = content[: len(content) * cut // 10]
    options = {
        "names": {"user": "user", "item": "item", "rating": "rating"},
        "places": {"user": 0, "item": 1, "rating": 2, "timestamp": 3},
        "binary": {"user": "user", "item": "item", "timestamp": "time"},
    }[columns]
    if columns != "binary":
        options["values"] = "count"
    with tempfile.TemporaryDirectory() as folder:
        # In most cases the suffix matches the content.
        path = Path(folder, "table" + (packed if cut % 4 else suffix))
        path.write_bytes(content)
        result = attempt(
            load_interactions,
            path,
            sep=sep,
            member=member,
            names=(*NAMES, str(path), "could not be read as a table"),
            **options,
            **layout,
        )
    if not isinstance(result, Refused):
        check_loaded(result, layout.get("item_ids"))


FETCHED = {
    "movielens/ml-100k.zip": lambda home: datasets.fetch_movielens(
        "100k", data_home=home, download_if_missing=False
    ),
    "movielens/ml-latest-small.zip": lambda home: datasets.fetch_movielens(
        data_home=home, download_if_missing=False
    ),
    "amazon_reviews/reviews_Baby_5.json.gz": lambda home: datasets.fetch_amazon_reviews(
        "Baby", data_home=home, download_if_missing=False
    ),
    "citeulike/": lambda home: datasets.fetch_citeulike(
        data_home=home, download_if_missing=False
    ),
}
ARCHIVES = {
    **{f"text {name}": (lambda text=text: text) for name, text in TEXTS.items()},
    **{
        f"gzip {name}": (lambda t=text: gzip.compress(t))
        for name, text in TEXTS.items()
    },
    "zip": lambda: _zipped(b"nothing", "readme.txt"),
    "zip of ratings": lambda: _zipped(TEXTS["good"], "ml-latest-small/ratings.csv"),
    "zip of words": lambda: _zipped(TEXTS["words"], "ml-100k/u.data"),
    "zip cut": lambda: _zipped(TEXTS["good"], "ml-latest-small/ratings.csv")[:60],
    "reviews": lambda: gzip.compress(b'{"reviewerID": 1}\n'),
    "review of words": lambda: gzip.compress(
        b'{"reviewerID": "a", "asin": "b", "overall": "c", "unixReviewTime": 0}\n'
    ),
    "review of lists": lambda: gzip.compress(
        b'{"reviewerID": [], "asin": {}, "overall": 1, "unixReviewTime": 0}\n'
    ),
    "review past 64 bits": lambda: gzip.compress(
        b'{"reviewerID": "a", "asin": "b", "overall": 1, "unixReviewTime": 1e400}\n'
    ),
    "review with huge time": lambda: gzip.compress(
        b'{"reviewerID": "a", "asin": "b", "overall": 1, "unixReviewTime": %d}\n'
        % 2**80
    ),
    "array of JSON": lambda: gzip.compress(b"[1, 2]\n"),
}


@cases(
    st.sampled_from(sorted(FETCHED)),
    st.sampled_from(sorted(ARCHIVES)),
    quick=15,
    slow=60,
)
def test_fetching_damaged_archives(name, archive):
    with tempfile.TemporaryDirectory() as folder:
        if not name.endswith("/"):
            path = Path(folder, name)
            path.parent.mkdir()
            path.write_bytes(ARCHIVES[archive]())
        result = attempt(FETCHED[name], folder, also=(OSError,), names=(*NAMES, folder))
    assert isinstance(result, Refused)


COUNTS = (1, 2, 4, 6, 8, 0, -1, 2.0, True, None, "3", np.int8(7), float("nan"), [3])
AMOUNTS = (1, 1.0, 2.5, 4, 0, 0.5, 100, -1, None, "1", 1e300, *hostile.FLOATS)


@cases(
    st.fixed_dictionaries(
        {},
        optional={
            "n_users": hostile.mostly([4], COUNTS),
            "n_factors": hostile.mostly([2], COUNTS),
            "n_interactions_per_user": hostile.mostly([3.0], AMOUNTS),
            "taste_concentration": hostile.mostly([1.0], AMOUNTS),
            "popularity_exponent": hostile.mostly([1.0], AMOUNTS),
            "activity_sigma": hostile.mostly([1.0], AMOUNTS),
            "random_state": hostile.mostly([0], hostile.random_states()),
        },
    ),
    hostile.mostly([8], COUNTS),
    quick=25,
    slow=150,
)
def test_make_interactions_with_any_arguments(options, n_items):
    defaults = {"n_users": 6, "n_interactions_per_user": 2, "random_state": 0}
    options = {**defaults, **options}
    result = attempt(make_interactions, n_items=n_items, **options)
    if isinstance(result, Refused):
        return
    n_users, n_factors = options["n_users"], options.get("n_factors", 8)
    assert result.matrix.shape == (n_users, n_items)
    n_of_users = np.diff(result.matrix.indptr)
    assert (n_of_users >= 1).all()
    assert (n_of_users <= max(n_items // 2, 1)).all()
    assert (result.matrix.data == 1).all()
    check_floats(result.user_factors, (n_users, n_factors), np.float64)
    check_floats(result.item_factors, (n_items, n_factors), np.float64)
    check_floats(result.item_popularity, (n_items,), np.float64)


@cases(
    hostile.mostly([4, 5, 8], COUNTS),
    hostile.mostly([6, 7, 8], COUNTS),
    hostile.mostly([0, None], hostile.random_states()),
    quick=10,
    slow=60,
)
def test_make_checkerboard_with_any_arguments(n_users, n_items, seed):
    result = attempt(make_checkerboard, n_users, n_items, random_state=seed)
    if isinstance(result, Refused):
        return
    X, held_out = result
    assert X.shape == (n_users, n_items)
    assert X.dtype == np.float32
    assert held_out.shape == (n_users,)
    assert (X[np.arange(n_users), held_out] == 0).all()


@pytest.mark.parametrize("name", sorted(FETCHED))
def test_fetching_without_archives(name, tmp_path):
    with pytest.raises(OSError, match="download_if_missing"):
        FETCHED[name](tmp_path)
