"""BlendRecommender: standardised scores, weights given and found, its parameters."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, scale

import skvae._blend as blends
from skvae import BlendRecommender, LinearVAERecommender, MultVAERecommender
from skvae.baselines import EASE, ItemKNN, Popularity
from skvae.datasets import make_interactions
from skvae.metrics import make_ranking_scorer
from skvae.model_selection import _top_items, hold_out_interactions

DATA = make_interactions(900, 60, random_state=0).matrix
X, TEST = DATA[:500], DATA[500:]
PAIR = [("ease", EASE(l2=50.0)), ("knn", ItemKNN())]
ndcg = make_ranking_scorer("ndcg@100")


def blend(estimators=PAIR, **settings):
    return clone(BlendRecommender(estimators, random_state=0, **settings))


def test_scores_are_the_weighted_sum_of_standardised_scores():
    model = blend(weights=[3, 1]).fit(X)
    parts = [clone(one).fit(X).decision_function(TEST[:9]) for _, one in PAIR]
    scaled = [scale(part.astype(float), axis=1) for part in parts]
    expected = 0.75 * scaled[0] + 0.25 * scaled[1]
    np.testing.assert_allclose(
        model.decision_function(TEST[:9]), expected, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(model.weights_, [0.75, 0.25])


def test_a_user_without_differences_gets_zeros():
    np.testing.assert_array_equal(blends.standardised(np.full((2, 5), 7.0)), 0)
    model = blend(weights=[1, 1]).fit(X)
    assert np.isfinite(model.decision_function(sp.csr_array((2, 60)))).all()


@pytest.mark.parametrize("n_models", [1, 2, 3, 4, 5, 30])
def test_the_grid_of_weights_covers_the_simplex(n_models):
    grid = blends.weight_grid(n_models)
    np.testing.assert_allclose(grid.sum(axis=1), 1)
    np.testing.assert_allclose(grid[0], 1 / n_models)
    for corner in np.eye(n_models):  # each model alone
        assert (grid == corner).all(axis=1).any()
    assert len(np.unique(grid.round(9), axis=0)) >= len(grid) - 1
    assert len(grid) <= 151


def test_weights_found_are_the_best_of_the_grid(monkeypatch):
    monkeypatch.setattr(_top_items, "CHUNK_BYTES", 8 * 60 * 37)  # several batches
    fold_in, held_out = hold_out_interactions(TEST, random_state=0)
    found = blend().fit(X, X_val=fold_in, y_val=held_out)
    by_hand = {}
    for weights in blends.weight_grid(2):
        given = blend(weights=weights).fit(X)
        by_hand[tuple(weights)] = ndcg(given, fold_in, held_out)
    assert found.best_validation_score_ == pytest.approx(max(by_hand.values()))
    assert by_hand[tuple(found.weights_)] == pytest.approx(max(by_hand.values()))
    assert found.best_validation_score_ > max(by_hand[1.0, 0.0], by_hand[0.0, 1.0])


def test_recommenders_are_fitted_on_all_users_in_the_end():
    model = blend().fit(X)
    np.testing.assert_array_equal(
        model.named_estimators_.ease.item_weights_, EASE(l2=50.0).fit(X).item_weights_
    )
    assert model.weights_.sum() == pytest.approx(1)


def test_a_useless_recommender_gets_little_weight():
    class Noise(Popularity):
        def _score(self, X):
            return np.random.default_rng(0).normal(size=X.shape)

    model = blend([("noise", Noise()), ("ease", EASE(l2=50.0))]).fit(X)
    assert model.weights_[0] < 0.25


def test_unseen_users_are_ranked_better_than_by_the_worse_half():
    model = blend([*PAIR, ("linear", LinearVAERecommender(random_state=0))]).fit(X)
    alone = [ndcg(one, TEST) for one in model.estimators_]
    assert ndcg(model, TEST) > np.mean(alone)


def test_parameters_of_the_recommenders_are_set_through_the_blend():
    model = blend([("vae", MultVAERecommender(8, max_iter=2)), *PAIR])
    model.set_params(vae__dropout=0.1, ease__l2=7.0, knn="drop", weights=[1, 2])
    assert model.get_params()["vae__dropout"] == 0.1
    assert model.get_params()["ease__l2"] == 7.0
    model.fit(X)
    assert list(model.named_estimators_) == ["vae", "ease"]
    assert model.named_estimators_.vae.dropout == 0.1
    copied = clone(model)
    assert copied.get_params()["ease__l2"] == 7.0
    assert not hasattr(copied, "estimators_")


def test_a_search_over_a_recommender_and_the_weights():
    search = GridSearchCV(
        blend(),
        {"ease__l2": [10.0, 100.0], "weights": [[1, 1], "auto"]},
        scoring=ndcg,
        cv=2,
        error_score="raise",
    ).fit(X)
    assert search.predict(TEST).shape == (400,)


def test_pipelines_can_be_blended():
    pipeline = make_pipeline("passthrough", EASE(l2=50.0))
    model = blend([("pipeline", pipeline), ("knn", ItemKNN())], weights=[1, 1]).fit(X)
    other = blend(weights=[1, 1]).fit(X)
    np.testing.assert_allclose(
        model.decision_function(TEST), other.decision_function(TEST), atol=1e-5
    )


def test_one_recommender_needs_no_users_to_be_held_out():
    model = blend([("knn", ItemKNN()), ("ease", "drop")]).fit(X[:1])
    np.testing.assert_array_equal(model.weights_, [1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"estimators": []}, "must hold pairs of a name and a recommender"),
        ({"estimators": [EASE()]}, "must hold pairs of a name and a recommender"),
        ({"estimators": [("a", EASE), ("b", EASE())]}, "pass an instance"),
        ({"estimators": [("a", Binarizer())]}, "has no decision_function"),
        ({"estimators": [("a", EASE()), ("a", EASE())]}, "not unique"),
        ({"estimators": [("a", "drop")]}, "All recommenders are dropped"),
        ({"weights": [1, 2, 3]}, r"shape \(3,\) for 2 recommenders"),
        ({"weights": [0, 0]}, "not all zero"),
        ({"weights": [-1, 2]}, "not negative"),
        ({"weights": [np.nan, 2]}, "must be finite"),
        ({"scoring": "best@10"}, "best@10"),
    ],
)
def test_unusable_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        BlendRecommender(**{"estimators": PAIR, **settings}).fit(X)


def test_a_failed_fit_leaves_the_blend_unchanged():
    model = blend(weights=[1, 1]).fit(X)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.full((4, 60), np.nan))
    assert vars(model) == before


def test_users_who_cannot_be_held_out_are_reported():
    with pytest.raises(ValueError, match="No users can be held out"):
        blend().fit(sp.csr_array(np.eye(5, 60)))


def test_verbose_names_the_recommenders(capsys):
    blend(weights=[1, 1]).fit(X)
    assert capsys.readouterr().out == ""
    blend(weights=[1, 1], verbose=1).fit(X)
    assert "fitting ease on 500 users" in capsys.readouterr().out


def test_wrong_weights_are_refused_before_the_recommenders_are_fitted(monkeypatch):
    monkeypatch.setattr(EASE, "fit", None)
    with pytest.raises(ValueError, match="weights has shape"):
        blend(weights=[1, 2, 3]).fit(X)
