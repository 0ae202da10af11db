"""Searches over every recommender, to run on a cluster and in one process."""

import os
import signal
from pathlib import Path
from uuid import uuid4

import numpy as np
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer

from skvae import (
    BlendRecommender,
    CollaborativeVAE,
    LinearVAERecommender,
    MultVAERecommender,
)
from skvae.baselines import EASE, ContentItemKNN, HybridItemKNN, ItemKNN, Popularity
from skvae.datasets import load_interactions, make_interactions
from skvae.metrics import make_ranking_scorer

N_USERS, N_ITEMS = 160, 60
VAE = {"max_iter": 2, "hidden_layer_sizes": (8,), "random_state": 0}
BLEND = [("linear", LinearVAERecommender(4, random_state=0)), ("ease", EASE())]
# Recommender -> a parameter with two values to search.
CASES = {
    "MultVAERecommender": (MultVAERecommender(4, **VAE), {"dropout": [0.2, 0.6]}),
    "LinearVAERecommender": (
        LinearVAERecommender(random_state=0),
        {"n_components": [4, 8]},
    ),
    "BlendRecommender": (
        BlendRecommender(BLEND, random_state=0),
        {"ease__l2": [5, 50]},
    ),
    "CollaborativeVAE": (CollaborativeVAE(4, **VAE), {"lambda_v": [0.1, 10]}),
    "EASE": (EASE(), {"l2": [5, 50]}),
    "ItemKNN": (ItemKNN(), {"n_neighbors": [5, 20]}),
    "ContentItemKNN": (ContentItemKNN(), {"n_neighbors": [5, 20]}),
    "HybridItemKNN": (HybridItemKNN(), {"n_neighbors": [5, 20]}),
    "Popularity": (Popularity(), {}),
    "Pipeline": (
        make_pipeline(Binarizer(), MultVAERecommender(4, **VAE)),
        {"multvaerecommender__dropout": [0.2, 0.6]},
    ),
}
WITH_FEATURES = ("CollaborativeVAE", "ContentItemKNN", "HybridItemKNN")


def loaded_interactions(n_users=N_USERS, n_items=N_ITEMS, **kwargs):
    """Interactions as `load_interactions` returns them."""
    pairs = make_interactions(n_users, n_items, random_state=0, **kwargs).matrix.tocoo()
    table = {"user": pairs.row, "item": pairs.col}
    return load_interactions(table, user="user", item="item").matrix


def scores_of(name, X):
    """Scores of all candidates by two searches, and those of a cross-validation."""
    estimator, grid = CASES[name]
    features = {}
    if name in WITH_FEATURES:
        words = np.random.default_rng(0).poisson(1.0, (X.shape[1], 12)).astype(float)
        features = {"item_features": words}
    scoring, n_jobs = make_ranking_scorer("ndcg@10"), 2
    grid_search = GridSearchCV(estimator, grid, scoring=scoring, cv=2, n_jobs=n_jobs)
    halving = HalvingGridSearchCV(
        estimator,
        grid,
        scoring=scoring,
        cv=2,
        factor=2,
        min_resources=80,
        random_state=0,
        n_jobs=n_jobs,
    )
    searches = [search.fit(X, **features) for search in (grid_search, halving)]
    validated = cross_validate(
        estimator, X, scoring=scoring, cv=2, params=features, n_jobs=n_jobs
    )
    best = grid_search.best_estimator_.decision_function(X)
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    return [*scores, validated["test_score"], best]


def assert_same_scores(found, expected):
    """Bit for bit; and they are scores, which differ between the folds."""
    for one, other in zip(found, expected, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, other)


class KillsAWorker(ItemKNN):
    """Item-kNN whose fifth fit kills its process, once for each folder."""

    def __init__(self, folder, n_neighbors=20):
        super().__init__(n_neighbors)
        self.folder = folder

    def fit(self, X, y=None):
        folder = Path(self.folder)
        (folder / f"fit-{uuid4()}").touch()
        if len(list(folder.glob("fit-*"))) >= 5 and claim(folder / "killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X)


def claim(path):
    """Whether this process is the first to claim the path."""
    try:
        path.open("x").close()
    except FileExistsError:
        return False
    return True
