import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.decomposition import TruncatedSVD

from skvae.datasets import _generators, make_checkerboard, make_interactions
from skvae.datasets._generators import _draw_pairs


def held_out_recall(scores, seen, held_out, k=20):
    """Mean share of the held-out items among the k best unseen items."""
    scores = np.where(seen, -np.inf, scores)
    best = np.argsort(-scores, axis=1)[:, :k]
    hits = np.take_along_axis(held_out, best, axis=1).sum(axis=1)
    n_held_out = held_out.sum(axis=1)
    users = n_held_out > 0
    return (hits[users] / np.minimum(k, n_held_out[users])).mean()


def test_preferences_can_be_learned_and_true_preferences_rank_best():
    data = make_interactions(random_state=0)
    taken = data.matrix.toarray() > 0
    held_out = taken & (np.random.default_rng(0).random(taken.shape) < 0.2)
    seen = taken & ~held_out
    svd = TruncatedSVD(8, random_state=0)
    by_model = svd.inverse_transform(svd.fit_transform(seen.astype(float)))
    by_popularity = np.broadcast_to(seen.sum(axis=0), seen.shape)
    truth = data.user_factors @ data.item_factors.T
    recall = {
        name: held_out_recall(scores, seen, held_out)
        for name, scores in [
            ("truth", truth),
            ("model", by_model),
            ("popularity", by_popularity),
            ("chance", np.random.default_rng(1).random(seen.shape)),
        ]
    }
    assert recall["truth"] > recall["model"]
    assert recall["model"] > 1.3 * recall["popularity"]
    assert recall["popularity"] > 2 * recall["chance"]


def test_matrix_is_canonical_and_factors_are_distributions():
    data = make_interactions(300, 120, n_factors=5, random_state=0)
    matrix = data.matrix
    assert matrix.shape == (300, 120)
    assert matrix.dtype == np.float32
    assert matrix.indices.dtype == np.int32
    assert (matrix.data == 1).all()
    for start, stop in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        assert (np.diff(matrix.indices[start:stop]) > 0).all()
    assert data.user_factors.shape == (300, 5)
    assert data.item_factors.shape == (120, 5)
    assert_allclose(data.user_factors.sum(axis=1), 1)
    assert_allclose(data.item_factors.sum(axis=0), 1)
    preferences = data.user_factors @ data.item_factors.T
    assert_allclose(data.item_popularity, preferences.mean(axis=0))
    assert (preferences > 0).all()


def test_same_seed_gives_equal_data_and_global_random_state_is_unchanged():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (make_interactions(random_state=3) for _ in range(2))
    other = make_interactions(random_state=4)
    assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert pickle.dumps(first) == pickle.dumps(second)
    assert first.matrix.nnz != other.matrix.nnz


def test_number_of_items_has_the_requested_mean_and_a_long_tail():
    data = make_interactions(
        20_000, 1000, n_interactions_per_user=12, activity_sigma=0.8, random_state=0
    )
    n_items = np.diff(data.matrix.indptr)
    assert n_items.min() >= 1
    # log-normal Poisson: variance m + m**2 (exp(sigma**2) - 1), five standard errors
    mean = 11
    deviation = np.sqrt(mean + mean**2 * np.expm1(0.8**2))
    assert abs(n_items.mean() - 12) < 5 * deviation / np.sqrt(20_000)
    assert np.percentile(n_items, 99) > 4 * np.median(n_items)


def test_equal_activity_leaves_only_poisson_noise():
    data = make_interactions(20_000, 1000, activity_sigma=0, random_state=0)
    n_items = np.diff(data.matrix.indptr) - 1
    dispersion = n_items.var() / n_items.mean()
    assert abs(dispersion - 1) < 5 * np.sqrt(2 / 20_000)


def test_popularity_follows_zipf():
    data = make_interactions(
        20_000, 200, popularity_exponent=1.0, n_factors=1, random_state=0
    )
    sorted_popularity = np.sort(data.item_popularity)[::-1]
    assert_allclose(sorted_popularity / sorted_popularity[0], 1 / np.arange(1, 201))
    flat = make_interactions(popularity_exponent=0, n_factors=1, random_state=0)
    assert_allclose(flat.item_popularity, 1 / 500)


def plackett_luce(probabilities, k):
    """Probability of each set of k items, drawn without replacement, as a bit mask."""
    sets = {0: 1.0}
    for _ in range(k):
        longer = {}
        for chosen, p_set in sets.items():
            rest = [i for i in range(len(probabilities)) if not chosen >> i & 1]
            total = probabilities[rest].sum()
            for i in rest:
                grown = chosen | 1 << i
                p = p_set * probabilities[i] / total
                longer[grown] = longer.get(grown, 0) + p
        sets = longer
    return sets


@pytest.mark.parametrize("n_rounds", [0, 1, 4])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_sets_of_items_have_the_probabilities_of_plackett_luce(
    k, n_rounds, monkeypatch
):
    # 0 rounds: only Gumbel noise; 1: both methods; 4: mostly repeated draws
    monkeypatch.setattr(_generators, "_N_ROUNDS", n_rounds)
    user_factors = np.array([[0.7, 0.3]])
    item_factors = np.array([[0.6, 0.05], [0.3, 0.15], [0.08, 0.3], [0.02, 0.5]])
    n_users = 20_000
    pairs = _draw_pairs(
        np.random.RandomState(0),  # noqa: NPY002
        np.repeat(user_factors, n_users, axis=0),
        item_factors,
        np.full(n_users, k),
    )
    users, items = np.divmod(pairs, 4)
    assert_array_equal(users, np.repeat(np.arange(n_users), k))
    found = np.bincount((1 << items).reshape(-1, k).sum(axis=1), minlength=16)
    expected = plackett_luce((user_factors @ item_factors.T)[0], k)
    masks = list(expected)
    assert found.sum() == found[masks].sum() == n_users
    chi2 = stats.chisquare(found[masks], np.array(list(expected.values())) * n_users)
    assert chi2.pvalue > 1e-3


def test_chunks_are_joined_in_order(monkeypatch):
    monkeypatch.setattr(_generators, "_CHUNK_DRAWS", 50)
    data = make_interactions(200, 60, n_interactions_per_user=15, random_state=0)
    assert data.matrix.has_canonical_format
    taken = data.matrix.toarray() > 0
    preferences = data.user_factors @ data.item_factors.T
    chosen = np.where(taken, preferences, 0).sum() / 200
    shuffled = np.where(taken, np.roll(preferences, 1, axis=0), 0).sum() / 200
    assert chosen > 1.5 * shuffled  # each user has the right preferences


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_users": 0}, "'n_users' parameter"),
        ({"n_items": 1}, "'n_items' parameter"),
        ({"n_interactions_per_user": 26, "n_items": 50}, "more than half.*at most 25"),
        ({"taste_concentration": 0}, "'taste_concentration' parameter"),
        ({"random_state": "one"}, "'random_state' parameter"),
    ],
)
def test_invalid_parameters_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        make_interactions(**options)


def test_users_can_have_half_of_a_small_catalogue():
    data = make_interactions(
        50, 10, n_interactions_per_user=5, activity_sigma=0, random_state=0
    )
    assert np.diff(data.matrix.indptr).max() == 5


@pytest.mark.parametrize("random_state", [None, 0])
@pytest.mark.parametrize(("n_users", "n_items"), [(50, 50), (5, 40), (41, 7), (4, 6)])
def test_held_out_item_is_the_only_new_item_of_similar_users(
    n_users, n_items, random_state
):
    X, held_out = make_checkerboard(n_users, n_items, random_state=random_state)
    dense = X.toarray()
    assert X.dtype == np.float32
    assert X.shape == (n_users, n_items)
    assert held_out.shape == (n_users,)
    # the simplest recommender: rank items by how often they occur with the user's items
    scores = np.where(dense > 0, -np.inf, dense @ (dense.T @ dense))
    assert_array_equal(scores.argmax(axis=1), held_out)
    assert (np.sort(scores, axis=1)[:, -2] <= 0).all()


def test_square_board_holds_out_its_diagonal():
    _, held_out = make_checkerboard(20, 20)
    assert_array_equal(held_out, np.arange(20))


def test_seed_shuffles_the_held_out_items_among_users():
    boards = [make_checkerboard(random_state=seed)[1] for seed in (0, 0, 1)]
    assert_array_equal(boards[0], boards[1])
    assert (boards[0] != boards[2]).any()
    assert_array_equal(np.sort(boards[0]), np.arange(50))


@pytest.mark.parametrize(
    "name", ["popularity_exponent", "activity_sigma"], ids=lambda name: name
)
def test_spreads_that_would_overflow_are_refused(name):
    with pytest.raises(ValueError, match=name):
        make_interactions(10, 8, n_interactions_per_user=2, **{name: 1e300})
