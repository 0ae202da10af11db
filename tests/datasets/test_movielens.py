import zipfile

import pytest
from numpy.testing import assert_array_equal

from skvae.datasets import fetch_movielens

# user, movie, rating, timestamp; movie 9 has no title, movie 4 no ratings
RATINGS = [
    (1, 10, 5, 100),
    (1, 2, 4, 200),
    (2, 2, 3, 300),
    (2, 9, 4, 400),
    (3, 10, 4, 500),
]
TITLES = {
    2: "Léon: The Professional (1994)",
    4: "Unseen (1990)",
    10: 'Good, the Bad and the "Ugly", The (1966)',
}
VERSIONS = {
    "100k": "ml-100k",
    "1m": "ml-1m",
    "10m": "ml-10M100K",
    "latest-small": "ml-latest-small",
    "20m": "ml-20m",
    "25m": "ml-25m",
    "32m": "ml-32m",
}


def write_archive(data_home, version):
    """Write a small archive in the format of the version."""
    if version == "100k":
        encoding, names = "latin-1", ("u.data", "u.item")
        ratings = "".join("\t".join(map(str, row)) + "\n" for row in RATINGS)
        titles = "".join(
            f"{movie}|{title}|01-Jan-1994||http://example.org/{movie}|0|1\n"
            for movie, title in TITLES.items()
        )
    elif version in ("1m", "10m"):
        encoding = "latin-1" if version == "1m" else "utf-8"
        names = ("ratings.dat", "movies.dat")
        ratings = "".join("::".join(map(str, row)) + "\n" for row in RATINGS)
        titles = "".join(f"{m}::{title}::Crime|Drama\n" for m, title in TITLES.items())
    else:
        encoding, names = "utf-8", ("ratings.csv", "movies.csv")
        ratings = "userId,movieId,rating,timestamp\r\n"
        ratings += "".join(",".join(map(str, row)) + "\r\n" for row in RATINGS)
        titles = "movieId,title,genres\r\n"
        for movie, title in TITLES.items():
            quoted = title.replace('"', '""')
            titles += f'{movie},"{quoted}",Crime|Drama\r\n'
    path = data_home / "movielens" / f"ml-{version}.zip"
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        folder = VERSIONS[version]
        archive.writestr(f"{folder}/", "")
        archive.writestr(f"{folder}/README", "terms")
        archive.writestr(f"{folder}/{names[0]}", ratings)
        archive.writestr(f"{folder}/{names[1]}", titles.encode(encoding))
        archive.writestr(f"{folder}/tags.csv", "userId,movieId,tag\n")
    return path


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_read_from_its_own_format(tmp_path, version):
    write_archive(tmp_path, version)
    movies = fetch_movielens(
        version, data_home=tmp_path, download_if_missing=False, values="rating"
    )
    assert_array_equal(movies.user_ids, [1, 2, 3])
    assert_array_equal(movies.item_ids, [2, 9, 10])
    assert_array_equal(movies.matrix.toarray(), [[4, 0, 5], [3, 4, 0], [0, 0, 4]])
    assert_array_equal(
        movies.timestamps.toarray(), [[200, 0, 100], [300, 400, 0], [0, 0, 500]]
    )
    assert movies.item_names.dtype == object
    assert movies.item_names.tolist() == [TITLES[2], "", TITLES[10]]
    assert movies.DESCR.startswith(f"MovieLens {version}\n")
    assert "research" in movies.DESCR


def test_titles_match_the_columns_after_filtering(tmp_path):
    write_archive(tmp_path, "1m")
    movies = fetch_movielens(
        "1m",
        data_home=tmp_path,
        download_if_missing=False,
        min_rating=4,
        min_item_users=2,
    )
    assert_array_equal(movies.matrix.toarray(), [[1], [1]])
    assert movies.item_names.tolist() == [TITLES[10]]
    assert movies.n_below_min_rating == 1


def test_existing_file_needs_no_network(tmp_path, monkeypatch):
    write_archive(tmp_path, "20m")  # its checksum is not that of the real archive

    def fetch_file(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr("skvae.datasets._fetch.fetch_file", fetch_file)
    assert fetch_movielens("20m", data_home=str(tmp_path)).matrix.nnz == 5


def test_missing_file_raises_oserror_if_download_is_disabled(tmp_path):
    with pytest.raises(OSError, match=r"ml-1m\.zip does not exist and download_if_mis"):
        fetch_movielens("1m", data_home=tmp_path, download_if_missing=False)


@pytest.mark.parametrize("version", VERSIONS)
def test_missing_file_is_downloaded_once(tmp_path, monkeypatch, version):
    requests = []

    def fetch_file(url, folder, local_filename, max_bytes, sha256):
        assert folder.is_dir()
        requests.append((url, sha256))
        path = write_archive(tmp_path, version)
        assert path == folder / local_filename
        return path

    monkeypatch.setattr("skvae.datasets._fetch.fetch_file", fetch_file)
    for _ in range(2):
        assert fetch_movielens(version, data_home=tmp_path).matrix.nnz == 5
    ((url, sha256),) = requests
    assert url == f"https://files.grouplens.org/datasets/movielens/ml-{version}.zip"
    assert (sha256 is None) == (version == "latest-small")
    assert sha256 is None or len(bytes.fromhex(sha256)) == 32


def test_error_of_a_failed_download_names_the_path(tmp_path, monkeypatch):
    def fetch_file(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("skvae.datasets._fetch.fetch_file", fetch_file)
    with pytest.raises(OSError, match=r"no route to host.*other means to .*ml-1m\.zip"):
        fetch_movielens("1m", data_home=tmp_path)


def test_error_names_the_damaged_archive(tmp_path):
    path = write_archive(tmp_path, "1m")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"ml-1m\.zip is not a MovieLens archive"):
        fetch_movielens("1m", data_home=tmp_path, download_if_missing=False)


def test_error_for_an_unknown_version_lists_the_known_ones():
    with pytest.raises(ValueError, match="'version' parameter.*'latest-small'"):
        fetch_movielens("5m")
