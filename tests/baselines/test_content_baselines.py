import gzip

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.model_selection import GridSearchCV

from skvae.baselines import ContentItemKNN, HybridItemKNN, ItemKNN
from skvae.metrics import make_ranking_scorer
from skvae.metrics._scorer import ranking_scores

# Cosines .6 of items 0 and 1, .8 of 1 and 2, 0 of 0 and 2; item 3 has no content.
CONTENT = np.array([[1, 0], [3, 4], [0, 2], [0, 0]])
BASELINES = [ContentItemKNN(4), HybridItemKNN(4, content_weight=2.0)]


@pytest.fixture
def item_features(interactions):
    rng = np.random.default_rng(1)
    n_items = interactions.shape[1]
    return sp.csr_array(rng.random((n_items, 30)) * (rng.random((n_items, 30)) < 0.2))


@pytest.mark.parametrize("baseline", BASELINES)
def test_content_baselines_take_any_container(
    baseline, interactions, item_features, container
):
    expected = clone(baseline).fit(interactions, item_features=item_features)

    X = container(interactions)
    model = clone(baseline).fit(X, item_features=container(item_features))
    scores = model.decision_function(X)

    assert isinstance(scores, np.ndarray)
    assert scores.shape == interactions.shape
    assert_allclose(scores, expected.decision_function(interactions), rtol=1e-6)


def test_content_scores_agree_with_a_hand_worked_example():
    X = np.array([[1, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]])

    scores = ContentItemKNN().fit(X, item_features=CONTENT).decision_function(X)

    assert_allclose(scores, [[0, 0.6, 0, 0], [0, 1.4, 0, 0], [0, 0, 0, 0]])


def test_content_scores_use_the_neighbors_of_the_users_item():
    X = np.array([[0, 1, 0, 0]])

    scores = ContentItemKNN(1).fit(X, item_features=CONTENT).decision_function(X)

    # Item 1 is the nearest of item 0, but item 0 is not the nearest of item 1.
    assert_allclose(scores, [[0, 0, 0.8, 0]])


def test_content_with_shrinkage_agrees_with_a_hand_worked_example():
    X = np.array([[1, 0, 0, 0]])
    knn = ContentItemKNN(shrinkage=1.0).fit(X, item_features=CONTENT)

    # The product is 3, the norms are 1 and 5.
    assert_allclose(knn.decision_function(X), [[0, 0.5, 0, 0]])


def test_content_with_all_neighbors_is_cosine_similarity(interactions, item_features):
    similarity = cosine_similarity(item_features)
    np.fill_diagonal(similarity, 0)

    knn = ContentItemKNN(interactions.shape[1])
    knn.fit(interactions, item_features=item_features)

    assert_allclose(
        knn.decision_function(interactions), interactions @ similarity, rtol=1e-6
    )


def test_hybrid_scores_agree_with_a_hand_worked_example():
    # Vectors with weight 2: (1, 1; 2, 0), (1, 0; 1.2, 1.6), (0, 0; 0, 2), (0, 0; 0, 0),
    # so products 3.4 of items 0 and 1, 3.2 of 1 and 2; norms sqrt 6, sqrt 5, 2, 0.
    X = np.array([[1, 1, 0, 0], [1, 0, 0, 0]])
    knn = HybridItemKNN(content_weight=2.0).fit(X, item_features=CONTENT)
    shrunk = HybridItemKNN(shrinkage=1.0, content_weight=2.0)
    shrunk.fit(X, item_features=CONTENT)

    nearest, next_nearest = 3.4 / np.sqrt(30), 3.2 / np.sqrt(20)
    assert_allclose(
        knn.decision_function(X),
        [[nearest, nearest, next_nearest, 0], [0, nearest, 0, 0]],
    )
    assert_allclose(shrunk.decision_function(X)[1], [0, 3.4 / (np.sqrt(30) + 1), 0, 0])


def test_hybrid_scores_use_the_neighbors_of_the_scored_item():
    X = np.array([[0, 1, 0, 0]])
    knn = HybridItemKNN(1, content_weight=1e6).fit(X, item_features=CONTENT)

    # Item 1 is the nearest neighbor of both item 0 and item 2.
    assert_allclose(knn.decision_function(X), [[0.6, 0, 0.8, 0]], rtol=1e-6)


def test_hybrid_is_cosine_similarity_of_ratings_and_content(
    interactions, item_features
):
    content = item_features.toarray()
    content /= np.linalg.norm(content, axis=1, keepdims=True)
    similarity = cosine_similarity(np.hstack([interactions.toarray().T, 3 * content]))
    np.fill_diagonal(similarity, 0)

    knn = HybridItemKNN(interactions.shape[1], content_weight=3.0)
    knn.fit(interactions, item_features=item_features)

    assert_allclose(knn.item_weights_.toarray(), similarity, rtol=1e-6)


def test_hybrid_without_weight_on_the_content_is_item_knn(interactions, item_features):
    knn = ItemKNN(3, shrinkage=2.0).fit(interactions)
    hybrid = HybridItemKNN(3, shrinkage=2.0, content_weight=0.0)
    hybrid.fit(interactions, item_features=item_features)

    assert_allclose(hybrid.item_weights_.toarray(), knn.item_weights_.toarray())


@pytest.mark.parametrize("baseline", BASELINES)
def test_items_without_ratings_are_scored_by_their_content(baseline):
    X = np.array([[1, 1, 0, 0], [1, 1, 0, 0]])

    scores = clone(baseline).fit(X, item_features=CONTENT).decision_function(X)

    assert (scores[:, 2] > 0).all()
    assert_array_equal(scores[:, 3], 0)


@pytest.mark.parametrize("baseline", BASELINES)
def test_content_baselines_are_the_same_when_computed_in_blocks(
    baseline, interactions, item_features, monkeypatch
):
    whole = clone(baseline).fit(interactions, item_features=item_features)

    block_size = 7 * interactions.shape[1]
    monkeypatch.setattr("skvae.baselines._item_knn.BLOCK_SIZE", block_size)
    by_blocks = clone(baseline).fit(interactions, item_features=item_features)

    assert_allclose(by_blocks.item_weights_.toarray(), whole.item_weights_.toarray())


@pytest.mark.parametrize("baseline", BASELINES)
def test_item_features_need_a_row_for_each_item(baseline, interactions):
    with pytest.raises(ValueError, match="has 4 rows but X has 25 columns"):
        clone(baseline).fit(interactions, item_features=CONTENT)


@pytest.mark.parametrize("baseline", BASELINES)
def test_grid_search_works_with_content_baselines(
    baseline, interactions, item_features
):
    search = GridSearchCV(
        baseline,
        {"n_neighbors": [1, 5]},
        scoring=make_ranking_scorer("ndcg@10"),
        cv=3,
    ).fit(interactions, item_features=item_features)

    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.fixture(scope="module")
def citeulike(data_home):
    folder = data_home / "citeulike-t"
    if not folder.is_dir():
        pytest.skip("no citeulike-t in the folder with real data")
    words = _read_rows(folder / "mult.dat.gz", n_columns=20_000)
    return folder, TfidfTransformer(sublinear_tf=True).fit_transform(words)


def _read_rows(path, n_columns):
    """Read lines of ``n column column ...`` or ``n column:count ...`` as CSR."""
    indices, values, indptr = [], [], [0]
    with gzip.open(path, "rt") as lines:
        for line in lines:
            for entry in line.split()[1:]:
                column, _, value = entry.partition(":")
                indices.append(int(column))
                values.append(float(value or 1))
            indptr.append(len(indices))
    return sp.csr_array((values, indices, indptr), shape=(len(indptr) - 1, n_columns))


def _recalls(model, folder, n_train):
    """Recalls of the test part of a split if the training part is folded in."""
    train, test = (
        _read_rows(folder / "splits" / f"cf-{part}-{n_train}-users.dat.gz", 25_975)
        for part in ("train", "test")
    )
    names = [f"recall_relevant@{k}" for k in (50, 100, 150, 200, 250, 300)]
    scores = ranking_scores(model, train, test, names)
    return [scores[name] for name in names]


@pytest.mark.slow
def test_content_item_knn_on_citeulike_t_agrees_with_other_code(citeulike):
    folder, item_features = citeulike
    any_row = sp.csr_array(([1.0], ([0], [0])), shape=(1, 25_975))
    knn = ContentItemKNN(300).fit(any_row, item_features=item_features)

    assert _recalls(knn, folder, n_train=1) == pytest.approx(
        [0.1396, 0.1873, 0.2192, 0.2412, 0.2590, 0.2760], abs=2e-4
    )
    assert _recalls(knn, folder, n_train=10) == pytest.approx(
        [0.1737, 0.2470, 0.2978, 0.3375, 0.3684, 0.3927], abs=2e-4
    )


@pytest.mark.slow
def test_hybrid_tuned_on_training_data_is_better_than_cvae_on_citeulike_t(citeulike):
    folder, item_features = citeulike
    train = _read_rows(folder / "splits" / "cf-train-10-users.dat.gz", 25_975)
    knn = HybridItemKNN(2000, shrinkage=1000.0, content_weight=1.75)
    knn.fit(train, item_features=item_features)

    # CVAE as rerun by Ferrari Dacrema et al. 2021, with ten training items per user.
    cvae = [0.2387, 0.3274, 0.3849, 0.4263, 0.4606, 0.4854]
    assert (np.array(_recalls(knn, folder, n_train=10)) > cvae).all()


@pytest.mark.parametrize("baseline", BASELINES)
def test_refused_content_leaves_the_baseline_unchanged(
    baseline, interactions, item_features
):
    model = clone(baseline).fit(interactions, item_features=item_features)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="item_features"):
        model.fit(interactions[:, :9], item_features=item_features)
    assert vars(model) == before


def test_items_of_opposite_content_are_no_neighbours(interactions):
    signed = np.random.default_rng(0).normal(size=(interactions.shape[1], 3))
    knn = ContentItemKNN(20).fit(interactions, item_features=signed)
    similarity = cosine_similarity(signed)
    np.fill_diagonal(similarity, 0)
    found = knn.item_weights_.toarray()
    assert found.min() == 0
    assert_array_equal(found > 0, similarity > 1e-12)
