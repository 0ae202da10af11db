import bz2
import errno
import gzip
import importlib.util
import lzma
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from skvae.datasets import _readers, load_interactions

NAMES = {"user": "who", "item": "what", "rating": "stars", "timestamp": "when"}
POSITIONS = {"user": 2, "item": 3, "rating": 4, "timestamp": 5}


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "text": ["never, read", 'a "quote"', "", "é"] * 10,
            "id": np.arange(40),
            "who": [f"user {number}" for number in rng.integers(0, 9, 40)],
            "what": rng.integers(0, 9, 40),
            "stars": rng.integers(1, 11, 40) / 2,
            "when": rng.integers(0, 10**9, 40),
        }
    )


def write(frame, path, kind):
    """Write the table as a file of this kind; return its path and reading options."""
    csv = frame.to_csv(index=False).encode()
    path = path / f"ratings.{kind}"
    if kind == "csv":
        path.write_bytes(csv)
    elif kind in ("csv.gz", "csv.bz2", "csv.xz"):
        compress = {"gz": gzip, "bz2": bz2, "xz": lzma}[kind.split(".")[1]].compress
        path.write_bytes(compress(csv))
    elif kind == "tsv":
        path.write_text(frame.to_csv(index=False, sep="\t"), encoding="utf-8")
        return path, NAMES | {"sep": "\t"}
    elif kind == "headerless":
        path.write_text(frame.to_csv(index=False, header=False), encoding="utf-8")
        return path, POSITIONS
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("README.txt", "what this is")
            archive.writestr("data/ratings.csv", csv)
            archive.writestr("data/movies.csv", "id,title\n1,Heat\n")
            archive.writestr("__MACOSX/data/ratings.csv", "rubbish")
    return path, NAMES


@pytest.mark.parametrize(
    "kind", ["csv", "csv.gz", "csv.bz2", "csv.xz", "tsv", "headerless", "zip"]
)
@pytest.mark.parametrize("as_str", [True, False])
def test_every_kind_of_file_gives_the_same_data_as_the_frame(
    tmp_path, frame, kind, as_str
):
    expected = load_interactions(frame, **NAMES, values="rating")
    path, options = write(frame, tmp_path, kind)
    path = str(path) if as_str else path
    dataset = load_interactions(path, **options, values="rating")
    assert_same(dataset, expected)
    assert str(path) in dataset.DESCR


@pytest.mark.parametrize(
    "convert",
    [
        pl.from_pandas,
        lambda frame: {name: frame[name].to_numpy() for name in frame},
        lambda frame: {name: frame[name].tolist() for name in frame},
    ],
)
def test_every_kind_of_table_gives_the_same_data_as_the_frame(frame, convert):
    if convert is pl.from_pandas:  # avoid pyarrow, which from_pandas requires
        convert = lambda frame: pl.DataFrame(frame.to_dict("list"))  # noqa: E731
    expected = load_interactions(frame, **NAMES, values="rating")
    assert_same(load_interactions(convert(frame), **NAMES, values="rating"), expected)
    arrays = tuple(frame[name].to_numpy() for name in NAMES.values())
    positions = dict(zip(NAMES, range(4), strict=True))
    assert_same(load_interactions(arrays, **positions, values="rating"), expected)


def assert_same(dataset, expected):
    for name in ("data", "indices", "indptr"):
        for part in ("matrix", "timestamps"):
            assert_array_equal(
                getattr(dataset[part], name), getattr(expected[part], name)
            )
    for name in ("user_ids", "item_ids"):
        assert_array_equal(dataset[name], expected[name])
        assert dataset[name].dtype == expected[name].dtype


def test_reading_a_file_in_chunks_gives_the_same_data(tmp_path, frame, monkeypatch):
    expected = load_interactions(frame, **NAMES, values="rating")
    path, options = write(frame, tmp_path, "zip")
    monkeypatch.setattr(_readers, "CHUNK_ROWS", 7)
    assert_same(load_interactions(path, **options, values="rating"), expected)


def test_ids_are_text_in_all_chunks_if_they_are_text_in_one(tmp_path, monkeypatch):
    path = tmp_path / "ratings.csv"
    path.write_text("u,i\n1,007\n2,008\n3,A1\n4,007\n")
    monkeypatch.setattr(_readers, "CHUNK_ROWS", 2)
    dataset = load_interactions(path, user="u", item="i")
    assert dataset.item_ids.tolist() == ["007", "008", "A1"]
    assert dataset.user_ids.tolist() == [1, 2, 3, 4]


def test_items_are_read_as_text_if_item_ids_are_text(tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("u,i\n1,007\n2,8\n")
    dataset = load_interactions(path, user="u", item="i", item_ids=["A1", "007"])
    assert_array_equal(dataset.matrix.toarray(), [[0, 1], [0, 0]])
    assert dataset.n_unknown_items == 1


@pytest.mark.parametrize(
    ("member", "n_users"),
    [("other.csv", 1), ("data/other.csv", 1), (None, 2), ("old/ratings.csv", 3)],
)
def test_member_of_an_archive_is_chosen_by_name_or_path(tmp_path, member, n_users):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data/other.csv", "u,i\n1,1\n")
        archive.writestr("data/ratings.csv", "u,i\n1,1\n2,1\n")
        if member == "old/ratings.csv":
            archive.writestr("old/ratings.csv", "u,i\n1,1\n2,1\n3,1\n")
    dataset = load_interactions(path, user="u", item="i", member=member)
    assert dataset.matrix.shape == (n_users, 1)


@pytest.mark.parametrize(
    ("files", "member", "match"),
    [
        (["a.csv", "b.csv"], None, r"one CSV file; .*\['a.csv', 'b.csv'\].*member"),
        (["x/ratings.csv", "y/ratings.csv"], None, "exactly one CSV file"),
        (["x/a.csv", "y/a.csv"], "a.csv", "not contain exactly one 'a.csv'"),
        (["a.csv"], "b.csv", "not contain exactly one 'b.csv'"),
        ([], None, "not contain exactly one CSV file"),
    ],
)
def test_error_lists_the_files_if_an_archive_has_not_exactly_one(
    tmp_path, files, member, match
):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in files:
            archive.writestr(name, "u,i\n1,1\n")
    with pytest.raises(ValueError, match=match):
        load_interactions(path, user="u", item="i", member=member)


@pytest.mark.parametrize(
    ("name", "content", "options", "match"),
    [
        ("a.csv", b"", {}, "could not be read as a table"),
        ("a.csv", b"u,i\n", {}, "has no rows"),
        ("a.csv", b"u;i\n1;1\n", {}, "Only one column.*sep=','.*'u;i'.*sep=';'"),
        ("a.csv", b"1\t1\n", {"user": 0, "item": 1}, "Only one column.*1.t1"),
        (
            "a.csv",
            b"u,i\n1,1\n",
            {"item": "j"},
            r"item='j' is.*\['u', 'i'\].*positions",
        ),
        ("a.csv", b"1,1\n", {"user": 0, "item": 5}, r"item=5 is not.*\[0, 1\]"),
        ("a.csv", b"u,i\n1,1\n", {"item": 1}, "mix names and positions"),
        ("a.csv", b"u,i\n1,1\n", {"item": -1}, "'item' parameter"),
        ("a.csv", b"u::i\n1::1\n", {"sep": "::"}, "2 characters.*sep=':'"),
        ("a.csv", b"u,i\n1,1\n,1\n", {}, "1 of 2 values of user are missing.*row 1"),
        ("a.csv", b"u,i\n1,1\n2\n", {}, "1 of 2 values of item are missing.*row 1"),
        ("a.csv", b"u,i\n1,\xe9t\xe9\n", {}, "could not be read.*UTF-8"),
        ("a.csv", b'u,i\n1,"open\n', {}, "could not be read"),
        ("a.csv", b"u,i\n1,1\n", {"member": "a"}, "is not a .zip archive"),
        ("a.csv.gz", b"u,i\n1,1\n", {}, "could not be read.*compressed"),
        (
            "a.csv.gz",
            gzip.compress(b"u,i\n" * 99, mtime=0)[:-20],
            {},
            "could not be read",
        ),
        ("a.csv.xz", b"u,i\n1,1\n", {}, "could not be read.*compressed"),
        ("a.zip", b"u,i\n1,1\n", {}, "could not be read.*compressed"),
    ],
)
def test_error_explains_why_a_file_cannot_be_read(
    tmp_path, name, content, options, match
):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=match):
        load_interactions(path, **({"user": "u", "item": "i"} | options))


@pytest.mark.parametrize("name", ["missing.csv", "."])
def test_path_without_a_file_is_refused(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="is not a file; pass the path"):
        load_interactions(tmp_path / name, user="u", item="i")


def test_import_does_not_need_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)  # any import of it raises
    path = Path(_readers.__file__).with_name("__init__.py")
    spec = importlib.util.spec_from_file_location("datasets_alone", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "datasets_alone", module)
    spec.loader.exec_module(module)
    assert module.make_interactions(random_state=0).matrix.nnz > 0
    with pytest.raises(ImportError):
        module.load_interactions(([1], [1]), user=0, item=1)


@pytest.mark.parametrize("sep", ["\n", "\r", "é"])
def test_line_breaks_and_non_ascii_separators_are_refused(tmp_path, sep):
    path = tmp_path / "table.csv"
    path.write_text("user,item\n1,2\n")
    with pytest.raises(ValueError, match="sep=.* cannot separate"):
        load_interactions(path, user="user", item="item", sep=sep)


@pytest.mark.parametrize("name", ["table.csv.bz2", "table.tar"])
def test_damaged_archives_are_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"BZh91AY&SY" + bytes(100))
    with pytest.raises(ValueError, match="could not be read as a table"):
        load_interactions(path, user="user", item="item")


@pytest.mark.parametrize("table", [dict, pd.DataFrame, pl.DataFrame])
def test_ids_that_exceed_64_bits_are_refused(table):
    try:
        frame = table({"who": [2**70, 2**70 + 1], "what": [1, 1]})
    except OverflowError:
        pytest.skip("this kind of table cannot hold such numbers")
    with pytest.raises(ValueError, match="ids of user are integers"):
        load_interactions(frame, user="who", item="what")


def test_errors_of_the_operating_system_are_passed_on(tmp_path, monkeypatch):
    def denied(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    path = tmp_path / "ratings.zip"
    path.write_bytes(b"")
    monkeypatch.setattr(_readers.zipfile, "ZipFile", denied)
    with pytest.raises(PermissionError, match="Permission denied"):
        load_interactions(path, user="user", item="item")
