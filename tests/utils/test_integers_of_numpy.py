"""Integers of numpy mean the same as those of Python, whatever their width."""

import numpy as np
import pytest
import scipy.sparse as sp

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer
from skvae.baselines import HybridItemKNN, ItemKNN, Popularity
from skvae.metrics import coverage_at_k, make_ranking_scorer, ndcg_at_k, recall_at_k
from skvae.model_selection import hold_out_interactions, hold_out_items, top_items

TYPES = [np.int8, np.uint8, np.int64, np.uint64]
X = sp.csr_array(np.random.default_rng(0).random((120, 50)) < 0.2, dtype=np.float64)
WORDS = np.random.default_rng(1).random((50, 100))
FITS = {
    "VAETransformer": (VAETransformer, {"max_iter": 20, "n_components": 3}, {}),
    "auto batches": (MultVAERecommender, {"max_iter": 20, "n_components": 3}, {}),
    "annealing by steps": (
        MultVAERecommender,
        {"max_iter": 20, "batch_size": 10, "annealing": 100},
        {"n_components": 3, "beta": 1.0},
    ),
    "layers": (
        MultVAERecommender,
        {"n_components": 3, "max_iter": 3},
        {"hidden_layer_sizes": (100, 60), "early_stopping": True},
    ),
    "patience": (
        MultVAERecommender,
        {"n_iter_no_change": 2, "max_iter": 20, "n_components": 3},
        {"early_stopping": True},
    ),
    "CollaborativeVAE": (
        CollaborativeVAE,
        {"max_iter": 2, "content_epochs": 20, "batch_size": 10, "n_components": 3},
        {},
    ),
}


def arrays_of(estimator):
    """Return the learned weights and curves."""
    weights = estimator._module.state_dict()
    return {
        **{name: weight.numpy() for name, weight in weights.items()},
        **{name: getattr(estimator, name) for name in ("n_iter_", "loss_curve_")},
    }


def assert_equal_fits(kind, expected, given):
    extra = {"item_features": WORDS} if kind is CollaborativeVAE else {}
    fits = [
        arrays_of(kind(**parameters, random_state=0, device="cpu").fit(X, **extra))
        for parameters in (expected, given)
    ]
    assert fits[0].keys() == fits[1].keys()
    for name in fits[0]:
        np.testing.assert_array_equal(fits[1][name], fits[0][name], err_msg=name)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", FITS)
def test_fits_have_the_same_bits(name, dtype):
    kind, numbers, others = FITS[name]
    given = {**others, **{key: dtype(value) for key, value in numbers.items()}}
    if "hidden_layer_sizes" in others:
        given["hidden_layer_sizes"] = np.array(others["hidden_layer_sizes"], dtype)
    assert_equal_fits(kind, {**numbers, **others}, given)


def test_more_epochs_than_a_signed_byte_holds():
    others = {"n_components": 2, "batch_size": 60}
    assert_equal_fits(
        MultVAERecommender,
        {"max_iter": 200, **others},
        {"max_iter": np.uint8(200), **others},
    )


def test_parameters_are_kept_as_they_were_passed():
    max_iter = np.uint8(2)
    model = MultVAERecommender(n_components=2, max_iter=max_iter).fit(X)
    assert model.max_iter is max_iter


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("knn", [ItemKNN, HybridItemKNN])
def test_neighbours(knn, dtype):
    extra = {} if knn is ItemKNN else {"item_features": WORDS}
    expected, same = (knn(n).fit(X, **extra).item_weights_ for n in (5, dtype(5)))
    np.testing.assert_array_equal(same.toarray(), expected.toarray())


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("scores_dtype", [np.float32, np.float64])
def test_metrics_and_rankings(dtype, scores_dtype):
    scores = np.random.default_rng(2).random(X.shape).astype(scores_dtype)
    for metric in (ndcg_at_k, recall_at_k):
        assert metric(X, y_score=scores, k=dtype(5)) == metric(X, y_score=scores, k=5)
    n_items = dtype(50)
    ranks = np.argsort(-scores, axis=1)
    assert coverage_at_k(y_score=scores, k=dtype(5)) == coverage_at_k(
        y_rank=ranks, k=5, n_items=n_items
    )
    popularity = Popularity().fit(X)
    expected = popularity.recommend(X, 5)
    np.testing.assert_array_equal(popularity.recommend(X, dtype(5)), expected)
    np.testing.assert_array_equal(top_items(popularity, X, dtype(5)), expected)
    scorer, same = (
        make_ranking_scorer("ndcg@5", held_out=n, random_state=n) for n in (3, dtype(3))
    )
    assert same(popularity, X) == scorer(popularity, X)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("split", [hold_out_interactions, hold_out_items])
def test_splits(split, dtype):
    for part, same in zip(
        split(X, 5, random_state=1),
        split(X, dtype(5), random_state=dtype(1)),
        strict=True,
    ):
        assert (part != same).sum() == 0


@pytest.mark.parametrize("dtype", TYPES)
def test_draws(dtype):
    model = MultVAERecommender(2, max_iter=1, random_state=0).fit(X)
    for method in (model.elbo, model.score_samples):
        np.testing.assert_array_equal(
            method(X[:3], n_draws=dtype(100)), method(X[:3], n_draws=100)
        )
    draws = [model.sample(n, n_interactions=n, random_state=0) for n in (9, dtype(9))]
    assert (draws[0] != draws[1]).sum() == 0
