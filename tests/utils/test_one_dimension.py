"""Errors for one row of a matrix, which must keep its two dimensions."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer
from skvae.baselines import ContentItemKNN, Popularity
from skvae.metrics import make_ranking_scorer, ndcg_at_k
from skvae.model_selection import hold_out_interactions, hold_out_items, top_items

X = sp.csr_array(np.eye(4) + np.eye(4, k=1))
ROW = sp.coo_array(np.ones(4))  # X[0] of a csr_array is like this
TINY = {"n_components": 2, "max_iter": 1, "device": "cpu"}


class Constant(BaseEstimator):
    """Gives every item the same score."""

    def decision_function(self, X):
        return np.zeros(X.shape)


DOORS = {
    "VAETransformer.fit": VAETransformer(**TINY).fit,
    "VAETransformer.transform": VAETransformer(**TINY).fit(X).transform,
    "MultVAERecommender.fit": MultVAERecommender(**TINY).fit,
    "MultVAERecommender.recommend": MultVAERecommender(**TINY).fit(X).recommend,
    "MultVAERecommender.score": MultVAERecommender(**TINY).fit(X).score,
    "CollaborativeVAE.fit": CollaborativeVAE(**TINY).fit,
    "Popularity.fit": Popularity().fit,
    "Popularity.predict": Popularity().fit(X).predict,
    "hold_out_interactions": hold_out_interactions,
    "hold_out_items": hold_out_items,
    "top_items": lambda row: top_items(Constant(), row, 1),
    "scorer": lambda row: make_ranking_scorer("ndcg@1")(Constant(), row),
}
OTHERS = {
    "y_true": lambda row: ndcg_at_k(row, y_rank=[[0]], k=1),
    "y": lambda row: make_ranking_scorer("ndcg@1")(Constant(), X, row),
    "item_features": lambda row: ContentItemKNN().fit(X, item_features=row),
}


@pytest.mark.skipif(ROW.ndim == 2, reason="older scipy has no one-dimensional arrays")
@pytest.mark.parametrize(
    ("name", "door"), [*(("X", door) for door in DOORS.values()), *OTHERS.items()]
)
def test_a_sparse_row_says_how_to_select_it(name, door):
    told = rf"{name} is a sparse array of shape \(4,\).* pass {name}\[\[0\]\] instead"
    with pytest.raises(ValueError, match=told):
        door(ROW)


@pytest.mark.parametrize("name", DOORS)
def test_a_dense_row_says_how_to_reshape_it(name):
    with pytest.raises(ValueError, match=r"Reshape your data|pass one row per user"):
        DOORS[name](np.ones(4))
