"""A table with one row per interaction is not taken for a matrix of three items."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer
from skvae.baselines import EASE, ContentItemKNN, Popularity
from skvae.datasets import load_interactions, make_interactions
from skvae.utils._long_table import refuse_long_table

TINY = {"n_components": 2, "max_iter": 1, "device": "cpu"}
RECOMMENDERS = [
    MultVAERecommender(**TINY),
    CollaborativeVAE(**TINY),
    Popularity(),
    EASE(),
]


def table(n_users=40, n_items=150, seed=0):
    """Make ratings with times: ndarray of shape (n_interactions, 4)."""
    rng = np.random.default_rng(seed)
    X = make_interactions(n_users, n_items, random_state=seed).matrix.tocoo()
    stars = rng.integers(1, 6, X.nnz)
    times = rng.integers(10**9, 2 * 10**9, X.nnz)
    return np.column_stack([X.row + 1, X.col + 1, stars, times])


RATINGS = table()
USERS = np.array([f"user {n}" for n in RATINGS[:, 0]])
FEW = {"userId": [1, 1, 2], "movieId": [10, 20, 10], "rating": [4.0, 5.0, 3.5]}
TABLES = {
    "MovieLens": pd.DataFrame(FEW),
    "MovieLens in polars": pl.DataFrame(FEW),
    "Amazon": pd.DataFrame(
        {"parent_asin": ["A", "B"], "user_id": ["x", "y"], "rating": [1, 2]}
    ),
    "pairs": pd.DataFrame({"customer": [1, 2], "Product ID": [3, 4]}),
    "with a time": pd.DataFrame(
        {"uid": [1], "iid": [2], "ts": pd.to_datetime(["2020-01-01"])}
    ),
    "unknown names": pd.DataFrame(RATINGS, columns=["who", "what", "stars", "when"]),
    "array": RATINGS,
    "array of floats": RATINGS[:, :3].astype(np.float64),
    "array without ratings": RATINGS[:, [0, 1, 3]],
    "counted from 0": RATINGS[:, :3] - [1, 1, 0],
    "large ids": RATINGS[:, :3] * [10**9, 10**9, 1],
    "list": RATINGS[:, :3].tolist(),
    "text ids": pd.DataFrame({"who": USERS, "what": RATINGS[:, 1], "stars": 1}),
    "array of text": np.array([["eva", "tea", "5"], ["kim", "jam", "4"]]),
    "list of text": [["eva", "tea", 5.0], ["kim", "jam", 4.0]],
    "dates": pd.DataFrame(
        {
            "who": RATINGS[:, 0],
            "what": RATINGS[:, 1],
            "when": pd.to_datetime(RATINGS[:, 3], unit="s"),
        }
    ),
}


@pytest.mark.parametrize("estimator", RECOMMENDERS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_interactions_is_refused(name, estimator):
    with pytest.raises(ValueError, match=r"X looks like a table .*load_interactions"):
        estimator.fit(TABLES[name])


def test_partial_fit_and_content_refuse_it_too():
    with pytest.raises(ValueError, match="X looks like a table"):
        MultVAERecommender(**TINY).partial_fit(RATINGS)
    with pytest.raises(ValueError, match="X looks like a table"):
        ContentItemKNN().fit(RATINGS, item_features=np.ones((4, 2)))


def test_the_call_in_the_error_makes_the_matrix():
    for X in (TABLES["MovieLens"], TABLES["Amazon"], TABLES["array"]):
        with pytest.raises(ValueError, match="load_interactions") as caught:
            Popularity().fit(X)
        call = str(caught.value).partition("skvae.datasets.")[2].partition(".matrix")[0]
        known = {"load_interactions": load_interactions, "X": X, "np": np}
        data = eval(call, known)
        n_users = len(np.unique(np.asarray(X)[:, 1 if "user_id" in call else 0]))
        assert data.matrix.shape[0] == n_users
        Popularity().fit(data.matrix)


def counts(n_users, rates, seed=0):
    return np.random.default_rng(seed).poisson(rates, (n_users, len(rates)))


@pytest.mark.parametrize(
    "X",
    [
        counts(1000, [1, 1, 1]),
        counts(1000, [10, 10, 10]),
        counts(1000, [30, 30, 0.5]),
        counts(1000, [1000, 1000, 1000]),
        counts(1000, [0.1, 0.1, 0.1, 0.1]),
        pd.DataFrame(counts(1000, [5, 5, 5]), columns=["book", "movie", "song"]),
        pd.DataFrame(counts(50, [5, 5, 5]), columns=["user", "users", "customer"]),
        np.random.default_rng(0).random((1000, 3)),
        np.random.default_rng(0).integers(0, 2, (5000, 4)),
        sp.csr_array(RATINGS),
        sp.csr_matrix(RATINGS),
    ],
)
def test_matrices_of_few_items_are_accepted(X):
    Popularity().fit(X)


@pytest.mark.filterwarnings("error")
def test_a_lazy_frame_is_not_evaluated():
    refuse_long_table(pl.LazyFrame(FEW))  # its validation refuses it


def test_a_sample_by_feature_table_is_no_concern_of_the_transformer():
    VAETransformer(2, max_iter=1).fit(RATINGS[:, :3] / RATINGS[:, :3].max(axis=0))
    VAETransformer(2, max_iter=1).fit(TABLES["MovieLens"])
