"""The loaders on real files, if there are any: SKVAE_DATA is their folder."""

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from skvae.datasets import fetch_citeulike, fetch_movielens, load_interactions
from skvae.datasets._citeulike import _SHA256

DATA = Path(
    os.environ.get("SKVAE_DATA", Path(__file__).parents[2].parent / "shared" / "data")
)


def need(name, folder="movielens"):
    path = DATA / folder / name
    if not path.is_file():
        pytest.skip(f"{path} is missing; set SKVAE_DATA to the folder of the data")
    return path


def test_movielens_latest_small_has_its_published_size():
    need("ml-latest-small.zip")
    movies = fetch_movielens(data_home=DATA, download_if_missing=False, values="rating")
    assert movies.matrix.shape == (610, 9724)
    assert movies.matrix.nnz == movies.n_read == 100_836
    assert set(np.unique(movies.matrix.data)) == set(np.arange(1, 11) / 2)
    assert movies.item_names[0] == "Toy Story (1995)"
    assert (movies.item_names != "").all()
    # the first line of ratings.csv: 1,1,4.0,964982703
    assert movies.matrix[0, 0] == 4.0
    assert movies.timestamps[0, 0] == 964_982_703
    first = movies.timestamps.data.min()
    assert np.datetime64(int(first), "s") == np.datetime64("1996-03-29T18:36:55")


def test_movielens_latest_small_after_the_filter_of_liang_et_al():
    need("ml-latest-small.zip")
    movies = fetch_movielens(
        data_home=DATA, download_if_missing=False, min_rating=4, min_user_items=5
    )
    assert movies.matrix.nnz + movies.n_filtered + movies.n_below_min_rating == 100_836
    assert np.diff(movies.matrix.indptr).min() >= 5
    assert (movies.matrix.data == 1).all()


def test_movielens_1m_pairs_have_their_published_size():
    path = need("ml-1m-interactions.csv.gz")
    data = load_interactions(path, user="user_id", item="item_id")
    assert data.matrix.shape == (6040, 3706)
    assert data.matrix.nnz == 1_000_209
    assert data.timestamps is None


def fetch_local_citeulike(p=None):
    for name in ("users.dat.gz", "mult.dat.gz", "vocabulary.dat.gz"):
        need(name, "citeulike-t")
    for part in ("train", "test") if p else ():
        need(f"cf-{part}-{p}-users.dat.gz", "citeulike-t/splits")
    return fetch_citeulike("t", data_home=DATA, download_if_missing=False, p=p)


def test_citeulike_t_has_its_published_size():
    articles = fetch_local_citeulike()
    assert articles.matrix.shape == (7947, 25_975)
    assert articles.matrix.nnz == 134_860
    assert articles.item_features.shape == (25_975, 20_000)
    assert articles.vocabulary.shape == (20_000,)
    # the first line of users.dat: 4 193 11908 12727 14760
    assert articles.matrix[[0]].indices.tolist() == [193, 11_908, 12_727, 14_760]
    # the first line of mult.dat: 21 10620:1 3225:1 3879:2 ...
    assert articles.item_features[[0]].nnz == 21
    assert articles.item_features[0, 3879] == 2
    assert articles.vocabulary[[0, 128, -1]].tolist() == [
        "xylem",
        "60\u2009000",
        "halobacterium",
    ]
    # as the docstring says
    assert (np.diff(articles.item_features.indptr) == 0).sum() == 31
    assert len(np.unique(articles.matrix.indices)) == 25_975 - 391


@pytest.mark.parametrize("p", [1, 10])
def test_citeulike_t_split_is_disjoint_and_complete(p):
    articles = fetch_local_citeulike(p)
    train, test = articles.train, articles.test
    assert train.shape == test.shape == articles.matrix.shape
    assert train.multiply(test).nnz == 0
    assert (train + test != articles.matrix).nnz == 0
    n_kept = np.diff(articles.matrix.indptr)
    np.testing.assert_array_equal(np.diff(train.indptr), np.minimum(n_kept, p))
    nothing_to_test = (np.diff(test.indptr) == 0).sum()
    assert nothing_to_test == {1: 0, 10: 5349}[p]


@pytest.mark.parametrize("name", ["users.dat", "mult.dat", "vocabulary.dat"])
def test_citeulike_t_checksums_are_those_of_the_files(name):
    path = need(f"{name}.gz", "citeulike-t")
    content = gzip.decompress(path.read_bytes())
    assert hashlib.sha256(content).hexdigest() == _SHA256["t", name]
