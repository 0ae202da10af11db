"""The loaders on real files, where they are: SKVAE_DATA names their folder."""

import os
from pathlib import Path

import numpy as np
import pytest

from skvae.datasets import fetch_movielens, load_interactions

DATA = Path(
    os.environ.get("SKVAE_DATA", Path(__file__).parents[2].parent / "shared" / "data")
)


def need(name):
    path = DATA / "movielens" / name
    if not path.is_file():
        pytest.skip(f"{path} is not there; set SKVAE_DATA to the folder of the data")
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
