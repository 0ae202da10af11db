"""Downloads from a local server, and the files that each of them leaves."""

import hashlib
import threading
import urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from skvae.datasets import _citeulike as citeulike
from skvae.datasets import _movielens as movielens
from skvae.datasets import fetch_citeulike, fetch_movielens
from skvae.datasets._fetch import cached_file

CONTENT = bytes(range(256)) * 1000
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
        self.send_response(200)
        self.close_connection = True
        if how == "cut chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % len(CONTENT) + CONTENT[:1000])
            return
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        body = {"whole": CONTENT, "other": CONTENT[::-1], "cut": CONTENT[:1000]}[how]
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server whose next answers a test can choose. Retries do not wait."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("sklearn.datasets._base.time.sleep", lambda seconds: None)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers, server.paths = [], []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}/"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def download(server, tmp_path, sha256=SHA256):
    return cached_file(
        f"{server.url}some/data.zip",
        "folder",
        data_home=tmp_path,
        download_if_missing=True,
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
        (["cut"] * 4, SHA256, "retrieval incomplete"),
        (["cut"] * 4, None, "retrieval incomplete"),
        (["cut chunks"] * 4, SHA256, "IncompleteRead"),
        (["cut chunks"] * 4, None, "IncompleteRead"),
        (["missing"] * 4, SHA256, "HTTP Error 404"),
    ],
)
@pytest.mark.filterwarnings("ignore:Retry downloading:UserWarning")
def test_a_bad_download_leaves_no_file_and_can_be_repeated(
    server, tmp_path, answers, sha256, message
):
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


def test_error_names_the_address_of_an_unreachable_server(tmp_path, monkeypatch):
    def urlretrieve(url, path):
        raise urllib.error.URLError("connection refused")

    monkeypatch.setattr("sklearn.datasets._base.urlretrieve", urlretrieve)
    monkeypatch.setattr("sklearn.datasets._base.time.sleep", lambda seconds: None)
    with (
        pytest.warns(UserWarning, match="Retry downloading"),
        pytest.raises(OSError, match="movielens/ml-1m.zip could not be downloaded"),
    ):
        fetch_movielens("1m", data_home=tmp_path)
    assert files(tmp_path) == []


def test_an_interrupted_download_leaves_no_file(tmp_path, monkeypatch):
    def urlretrieve(url, path):
        path.write_bytes(CONTENT[:1000])
        # The file does not have its final name until it is complete.
        assert files(tmp_path) == [path]
        assert path.name != "data.zip"
        raise KeyboardInterrupt

    monkeypatch.setattr("sklearn.datasets._base.urlretrieve", urlretrieve)
    with pytest.raises(KeyboardInterrupt):
        cached_file(
            "http://example.org/data.zip",
            "folder",
            data_home=tmp_path,
            download_if_missing=True,
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
