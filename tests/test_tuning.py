"""The recommender in scikit-learn's searches, with the ranking scorers."""

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from joblib import parallel_config
from scipy.stats import loguniform
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    KFold,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer

from skvae import MultVAERecommender
from skvae.metrics import make_ranking_scorer, ndcg_at_k
from skvae.model_selection import hold_out_interactions, top_items

GRID = {"dropout": [0.2, 0.6], "n_components": [4, 8]}


@pytest.fixture
def model():
    return MultVAERecommender(batch_size=20, max_iter=6, random_state=0)


def test_grid_search_with_one_metric(model, interactions):
    search = GridSearchCV(model, GRID, scoring=make_ranking_scorer("ndcg@10"), cv=3)
    search.fit(interactions)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()
    assert search.predict(interactions).shape == (60,)
    np.testing.assert_array_equal(
        top_items(search, interactions, 5),
        search.best_estimator_.recommend(interactions, 5),
    )


def test_grid_search_with_several_metrics_and_refit(model, interactions):
    search = GridSearchCV(
        model,
        GRID,
        scoring=make_ranking_scorer(("ndcg@10", "recall@5")),
        refit="ndcg@10",
        cv=3,
    ).fit(interactions)
    best = search.cv_results_["mean_test_ndcg@10"].argmax()
    assert search.best_params_ == search.cv_results_["params"][best]
    assert "rank_test_recall@5" in search.cv_results_


def test_grid_search_takes_the_default_score(model, interactions):
    search = GridSearchCV(model, {"dropout": [0.2, 0.6]}, cv=3).fit(interactions)
    expected = GridSearchCV(
        model, {"dropout": [0.2, 0.6]}, cv=3, scoring=make_ranking_scorer("ndcg@100")
    ).fit(interactions)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )


def test_grid_search_with_later_interactions_as_y(model, interactions):
    """y holds later interactions; it is split like X and not used for training."""
    earlier, later = hold_out_interactions(interactions, 0.3, random_state=0)
    cv = KFold(3)
    search = GridSearchCV(
        model, {"dropout": [0.2, 0.6]}, scoring=make_ranking_scorer("ndcg@10"), cv=cv
    ).fit(earlier, later)
    train, test = next(cv.split(earlier))
    by_hand = model.set_params(dropout=0.2).fit(earlier[train])
    expected = ndcg_at_k(later[test], y_rank=by_hand.recommend(earlier[test], 10), k=10)
    assert search.cv_results_["split0_test_score"][0] == pytest.approx(expected)


def test_two_jobs_give_the_same_scores_as_one(model, interactions):
    """The bits are equal for equal numbers of threads, in processes and threads."""

    def scores(n_jobs, backend):
        with parallel_config(backend, **_one_thread(backend)):
            search = GridSearchCV(
                model, GRID, scoring=make_ranking_scorer("ndcg@10"), cv=2, n_jobs=n_jobs
            ).fit(interactions)
        return search.cv_results_["mean_test_score"]

    alone = scores(1, "loky")  # the suite itself runs on one thread
    np.testing.assert_array_equal(scores(2, "loky"), alone)
    np.testing.assert_array_equal(scores(2, "threading"), alone)


def _one_thread(backend):
    return {"inner_max_num_threads": 1} if backend == "loky" else {}


def test_halving_search_over_epochs(model, interactions):
    search = HalvingRandomSearchCV(
        model,
        {"beta": loguniform(0.001, 1), "dropout": [0.2, 0.5]},
        resource="max_iter",
        max_resources=8,
        min_resources=2,
        scoring=make_ranking_scorer("ndcg@10"),
        cv=2,
        random_state=0,
    ).fit(interactions)
    assert search.best_params_["max_iter"] == 6  # 2 * 3


def test_halving_search_over_users(model, interactions):
    search = HalvingRandomSearchCV(
        model,
        {"dropout": [0.2, 0.5]},
        n_candidates=2,
        scoring=make_ranking_scorer("ndcg@10"),
        cv=2,
        min_resources=20,
        random_state=0,
    ).fit(interactions)
    assert np.isfinite(search.best_score_)


@pytest.mark.parametrize("metrics", ["ndcg@10", ("ndcg@10", "coverage@5")])
def test_cross_validate(model, interactions, metrics):
    result = cross_validate(
        model, interactions, scoring=make_ranking_scorer(metrics), cv=3
    )
    scores = [value for key, value in result.items() if key.startswith("test_")]
    assert len(scores) == (1 if isinstance(metrics, str) else 2)
    assert np.isfinite(scores).all()


def test_learning_curve(model, interactions):
    sizes, _, test_scores = learning_curve(
        model,
        interactions,
        y=None,
        train_sizes=[20, 40],
        scoring=make_ranking_scorer("ndcg@10"),
        cv=3,
    )
    assert list(sizes) == [20, 40]
    assert np.isfinite(test_scores).all()


def test_pipeline_of_counts(model, interactions):
    counts = 3 * interactions
    pipeline = make_pipeline(Binarizer(), model)
    scorer = make_ranking_scorer("ndcg@10")
    np.testing.assert_array_equal(
        cross_val_score(pipeline, counts, scoring=scorer, cv=3),
        cross_val_score(model, interactions, scoring=scorer, cv=3),
    )
    pipeline.fit(counts)
    items = top_items(pipeline, counts, 5)
    np.testing.assert_array_equal(items, pipeline[-1].recommend(interactions, 5))
    search = GridSearchCV(
        pipeline, {"multvaerecommender__dropout": [0.2, 0.6]}, scoring=scorer, cv=2
    ).fit(counts)
    assert np.isfinite(search.best_score_)


def test_validation_set_reaches_fit_through_a_search(model, interactions):
    """As fit parameters, and by metadata routing; all folds share one set."""
    fold_in, held_out = hold_out_interactions(interactions[:21], random_state=0)
    validation = {"X_val": fold_in, "y_val": held_out}
    X = interactions[21:]
    plain = GridSearchCV(model, {"dropout": [0.2, 0.6]}, cv=3).fit(X, **validation)
    assert plain.best_estimator_.best_iter_ >= 1
    with sklearn.config_context(enable_metadata_routing=True):
        routed = GridSearchCV(
            model.set_fit_request(X_val=True, y_val=True),
            {"dropout": [0.2, 0.6]},
            cv=3,
        ).fit(X, **validation)
    np.testing.assert_array_equal(
        plain.cv_results_["mean_test_score"], routed.cv_results_["mean_test_score"]
    )


def test_searches_take_csr_matrices_and_arrays_alike(model, interactions):
    scorer = make_ranking_scorer("ndcg@10")
    expected = cross_val_score(model, interactions, scoring=scorer, cv=3)
    for X in (sp.csr_matrix(interactions), interactions.toarray()):
        scores = cross_val_score(model, X, scoring=scorer, cv=3)
        np.testing.assert_array_equal(scores, expected)
