import gzip

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skvae.datasets import fetch_citeulike

# Three users, four articles, five words. The second user has item 2 twice, the third
# article has no words, and the last line has no line break at its end.
FILES = {
    "users.dat": "2 3 0\n3 2 1 2\n1 0",
    "mult.dat": "2 4:1 0:12\n1 2:3\n0\n3 1:1 4:2 1:5",
    "vocabulary.dat": "xylem\nêtre\n2\u2028mm\n60 000\n&#34;real",
    "splits/cf-train-1-users.dat": "1 0\n1 2\n1 0\n",
    "splits/cf-test-1-users.dat": "1 3\n1 1\n0 \n",
    "splits/cf-train-10-users.dat": "2 3 0\n2 2 1\n1 0\n",
    "splits/cf-test-10-users.dat": "0 \n0 \n0 \n",
}
TITLES = (
    '"doc.id","title","citeulike.id","raw.title","raw.abstract"\r\n'
    '1,"The metabolic world, not small",42,"The ...","Abstract,\nof two ""lines"""\r\n'
    '4,"Fermi\u0092s caf\xe9",43,"","NA"\r\n'
)
MATRIX = [[1, 0, 0, 1], [0, 1, 1, 0], [1, 0, 0, 0]]
WORDS = [[12, 0, 0, 0, 1], [0, 0, 3, 0, 0], [0, 0, 0, 0, 0], [0, 6, 0, 0, 2]]


def write_files(data_home, version="t", compressed=False, **changed):
    """Write small files; `users="..."` replaces the content of users.dat, and so on."""
    folder = data_home / f"citeulike-{version}"
    (folder / "splits").mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        content = changed.get(name.partition(".")[0], text).encode()
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    (folder / "raw-data.csv").write_bytes(TITLES.encode("latin-1"))
    return folder


def fetch(data_home, version="t", **options):
    return fetch_citeulike(
        version, data_home=data_home, download_if_missing=False, **options
    )


@pytest.mark.parametrize("version", ["a", "t"])
@pytest.mark.parametrize("compressed", [False, True])
def test_files_are_read_as_published_and_gzipped(tmp_path, version, compressed):
    write_files(tmp_path, version, compressed)
    articles = fetch(tmp_path, version)
    assert_array_equal(articles.matrix.toarray(), MATRIX)
    assert_array_equal(articles.item_features.toarray(), WORDS)
    assert articles.vocabulary.dtype == object
    assert articles.vocabulary.tolist() == FILES["vocabulary.dat"].split("\n")
    assert articles.train is articles.test is articles.item_names is None
    assert articles.DESCR.startswith(f"CiteULike {version}\n")
    assert "research" in articles.DESCR


def test_matrices_are_canonical_float32(tmp_path):
    write_files(tmp_path, mult="1 4:0\n2 3:1 0:1\n0\n0\n")
    articles = fetch(tmp_path, p=1)
    assert articles.item_features.nnz == 2  # a word with count 0 is not stored
    for name in ("matrix", "train", "test", "item_features"):
        assert articles[name].format == "csr"
        assert articles[name].dtype == np.float32
        assert articles[name].indices.dtype == np.int32
        assert articles[name].has_canonical_format


@pytest.mark.parametrize("p", [1, 10])
def test_split_is_returned_together_with_the_whole_matrix(tmp_path, p):
    write_files(tmp_path)
    articles = fetch(tmp_path, p=p)
    assert_array_equal(articles.matrix.toarray(), MATRIX)
    assert_array_equal((articles.train + articles.test).toarray(), MATRIX)
    train = [[1, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]] if p == 1 else MATRIX
    assert_array_equal(articles.train.toarray(), train)
    assert f"Split: {p} per user" in articles.DESCR


def test_windows_line_breaks_are_read(tmp_path):
    changed = {
        name.partition(".")[0]: text.replace("\n", "\r\n")
        for name, text in FILES.items()
    }
    write_files(tmp_path, **changed)
    articles = fetch(tmp_path)
    assert_array_equal(articles.matrix.toarray(), MATRIX)
    assert_array_equal(articles.item_features.toarray(), WORDS)
    assert articles.vocabulary.tolist() == FILES["vocabulary.dat"].split("\n")


def test_titles_are_numbered_from_one(tmp_path):
    write_files(tmp_path, "a")
    names = fetch(tmp_path, "a", titles=True).item_names
    assert names.tolist() == [
        "The metabolic world, not small",
        "",
        "",
        "Fermi\u0092s caf\xe9",
    ]


def test_titles_are_refused_for_citeulike_t(tmp_path):
    write_files(tmp_path)
    with pytest.raises(ValueError, match='no titles.*version="a"'):
        fetch(tmp_path, titles=True)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("users", "1 0\n3 1 2\n", "Line 2 of .*users.dat announces 3 .*but lists 2"),
        ("users", "1 0 1\n1 2\n", "Line 1 of .*users.dat announces 1 .*but lists 2"),
        ("users", "1 0\n1 x\n", 'Line 2 of .*users.dat is not .*"n item item ...'),
        ("users", "1 0\n1 1.5\n", "Line 2 of .*users.dat is not"),
        ("users", "1 0\n1 -1\n", "Line 2 of .*users.dat is not"),
        ("users", "1 0\n\n1 1\n", "Line 2 of .*users.dat is not"),
        ("users", "1 0\n1 12345678901234567890", "Line 2 of .*users.dat is not"),
        ("users", "<!DOCTYPE html>", "Line 1 of .*users.dat is not"),
        ("users", "", "Line 1 of .*users.dat is not"),
        ("users", "1 0\n0\n2 3 4", "Line 3 of .*users.dat refers to item 4 .* only 4"),
        ("mult", "2 0:1 1\n", 'Line 1 of .*mult.dat is not .*"n word:count'),
        ("mult", "0\n2 0:1:1 2", "Line 2 of .*mult.dat is not"),
        ("mult", "0\n2 0:1", "Line 2 of .*mult.dat announces 2 .*but lists 1"),
        ("mult", "0\n0\n1 5:1", "Line 3 of .*mult.dat refers to word 5 .* only 5"),
        ("mult", "0\n0\n0\n", "Line 1 of .*users.dat refers to item 3 .* only 3"),
        ("splits/cf-train-1-users", "1 0\n", "cf-train-1.* has 1 lines but .* has 3"),
        (
            "splits/cf-test-1-users",
            "1 4\n0\n0",
            "Line 1 of .*cf-test-1-.* refers to item 4",
        ),
    ],
)
def test_error_names_the_invalid_line(tmp_path, name, text, message):
    write_files(tmp_path, **{name: text})
    with pytest.raises(ValueError, match=f"{message}.*delete"):
        fetch(tmp_path, p=1)


def test_error_names_a_vocabulary_in_another_encoding(tmp_path):
    folder = write_files(tmp_path)
    (folder / "vocabulary.dat").write_bytes("être".encode("latin-1"))
    with pytest.raises(ValueError, match=r"vocabulary\.dat is not text in UTF-8"):
        fetch(tmp_path)


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"<html>"])
def test_error_names_the_damaged_gzip_file(tmp_path, damage):
    path = write_files(tmp_path, compressed=True) / "mult.dat.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"mult\.dat\.gz is not a complete gzip"):
        fetch(tmp_path)


@pytest.mark.parametrize(
    "row", ["5,too many,1,,", "0,too few,1,,", "one,not a number,1,,", "3", ""]
)
def test_error_names_the_invalid_line_of_titles(tmp_path, row):
    path = write_files(tmp_path, "a") / "raw-data.csv"
    header = "" if row == "" else "doc.id,title,citeulike.id,raw.title,raw.abstract\n"
    path.write_text(f"{header}1,fine,1,,\n{row}\n2,fine,1,,\n")
    with pytest.raises(ValueError, match=r"Line 3 of .*raw-data\.csv is not an articl"):
        fetch(tmp_path, "a", titles=True)


@pytest.mark.parametrize("name", FILES)
def test_missing_file_raises_oserror_if_download_is_disabled(tmp_path, name):
    (write_files(tmp_path) / name).unlink()
    p = 10 if "10" in name else 1
    with pytest.raises(OSError, match=f"{name} does not exist and download_if_missing"):
        fetch(tmp_path, p=p)


@pytest.mark.parametrize(
    ("version", "options", "splits", "titles"),
    [
        ("t", {}, [], []),
        ("t", {"p": 10}, ["cf-train-10-users.dat", "cf-test-10-users.dat"], []),
        ("a", {"p": 1}, ["cf-train-1-users.dat", "cf-test-1-users.dat"], []),
        ("a", {"titles": True}, [], ["raw-data.csv"]),
    ],
)
def test_only_the_required_files_are_downloaded_and_only_once(
    tmp_path, monkeypatch, version, options, splits, titles
):
    remote = write_files(tmp_path / "remote", version)
    requests = {}

    def fetch_file(url, folder, local_filename, max_bytes, sha256):
        requests[url] = sha256
        in_split = "splits" if local_filename.startswith("cf-") else ""
        assert folder == tmp_path / "home" / f"citeulike-{version}" / in_split
        return (remote / in_split / local_filename).rename(folder / local_filename)

    monkeypatch.setattr("skvae.datasets._fetch.fetch_file", fetch_file)
    for _ in range(2):
        articles = fetch_citeulike(version, data_home=tmp_path / "home", **options)
        assert_array_equal(articles.matrix.toarray(), MATRIX)
    data = f"https://raw.githubusercontent.com/js05212/citeulike-{version}/master"
    split = (
        "https://raw.githubusercontent.com/eelxpeng/CollaborativeVAE/master/data/"
        f"citeulike-{version}"
    )
    known = [f"{data}/{name}.dat" for name in ("users", "mult", "vocabulary")]
    others = [f"{data}/{name}" for name in titles]
    others += [f"{split}/{name}" for name in splits]
    assert list(requests) == known + others
    for url, sha256 in requests.items():
        assert (sha256 is not None) == (version == "t" and url in known)
        assert sha256 is None or len(bytes.fromhex(sha256)) == 32


def test_existing_gzipped_files_need_no_network(tmp_path, monkeypatch):
    write_files(tmp_path, compressed=True)  # their checksums are not the real ones

    def fetch_file(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr("skvae.datasets._fetch.fetch_file", fetch_file)
    assert fetch_citeulike(data_home=str(tmp_path), p=1).matrix.nnz == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": "u"}, "'version' parameter.*'a'"),
        ({"p": 5}, "'p' parameter.*1.*10"),
        ({"p": "1"}, "'p' parameter"),
    ],
)
def test_error_for_an_unknown_option_lists_the_known_ones(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        fetch_citeulike(data_home=tmp_path, **options)
