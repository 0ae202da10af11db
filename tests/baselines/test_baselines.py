import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.model_selection import GridSearchCV

from skvae.baselines import EASE, ItemKNN, Popularity
from skvae.datasets import make_checkerboard
from skvae.metrics import make_ranking_scorer
from skvae.model_selection import top_items


@pytest.mark.parametrize("baseline", [Popularity(), ItemKNN(2), EASE(2.0)])
def test_baselines_take_any_container(baseline, interactions, container):
    expected = clone(baseline).fit(interactions).decision_function(interactions)
    X = container(interactions)

    scores = clone(baseline).fit(X).decision_function(X)

    assert isinstance(scores, np.ndarray)
    assert scores.shape == interactions.shape
    assert_allclose(scores, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "baseline", [Popularity(), ItemKNN(2), EASE(2.0, max_gigabytes=1e-4)]
)
def test_a_refused_fit_leaves_the_baseline_unchanged(baseline, interactions):
    model = clone(baseline).fit(interactions)
    before = dict(vars(model))
    refused = [-np.ones((3, 7)), np.zeros((3, 7)), np.full((3, 7), np.nan)]
    if isinstance(model, EASE):
        refused.append(np.ones((2, 3000)))  # too many items for its memory
    for X in refused:
        with pytest.raises(ValueError):  # noqa: PT011 - each has a message of its own
            model.fit(X)
        assert vars(model) == before


def test_popularity_counts_users_not_values():
    X = sp.csr_array(np.array([[5, 1, 0], [0, 1, 0]]))

    popularity = Popularity().fit(X)

    assert_array_equal(popularity.item_counts_, [1, 2, 0])
    assert_array_equal(popularity.decision_function(X), [[1, 2, 0], [1, 2, 0]])


def test_item_knn_with_all_neighbors_is_cosine_similarity(interactions):
    similarity = cosine_similarity(interactions.T)
    np.fill_diagonal(similarity, 0)

    knn = ItemKNN(n_neighbors=interactions.shape[1]).fit(interactions)

    assert_allclose(knn.item_weights_.toarray(), similarity, rtol=1e-6)
    assert_allclose(
        knn.decision_function(interactions), interactions @ similarity, rtol=1e-6
    )


def test_item_knn_keeps_the_nearest_neighbors_of_each_item(interactions):
    similarity = cosine_similarity(interactions.T)
    np.fill_diagonal(similarity, 0)

    weights = ItemKNN(n_neighbors=3).fit(interactions).item_weights_.toarray()

    assert_array_equal((weights > 0).sum(axis=0), np.full(similarity.shape[0], 3))
    assert_allclose(
        np.sort(weights, axis=0)[-3:], np.sort(similarity, axis=0)[-3:], rtol=1e-6
    )


def test_item_knn_is_the_same_when_computed_in_blocks(interactions, monkeypatch):
    whole = ItemKNN(4).fit(interactions).item_weights_

    block_size = 7 * interactions.shape[1]
    monkeypatch.setattr("skvae.baselines._item_knn.BLOCK_SIZE", block_size)
    by_blocks = ItemKNN(4).fit(interactions).item_weights_

    assert_allclose(by_blocks.toarray(), whole.toarray())


def test_item_knn_with_shrinkage_agrees_with_a_hand_worked_example():
    # Items 0 and 1 share two users; their norms are sqrt(2) and sqrt(3).
    X = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1]])

    weights = ItemKNN(shrinkage=1.0).fit(X).item_weights_.toarray()

    assert weights[0, 1] == pytest.approx(2 / (np.sqrt(6) + 1))
    assert weights[0, 2] == 0


def test_item_without_users_has_no_neighbors():
    X = np.array([[1, 1, 0], [1, 0, 0]])

    weights = ItemKNN().fit(X).item_weights_.toarray()

    assert_array_equal(weights[:, 2], 0)
    assert np.isfinite(weights).all()


def test_ease_weights_are_ridge_regressions_on_the_other_items(interactions):
    X = interactions.toarray()
    weights = EASE(l2=3.0).fit(interactions).item_weights_

    assert_array_equal(np.diag(weights), 0)
    for item in range(X.shape[1]):
        others = np.arange(X.shape[1]) != item
        ridge = Ridge(alpha=3.0, fit_intercept=False).fit(X[:, others], X[:, item])
        assert_allclose(weights[others, item], ridge.coef_, atol=1e-6)


def test_ease_solves_its_normal_equations(interactions):
    X = interactions.toarray().astype(float)
    weights = EASE(l2=3.0).fit(interactions).item_weights_

    # The gradient is zero everywhere except on the diagonal, which is fixed at zero.
    gradient = X.T @ (X @ weights - X) + 3.0 * weights
    np.fill_diagonal(gradient, 0)

    assert_allclose(gradient, 0, atol=1e-9)


@pytest.mark.parametrize("baseline", [ItemKNN(), EASE(1.0)])
def test_baselines_find_the_missing_item_of_a_checkerboard(baseline):
    X, held_out = make_checkerboard(20, 12)

    best = top_items(baseline.fit(X), X, n_items=1)

    assert_array_equal(best[:, 0], held_out)


def test_grid_search_works_with_baselines(interactions):
    search = GridSearchCV(
        ItemKNN(),
        {"n_neighbors": [1, 5]},
        scoring=make_ranking_scorer("ndcg@10"),
        cv=3,
    ).fit(interactions)

    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_ease_with_exponents_is_ease_on_scaled_interactions(interactions):
    counts = interactions.sum(axis=0)
    users = interactions.sum(axis=1)
    scaled = sp.diags(users**-0.3) @ interactions @ sp.diags(counts**-0.4)
    plain = EASE(l2=2.0).fit(scaled)
    ease = EASE(l2=2.0, user_exponent=0.3, item_exponent=0.4, output_exponent=0.2).fit(
        interactions
    )
    expected = interactions.toarray() * counts**-0.4 @ plain.item_weights_ * counts**0.2
    assert_allclose(ease.decision_function(interactions), expected, rtol=1e-5)


def test_ease_refuses_a_catalogue_beyond_its_memory_before_it_computes():
    X = sp.csr_array(([1.0, 1.0], ([0, 1], [5, 199_999])), shape=(2, 200_000))
    with pytest.raises(ValueError, match="960 GB for 200000 items.*LinearVAERec"):
        EASE().fit(X)
    assert EASE(max_gigabytes=3e-9 * 8 * 25).fit(X[:, 3:8]).item_weights_.shape == (
        5,
        5,
    )
