"""Pass corrupt sparse matrices to all public functions, as a process of its own.

Unless they are refused, scipy reads and writes outside of the matrix, which may end the
process. Each line of the output is a case and its outcome.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer
from skvae.baselines import EASE, ContentItemKNN, HybridItemKNN, ItemKNN, Popularity
from skvae.inspection import LatentSpaceDisplay, ReconstructionDisplay
from skvae.metrics import (
    RankingCurveDisplay,
    average_precision_at_k,
    hit_rate_at_k,
    make_ranking_scorer,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
    reciprocal_rank_at_k,
)
from skvae.model_selection import hold_out_interactions, hold_out_items, top_items

N_USERS, N_ITEMS = 120, 50


def good(kind=sp.csr_array):
    """Make interactions, of which the last is with the last item."""
    dense = np.random.default_rng(0).random((N_USERS, N_ITEMS)) < 0.1
    dense[-1, -1] = True
    return kind(dense.astype(np.float64))


def counted_from_one(X):
    return type(X)((X.data, X.indices + 1, X.indptr), shape=X.shape)


def without_the_last_column(X):
    shape = (X.shape[0], X.shape[1] - 1)
    return type(X)((X.data, X.indices, X.indptr), shape=shape)


def negative(X):
    X.indices[7] = -1
    return X


def saved_and_loaded(X):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X.npz"
        sp.save_npz(path, counted_from_one(X))
        return sp.load_npz(path)


def decreasing(X):
    X.indptr[10] = X.indptr[12] + 3
    return X


def starting_late(X):
    X.indptr[0] = 1
    return X


def ending_late(X):
    X.indptr[-1] += 1000
    return X


def without_the_last_end(X):
    X.indptr = X.indptr[:-1]
    return X


def with_wrong_coordinate(name, value):
    def corrupt(X):
        X = X.tocoo()
        coordinates = np.array(getattr(X, name))
        coordinates[7] = value
        setattr(X, name, coordinates)
        return X

    return corrupt


def with_wrong_row(X):
    X = X.tocsc()
    X.indices[7] = N_USERS
    return X


def with_wrong_block(X):
    X = X.tobsr(blocksize=(2, 2))
    X.indices[7] = N_ITEMS // 2
    return X


def with_wrong_list(X):
    X = X.tolil()
    X.rows[0][0] = N_ITEMS
    return X


CORRUPTIONS = {
    "counted from 1": counted_from_one,
    "without the last column": without_the_last_column,
    "negative": negative,
    "saved and loaded": saved_and_loaded,
    "indptr decreases": decreasing,
    "indptr starts late": starting_late,
    "indptr ends late": ending_late,
    "indptr too short": without_the_last_end,
    "COO column": with_wrong_coordinate("col", N_ITEMS),
    "COO negative column": with_wrong_coordinate("col", -1),
    "COO row": with_wrong_coordinate("row", N_USERS),
    "CSC row": with_wrong_row,
    "BSR block": with_wrong_block,
    "LIL column": with_wrong_list,
}


class Tiled(BaseEstimator):
    """Scores each item by its number, for any X."""

    def decision_function(self, X):
        return np.tile(np.arange(float(N_ITEMS)), (X.shape[0], 1))


def make_doors():
    """Return the calls that take a sparse matrix, by name."""
    tiny = {"max_iter": 1, "random_state": 0, "device": "cpu"}
    X = good()
    fold_in, held_out = hold_out_interactions(X, random_state=0)
    words = np.abs(np.random.default_rng(1).normal(size=(N_ITEMS, N_ITEMS)))
    gaussian = VAETransformer(2, **tiny)
    multinomial = VAETransformer(2, likelihood="multinomial", **tiny)
    mult = MultVAERecommender(2, **tiny)
    factors = CollaborativeVAE(2, content_epochs=1, **tiny)
    content = ContentItemKNN()
    for estimator in (gaussian, multinomial, mult):
        estimator.fit(X)
    for estimator in (factors, content):
        estimator.fit(X, item_features=words)
    ranks = np.tile(np.arange(10), (N_USERS, 1))
    doors = {}
    for name, estimator in {
        "gaussian": gaussian,
        "multinomial": multinomial,
        "mult": mult,
        "factors": factors,
        "content": content,
        "popularity": Popularity().fit(X),
        "ease": EASE().fit(X),
        "item knn": ItemKNN().fit(X),
    }.items():
        for method in (
            *("transform", "elbo", "score_samples", "score", "decision_function"),
            *("predict", "recommend", "partial_fit", "fit", "fit_transform"),
        ):
            if hasattr(estimator, method) and (name, method) != ("content", "fit"):
                doors[f"{name}.{method}"] = getattr(estimator, method)
    for metric in (
        *(ndcg_at_k, recall_at_k, precision_at_k, average_precision_at_k),
        *(reciprocal_rank_at_k, hit_rate_at_k),
    ):
        doors[metric.__name__] = lambda bad, metric=metric: metric(bad, y_rank=ranks)
    scorer = make_ranking_scorer("ndcg@10")
    return {
        **doors,
        "fit X_val": lambda bad: mult.fit(fold_in, X_val=bad, y_val=held_out),
        "fit y_val": lambda bad: mult.fit(fold_in, X_val=fold_in, y_val=bad),
        "score y": lambda bad: mult.score(fold_in, bad),
        "fit item_features": lambda bad: factors.fit(X, item_features=bad),
        "recommend new": lambda bad: factors.recommend(X, new_item_features=bad),
        "transform_items": factors.transform_items,
        "content.fit": lambda bad: content.fit(bad, item_features=words),
        "content.fit item_features": lambda bad: content.fit(X, item_features=bad),
        "hybrid.fit item_features": lambda bad: HybridItemKNN().fit(
            X, item_features=bad
        ),
        "scorer X": lambda bad: scorer(Tiled(), bad),
        "scorer X with y": lambda bad: scorer(Tiled(), bad, held_out),
        "scorer y": lambda bad: scorer(Tiled(), fold_in, bad),
        "hold_out_interactions": hold_out_interactions,
        "hold_out_interactions by": lambda bad: hold_out_interactions(X, by=bad),
        "hold_out_items": hold_out_items,
        "top_items": lambda bad: top_items(Tiled(), bad),
        "top_items recommend": lambda bad: top_items(mult, bad),
        "ranking curve": lambda bad: RankingCurveDisplay.from_estimator(Tiled(), bad),
        "ranking curve truth": lambda bad: RankingCurveDisplay.from_predictions(
            bad, y_rank=ranks
        ),
        "reconstruction": lambda bad: ReconstructionDisplay(
            X=bad, X_reconstructed=X
        ).plot(),
        "latent space": lambda bad: LatentSpaceDisplay.from_estimator(gaussian, bad),
    }


# Every call gets one corruption; one call of each way into the package gets all.
THOROUGH = (
    "gaussian.transform",
    "mult.transform",
    "hold_out_interactions",
    "top_items",
)


def main():
    """Print the outcome of every case."""
    for name, door in make_doors().items():
        for corruption, corrupt in CORRUPTIONS.items():
            if corruption != "counted from 1" and name not in THOROUGH:
                continue
            for kind in (sp.csr_array, sp.csr_matrix):
                bad = corrupt(good(kind))
                outcome = "accepted"
                try:
                    door(bad)
                except Exception as error:
                    outcome = f"{type(error).__name__}: {error}"
                print(json.dumps([name, corruption, outcome]), flush=True)


if __name__ == "__main__":
    main()
