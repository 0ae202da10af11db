import bz2
import errno
import gzip
import importlib.util
import lzma
import sys
import tarfile
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
        ("a.csv", b"u,i\n1,\xe9t\xe9\n", {}, "could not be read.*utf-8.*encoding="),
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


def load_text(tmp_path, text, name="table.csv", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_interactions(path, **({"user": "u", "item": "i"} | options))


PAST = 2**63 + 1


@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
@pytest.mark.parametrize(
    ("texts", "ids"),
    [
        (["1", "7", "12"], [1, 7, 12]),
        ([" 1", "7 ", "-12"], [-12, 1, 7]),
        (["1", "2", str(PAST), str(PAST + 1)], [1, 2, PAST, PAST + 1]),
        (["1", str(2**53), str(2**53 + 1)], [1, 2**53, 2**53 + 1]),
        (["-1", str(PAST), str(PAST + 1)], ["-1", str(PAST), str(PAST + 1)]),
        (["1", str(2**70), str(2**70 + 1)], ["1", str(2**70), str(2**70 + 1)]),
        (["7", "0007", "07"], ["0007", "07", "7"]),
        (["0007", "0012"], ["0007", "0012"]),
        (["-07", "-7"], ["-07", "-7"]),
        (["+7", "7"], ["+7", "7"]),
        (["0", "10", "100"], [0, 10, 100]),
        (["1.0", "2.5"], [1.0, 2.5]),
        (["1", "1.0"], ["1", "1.0"]),
        (["0.5", "00.5"], ["0.5", "00.5"]),
        (["1", "1.5", f"{2**53}", f"{2**53 + 1}"], None),
        (["1e3", "9e999", "8e999"], ["1e3", "8e999", "9e999"]),
        (["1", "inf"], ["1", "inf"]),
        (["True", "1"], ["1", "True"]),
        (["1_0", "10"], ["10", "1_0"]),
        (["1", "A1"], ["1", "A1"]),
    ],
)
@pytest.mark.parametrize("quote", ["", '"'])
def test_distinct_ids_of_a_file_stay_distinct(
    tmp_path, monkeypatch, chunk_rows, texts, ids, quote
):
    monkeypatch.setattr(_readers, "CHUNK_ROWS", chunk_rows)
    rows = "".join(f"{quote}{text}{quote},5\n" for text in texts)
    dataset = load_text(tmp_path, f"u,i\n{rows}")
    assert dataset.user_ids.tolist() == (sorted(texts) if ids is None else ids)
    assert dataset.item_ids.tolist() == [5]
    headerless = load_text(tmp_path, rows, user=0, item=1)
    assert headerless.user_ids.tolist() == dataset.user_ids.tolist()


def test_leading_zeros_are_found_wherever_the_text_is_cut(tmp_path):
    """The text arrives in pieces; zeros at each position of the file must be found."""
    for n_rows in range(4080, 4100, 3):
        rows = "".join("1,7\n" for _ in range(n_rows // 4)) + "2,07\n"
        padding = "9" * (n_rows % 5)
        dataset = load_text(tmp_path, f"u,i{padding}\n{rows * 9}", item=f"i{padding}")
        assert dataset.item_ids.tolist() == ["07", "7"]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("latin-1", "é"),
        ("cp1252", "€"),
        ("utf-16", "ø"),
        ("utf-16-le", "ø"),
        ("utf-8-sig", "ü"),
    ],
)
@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz", "table.zip"])
def test_encoding_of_a_file_can_be_given(tmp_path, encoding, text, name):
    content = f"ü,i\n{text},1\n".encode(encoding)
    path = tmp_path / name
    if name.endswith("zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("table.csv", content)
    else:
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    dataset = load_interactions(path, user="ü", item="i", encoding=encoding)
    assert dataset.user_ids.tolist() == [text]


def test_decimal_commas_can_be_read(tmp_path):
    text = "u;i;r;t\n1;1;4,5;10,75\n1;2;3;9\n"
    options = {"rating": "r", "timestamp": "t", "values": "rating", "sep": ";"}
    dataset = load_text(tmp_path, text, decimal=",", **options)
    assert dataset.matrix.toarray().tolist() == [[4.5, 3]]
    assert dataset.timestamps.toarray().tolist() == [[10, 9]]
    with pytest.raises(ValueError, match=r"rating of row 0 is '4,5'.*decimal=','"):
        load_text(tmp_path, text, **options)


@pytest.mark.parametrize(
    ("text", "options", "match"),
    [
        ("u,i\n1,1\n", {"encoding": "utf-9"}, "encoding='utf-9' is not an encoding"),
        ("u,i\n1,1\n", {"encoding": "hex"}, "encoding='hex' is not an encoding"),
        ("u,i\n1,1\n", {"decimal": ","}, "decimal=',' is the separator as well"),
        ("u,i\n1,1\n", {"decimal": "x"}, "'decimal' parameter"),
        ("u,i\n1,1\n", {"sep": '"'}, "sep='\"' cannot separate"),
        ("u,i\n1,é\n", {"encoding": "utf-16"}, "could not be read.*in utf-16"),
        ("u,i\na\0b,1\na\0c,1\n", {}, "table.csv could not be read.*NUL"),
        ("u,i\n1,2\n".encode("utf-16-le"), {}, "table.csv could not be read"),
        ("\n\n", {}, "table.csv could not be read.*no lines"),
    ],
)
def test_unusable_layouts_are_refused(tmp_path, text, options, match):
    with pytest.raises(ValueError, match=match):
        load_text(tmp_path, text, **options)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("u,i,r\na,b,5\nb,The Good, the Bad,5\nc,d,4\n", 3),
        ('u,i,r\n"a\na",b,5\n\nb,The Good, the Bad,5\n', 5),
        ("u,i,r\na,b,5\nb,x,y,\n", 0),
        ("u,i,r\na,b,5\nb,x,5,7,8\n", 3),
        ("u,i,r\nrow1,a,b,5\nrow2,c,d,5\n", 2),
    ],
)
@pytest.mark.parametrize("chunk_rows", [1, 100])
@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_line_with_too_many_fields_is_refused(
    tmp_path, monkeypatch, text, line, chunk_rows, name
):
    monkeypatch.setattr(_readers, "CHUNK_ROWS", chunk_rows)
    content = gzip.compress(text.encode()) if name.endswith("gz") else text
    if not line:  # an empty field at the end shifts nothing
        assert load_text(tmp_path, content, name).matrix.nnz == 2
        return
    match = f"{name} could not be read.*line {line} has [45] fields.*3.*quotation marks"
    with pytest.raises(ValueError, match=match):
        load_text(tmp_path, content, name)


def test_line_longer_than_the_first_of_a_headerless_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="line 2 has 3 fields.*first line has 2"):
        load_text(tmp_path, "1,2\n1,2,3\n", user=0, item=1)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('u,i,r\na,"Heroes,5\nb,x,4\nc,"y",3\nd,z,2\n', 2),
        ('u,r,i\na,"Heroes,5\nb,x,4\nc,"y",3\nd,z,2\n', 2),
        ('u,i,r\na,z,1\nb,"Heroes,5\nb,x,4\nc,d,3\n', 3),
        ('u,i,r\na,z,1\nb,"Heroes,5\nb,x,4\nc,"d,3', 3),
        ('u,i,r\r\na,z,1\r\nb,"Heroes,5\r\nb,x,4\r\nc,"d,3', 3),
        ('u,i,r\ra,z,1\rb,"Heroes,5\rb,x,4\rc,"d,3\r', 3),
        ('u,i,r\n"Weird Al" live,z,1\nb,"Heroes,5\nb,x,4\nc,"d,3', 3),
    ],
)
@pytest.mark.parametrize("unused", [True, False])
def test_quotation_that_swallows_lines_is_refused(tmp_path, text, line, unused):
    """Also if it is in a column that is not requested."""
    if unused:
        first, rest = text[:5], text[5:]
        text = first.replace("i", "title") + rest
    options = {"item": "r"} if unused else {}
    match = f"table.csv could not be read.*field of line {line} starts with a quotation"
    with pytest.raises(ValueError, match=match):
        load_text(tmp_path, text, **options)


def test_proper_quotations_are_read(tmp_path):
    text = (
        'u,title,i\n1,"two\nlines, ""quoted"", ""","a\nb"\n\n2,12" single,c\n3,"","d"\n'
    )
    for content in (text, text.replace("\n", "\r\n"), text.rstrip("\n")):
        dataset = load_text(tmp_path, content)
        assert [i.replace("\r", "") for i in dataset.item_ids] == ["a\nb", "c", "d"]
        assert dataset.user_ids.tolist() == [1, 2, 3]


def flagged_zip(path, *, encrypted=False, method=None):
    """Write a zip archive whose headers claim encryption or another compression."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ratings.csv", "u,i\n1,1\n")
    content = bytearray(path.read_bytes())
    for mark, flags, compression in ((b"PK\3\4", 6, 8), (b"PK\1\2", 8, 10)):
        start = content.index(mark)
        content[start + flags] |= encrypted
        if method is not None:
            content[start + compression] = method
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        ({"encrypted": True}, "a.zip could not be read.*encrypted.*unpack it"),
        ({"method": 97}, "a.zip could not be read.*compression.*unpack it"),
    ],
)
def test_archives_that_cannot_be_unpacked_are_named(tmp_path, flags, match):
    flagged_zip(tmp_path / "a.zip", **flags)
    with pytest.raises(ValueError, match=match):
        load_interactions(tmp_path / "a.zip", user="u", item="i")


def tarred(tmp_path, mode):
    path = tmp_path / "packed.tar"
    (tmp_path / "ratings.csv").write_text("u,i\n1,1\n")
    with tarfile.open(path, mode) as archive:
        archive.add(tmp_path / "ratings.csv", "ratings.csv")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "make", "match"),
    [
        ("a.csv.gz", lambda path: tarred(path, "w:gz"), "a tar archive"),
        ("a.tar.gz", lambda path: tarred(path, "w:gz"), "a tar archive"),
        ("a.tar", lambda path: tarred(path, "w"), "a tar archive"),
        ("a.csv", lambda path: gzip.compress(b"u,i\n1,1\n"), "compressed by gzip"),
        ("a.csv", lambda path: bz2.compress(b"u,i\n1,1\n"), "compressed by bzip2"),
        ("a.csv", lambda path: lzma.compress(b"u,i\n1,1\n"), "compressed by xz"),
        (
            "a.csv.gz",
            lambda path: gzip.compress(gzip.compress(b"u,i\n1,1\n")),
            "compressed by gzip",
        ),
    ],
)
def test_packed_content_is_recognised(tmp_path, name, make, match):
    path = tmp_path / name
    path.write_bytes(make(tmp_path))
    with pytest.raises(ValueError, match=f"{name} could not be read.*{match}.*Unpack"):
        load_interactions(path, user="u", item="i")


def test_one_long_id_of_a_file_does_not_widen_all_others(tmp_path):
    ids = [f"item {number}" for number in range(2000)] + ["x" * 1_000_000]
    path = tmp_path / "table.csv"
    path.write_text("u,i\n" + "".join(f"1,{item}\n" for item in ids))
    dataset = load_interactions(path, user="u", item="i")
    assert dataset.item_ids.dtype == object
    assert dataset.item_ids.tolist() == sorted(ids)
