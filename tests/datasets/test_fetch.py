"""Downloads from a local server, and the files that each of them leaves."""

import gzip
import hashlib
import io
import json
import threading
import urllib.error
import zipfile
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from skvae.datasets import _amazon as amazon
from skvae.datasets import _citeulike as citeulike
from skvae.datasets import (
    _fetch,
    fetch_amazon_reviews,
    fetch_citeulike,
    fetch_movielens,
)
from skvae.datasets import _movielens as movielens
from skvae.datasets._fetch import cached_file

CONTENT = b"PK\3\4" + bytes(range(256)) * 1000
OTHER = CONTENT[:-4] + b"spam"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT, whole or damaged as `answers` says, and records the requests."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.paths.append(self.path)
        how = self.server.answers.pop(0) if self.server.answers else "whole"
        if how == "missing":
            self.send_error(404)
            return
        if how.startswith("file:"):
            self.send_response(302)
            self.send_header("Location", how)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.close_connection = True
        if how == "cut chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % len(CONTENT) + CONTENT[:1000])
            return
        if how in ("endless", "endless chunks"):
            if how == "endless chunks":
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            block = CONTENT
            if how == "endless chunks":
                block = b"%x\r\n%s\r\n" % (len(CONTENT), CONTENT)
            with suppress(OSError):  # until the client hangs up
                while True:
                    self.wfile.write(block)
        if how == "silent":
            self.server.stopped.wait(10)
            return
        if how == "longer":
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(CONTENT * 3)
            return
        if how == "page":
            page = b"\n<!DOCTYPE html><html>Please sign in.</html>"
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)
            return
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        body = {"whole": CONTENT, "other": OTHER, "cut": CONTENT[:1000]}[how]
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server whose next answers a test can choose. Retries do not wait."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(_fetch.time, "sleep", lambda seconds: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers, server.paths = [], []
    server.stopped, server.daemon_threads = threading.Event(), True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}/"
    yield server
    server.stopped.set()
    server.shutdown()
    thread.join()
    server.server_close()


def download(server, tmp_path, sha256=SHA256, name="data.zip"):
    return cached_file(
        f"{server.url}some/{name}",
        "folder",
        data_home=tmp_path,
        download_if_missing=True,
        max_bytes=2**20,
        sha256=sha256,
    )


def files(tmp_path):
    return [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("sha256", [SHA256, None])
def test_a_good_download_is_kept_and_not_repeated(server, tmp_path, sha256):
    for _ in range(2):
        path = download(server, tmp_path, sha256)
        assert path == tmp_path / "folder" / "data.zip"
        assert path.read_bytes() == CONTENT
    assert server.paths == ["/some/data.zip"]
    assert files(tmp_path) == [path]


@pytest.mark.parametrize(
    ("answers", "sha256", "message"),
    [
        (["other"], SHA256, "SHA256 checksum of data.zip"),
        (["page"], SHA256, "does not start like a .zip file"),
        (["page"], None, "does not start like a .zip file"),
        (["endless"], SHA256, "more than 1,048,576 bytes"),
        (["endless"], None, "more than 1,048,576 bytes"),
        (["endless chunks"], None, "more than 1,048,576 bytes"),
        (["silent"] * 4, None, "timed out"),
        (["file:///etc/passwd"] * 4, None, "not allowed"),
        (["cut"] * 4, SHA256, "1000 of 256004 bytes"),
        (["cut"] * 4, None, "1000 of 256004 bytes"),
        (["cut chunks"] * 4, SHA256, "IncompleteRead"),
        (["cut chunks"] * 4, None, "IncompleteRead"),
        (["missing"] * 4, SHA256, "HTTP Error 404"),
    ],
)
@pytest.mark.filterwarnings("ignore:Retry downloading:UserWarning")
def test_a_bad_download_leaves_no_file_and_can_be_repeated(
    server, tmp_path, monkeypatch, answers, sha256, message
):
    monkeypatch.setattr(_fetch, "TIMEOUT", 0.2 if "silent" in answers else 60)
    server.answers[:] = answers
    with pytest.raises(OSError, match=rf"data\.zip could not be .*{message}") as info:
        download(server, tmp_path, sha256)
    assert str(tmp_path / "folder" / "data.zip") in str(info.value)
    assert files(tmp_path) == []
    server.answers.clear()
    assert download(server, tmp_path, sha256).read_bytes() == CONTENT


def test_a_download_is_retried_after_a_dropped_connection(server, tmp_path):
    server.answers[:] = ["cut", "cut", "whole"]
    with pytest.warns(UserWarning, match="Retry downloading"):
        path = download(server, tmp_path)
    assert path.read_bytes() == CONTENT
    assert len(server.paths) == 3


def test_bytes_beyond_the_announced_length_are_not_read(server, tmp_path):
    server.answers[:] = ["longer"]
    assert download(server, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["users.dat", "data.json.gz", "raw-data.csv"])
@pytest.mark.parametrize("how", ["page", "other"])
def test_a_web_page_is_not_kept_as_data(server, tmp_path, name, how):
    server.answers[:] = [how]
    if how == "other" and not name.endswith(
        "gz"
    ):  # a file of text may be anything else
        path = download(server, tmp_path, None, name)
        assert path.read_bytes() == OTHER
        return
    with pytest.raises(OSError, match=f"{name} could not be .* does not start like"):
        download(server, tmp_path, None, name)
    assert files(tmp_path) == []


def test_error_names_the_address_of_an_unreachable_server(tmp_path, monkeypatch):
    def urlopen(url, timeout):
        raise urllib.error.URLError("connection refused")

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    monkeypatch.setattr(_fetch.time, "sleep", lambda seconds: None)
    with (
        pytest.warns(UserWarning, match="Retry downloading"),
        pytest.raises(OSError, match="movielens/ml-1m.zip could not be downloaded"),
    ):
        fetch_movielens("1m", data_home=tmp_path)
    assert files(tmp_path) == []


def test_an_interrupted_download_leaves_no_file(tmp_path, monkeypatch):
    class Interrupted(io.BytesIO):
        headers = {"Content-Length": str(len(CONTENT))}

        def read(self, size=-1):
            if block := super().read(1000):
                return block
            # The file does not have its final name until it is complete.
            (path,) = files(tmp_path)
            assert path.name != "data.zip"
            raise KeyboardInterrupt

    monkeypatch.setattr(
        "urllib.request.urlopen", lambda url, timeout: Interrupted(CONTENT[:1000])
    )
    with pytest.raises(KeyboardInterrupt):
        cached_file(
            "http://example.org/data.zip",
            "folder",
            data_home=tmp_path,
            download_if_missing=True,
            max_bytes=2**20,
        )
    assert files(tmp_path) == []


@pytest.mark.parametrize("version", sorted(movielens._SHA256))
def test_movielens_with_a_wrong_checksum_is_refused(
    server, tmp_path, monkeypatch, version
):
    monkeypatch.setattr(movielens, "_URL", server.url + "ml-{}.zip")
    with pytest.raises(OSError, match=f"SHA256.*{movielens._SHA256[version]}"):
        fetch_movielens(version, data_home=tmp_path)
    assert server.paths == [f"/ml-{version}.zip"]
    assert files(tmp_path) == []


def test_citeulike_t_with_a_wrong_checksum_is_refused(server, tmp_path, monkeypatch):
    monkeypatch.setattr(citeulike, "_URL", server.url + "{}/")
    with pytest.raises(OSError, match=r"SHA256 checksum of users\.dat"):
        fetch_citeulike("t", data_home=tmp_path)
    assert files(tmp_path) == []


def test_only_the_documented_data_sets_have_no_checksum():
    """All others are refused, as above, if their content is not the published one."""
    without = set(movielens._FORMATS) - set(movielens._SHA256)
    assert without == {"latest-small"}
    assert {version for version, _ in citeulike._SHA256} == {"t"}


RATINGS = b"userId,movieId,rating,timestamp\n1,2,3,4\n"


def movielens_zip(tmp_path, members):
    """Write members as the cached archive of "latest-small"."""
    path = tmp_path / "movielens" / "ml-latest-small.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["ratings.csv", "movies.csv"])
def test_an_archive_that_expands_too_much_is_refused(tmp_path, monkeypatch, name):
    members = {"ratings.csv": RATINGS, "movies.csv": b"movieId,title\n2,Heat\n"}
    members[name] += bytes(2**22)
    path = movielens_zip(tmp_path, members)
    assert path.stat().st_size < 10_000
    monkeypatch.setitem(movielens._MAX_BYTES, "ratings", 2**21)
    monkeypatch.setitem(movielens._MAX_BYTES, "titles", 2**21)
    match = f"ml-latest-small.zip .*{name} .*4,19.,... bytes.* delete it"
    with pytest.raises(ValueError, match=match):
        fetch_movielens(data_home=tmp_path)


def test_an_archive_with_a_wrong_size_in_its_header_is_refused(tmp_path):
    """Not more than the stated size is unpacked, and then the checksum is wrong."""
    path = movielens_zip(
        tmp_path, {"ratings.csv": RATINGS + bytes(2**24), "movies.csv": b"x"}
    )
    content = path.read_bytes()
    true, stated = (n.to_bytes(4, "little") for n in (len(RATINGS) + 2**24, 40))
    path.write_bytes(content.replace(true, stated))
    with pytest.raises(ValueError, match=r"ml-latest-small\.zip could not be read"):
        fetch_movielens(data_home=tmp_path)


def test_names_that_leave_the_folder_are_only_read(tmp_path):
    members = {"../../ratings.csv": RATINGS, "/movies.csv": b"movieId,title\n2,Heat\n"}
    home = tmp_path / "a" / "b"
    home.mkdir(parents=True)
    path = movielens_zip(home, members)
    assert fetch_movielens(data_home=home).item_names.tolist() == ["Heat"]
    assert files(tmp_path) == [path]


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({}, "does not hold exactly one ratings.csv"),
        ({"ratings.csv": RATINGS}, "does not hold exactly one movies.csv"),
        ({"ratings.csv": RATINGS, "movies.csv": b"id\n2\n"}, "movies.csv .*titles"),
        ({"ratings.csv": RATINGS, "movies.csv": b"\xff"}, "movies.csv .*titles"),
        (
            {"ratings.csv": RATINGS, "movies.csv": b"movieId,title\nx,y\n"},
            "movies.csv .*titles",
        ),
    ],
)
def test_an_archive_of_something_else_is_refused(tmp_path, members, match):
    movielens_zip(tmp_path, members)
    with pytest.raises(ValueError, match=f"ml-latest-small.zip.*{match}.*delete it"):
        fetch_movielens(data_home=tmp_path)


def test_an_encrypted_archive_is_refused(tmp_path):
    path = movielens_zip(tmp_path, {"ratings.csv": RATINGS, "movies.csv": b"x"})
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="ml-latest-small.zip.*encrypted"):
        fetch_movielens(data_home=tmp_path)


@pytest.mark.parametrize("titles", [True, False])
def test_an_endless_line_of_reviews_is_refused(tmp_path, monkeypatch, titles):
    monkeypatch.setattr(amazon, "_MAX_LINE", 10_000)
    folder = tmp_path / "amazon_reviews"
    folder.mkdir()
    review = {"reviewerID": "a", "asin": "b", "overall": 5, "unixReviewTime": 1}
    bomb = gzip.compress(b"\n" + b"0" * 2**22)
    good = gzip.compress(json.dumps(review).encode())
    (folder / "reviews_Baby_5.json.gz").write_bytes(good if titles else bomb)
    (folder / "meta_Baby.json.gz").write_bytes(bomb)
    name = "meta_Baby" if titles else "reviews_Baby_5"
    with pytest.raises(ValueError, match=f"Line 2 of .*{name}.* 10,000 characters"):
        fetch_amazon_reviews("Baby", data_home=tmp_path, titles=titles)


def test_a_gzipped_file_that_expands_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(citeulike, "_MAX_BYTES", 2**20)
    folder = tmp_path / "citeulike-t"
    folder.mkdir()
    for name in ("users.dat", "mult.dat", "vocabulary.dat"):
        (folder / f"{name}.gz").write_bytes(gzip.compress(b"0" * 2**21))
    with pytest.raises(ValueError, match=r"vocabulary.dat.gz .*1,048,576 bytes"):
        fetch_citeulike("t", data_home=tmp_path)
