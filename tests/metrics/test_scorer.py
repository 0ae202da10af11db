import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csc_array, csr_array, csr_matrix
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingRandomSearchCV,
    LearningCurveDisplay,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer

from skvae import CollaborativeVAE, MultVAERecommender
from skvae import metrics as skvae_metrics
from skvae.metrics import make_ranking_scorer
from skvae.metrics._scorer import PER_USER_METRICS, ranking_scores
from skvae.model_selection import _top_items, hold_out_interactions, top_items

ALL_METRICS = [*PER_USER_METRICS, "coverage"]


def make_popularity(power=1.0):
    """Make a recommender that scores items by their popularity to some power.

    The class is defined here so that worker processes receive it by value.
    """

    class Popularity(BaseEstimator):
        def __init__(self, power=1.0):
            self.power = power

        def fit(self, X, y=None):
            counts = np.asarray(X.sum(axis=0), dtype=float).ravel()
            self.scores_ = (counts + 1) ** self.power
            self.n_features_in_ = X.shape[1]
            return self

        def decision_function(self, X):
            return np.tile(self.scores_, (X.shape[0], 1))

    return Popularity(power)


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return csr_array((rng.random((80, 30)) < np.linspace(0.05, 0.7, 30)).astype(float))


def test_scores_of_held_out_interactions_match_values_computed_by_hand():
    # Items 0 to 3 rank in this order for all users. One of two items is held out, and
    # the other is seen and not ranked. So whichever is held out, it has rank 1 for the
    # first user and rank 3 for the second. Nothing is held out for the third.
    popularity = make_popularity()
    popularity.scores_ = np.array([4.0, 3, 2, 1])
    X = csr_array(np.array([[1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0]]))
    scorer = make_ranking_scorer(
        ("ndcg@4", "ndcg@2", "recall@3", "precision@3", "reciprocal_rank@4")
    )
    assert scorer(popularity, X) == pytest.approx(
        {
            "ndcg@4": (1 + 1 / 2) / 2,  # 1 / log2(2) and 1 / log2(4)
            "ndcg@2": (1 + 0) / 2,
            "recall@3": 1.0,
            "precision@3": 1 / 3,
            "reciprocal_rank@4": (1 + 1 / 3) / 2,
        }
    )


def test_scores_of_later_interactions_match_values_computed_by_hand():
    popularity = make_popularity()
    popularity.scores_ = np.array([4.0, 3, 2, 1])
    X = csr_array(np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1]]))
    y = csr_array(np.array([[0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0]]))
    scorer = make_ranking_scorer(
        ("recall@1", "recall@2", "recall_relevant@2", "coverage@1")
    )
    # The rankings are 1 2 3 (relevant: 2 3), 2 3 (relevant: 2) and 0 1 2 (none).
    assert scorer(popularity, X, y) == pytest.approx(
        {
            "recall@1": (0 + 1) / 2,
            "recall@2": (1 / 2 + 1) / 2,
            "recall_relevant@2": (1 / 2 + 1) / 2,
            "coverage@1": 3 / 4,
        }
    )


@pytest.mark.parametrize("name", ALL_METRICS)
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_scorer_equals_hold_out_then_ranking_then_metric(X, name, exclude_seen):
    popularity = make_popularity().fit(X)
    fold_in, held_out = hold_out_interactions(X, 0.3, random_state=4)
    items = top_items(popularity, fold_in, 7, exclude_seen=exclude_seen)
    metric, _, option = name.partition("_")
    if metric == "ndcg":
        expected = skvae_metrics.ndcg_at_k(
            held_out, y_rank=items, k=7, gains=option or "binary"
        )
    elif metric == "recall":
        expected = skvae_metrics.recall_at_k(
            held_out, y_rank=items, k=7, denominator=option or "min_k"
        )
    elif metric == "coverage":
        expected = skvae_metrics.coverage_at_k(y_rank=items, k=7, n_items=30)
    else:
        expected = getattr(skvae_metrics, f"{name}_at_k")(held_out, y_rank=items, k=7)
    scorer = make_ranking_scorer(
        f"{name}@7", held_out=0.3, random_state=4, exclude_seen=exclude_seen
    )
    score = scorer(popularity, X)
    assert type(score) is float
    assert score == expected


def test_several_metrics_at_once_equal_single_metrics(X):
    popularity = make_popularity().fit(X)
    names = [f"{metric}@{k}" for metric in ALL_METRICS for k in (1, 5, 1000)]
    scores = make_ranking_scorer(names)(popularity, X)
    assert list(scores) == names
    assert scores == {name: make_ranking_scorer(name)(popularity, X) for name in names}
    assert {type(score) for score in scores.values()} == {float}


def test_chunk_size_does_not_change_the_scores(X, monkeypatch):
    popularity = make_popularity().fit(X)
    scorer = make_ranking_scorer([f"{metric}@5" for metric in ALL_METRICS])
    whole = scorer(popularity, X)
    monkeypatch.setattr(_top_items, "CHUNK_BYTES", 8 * 30 * 16)
    assert scorer(popularity, X) == whole


def test_recommend_is_called_if_the_estimator_has_it(X):
    class Recommender:
        def recommend(
            self, X, n_items, *, exclude_seen, candidates=None, return_scores=False
        ):
            return top_items(
                popularity, X, n_items, exclude_seen=exclude_seen, candidates=candidates
            )

    popularity = make_popularity().fit(X)
    scorer = make_ranking_scorer()
    assert scorer(Recommender(), X) == scorer(popularity, X)


def test_one_dimensional_labels_are_ignored(X):
    popularity = make_popularity().fit(X)
    scorer = make_ranking_scorer()
    expected = scorer(popularity, X)
    labels = np.arange(80) % 3
    for y in (labels, list(labels), pd.Series(labels), labels.astype(str)):
        assert scorer(popularity, X, y) == expected


@pytest.mark.parametrize("kind", [csr_matrix, csr_array, csc_array])
def test_sparse_ground_truth_of_any_format(X, kind):
    popularity = make_popularity().fit(X)
    fold_in, held_out = hold_out_interactions(X, random_state=0)
    scorer = make_ranking_scorer()
    assert scorer(popularity, kind(fold_in), kind(held_out)) == scorer(popularity, X)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "container",
    [
        csr_array,
        np.asarray,
        lambda X: pd.DataFrame(
            X, columns=[f"item{i}" for i in range(30)], index=np.arange(80) + 100
        ),
        lambda X: pl.DataFrame(X, schema=[f"item{i}" for i in range(30)]),
    ],
    ids=["sparse", "array", "pandas", "polars"],
)
def test_estimator_receives_the_container_that_the_scorer_received(X, container):
    received = []
    popularity = make_popularity().fit(X)
    class_ = type(popularity)

    class Recording(class_):
        def decision_function(self, X):
            received.append(X)
            return super().decision_function(X)

    recording = Recording()
    recording.scores_ = popularity.scores_
    given_X = container(X.toarray())
    scorer = make_ranking_scorer()
    assert scorer(recording, given_X) == scorer(popularity, X)
    assert all(type(chunk) is type(given_X) for chunk in received)
    if hasattr(given_X, "columns"):
        assert list(received[0].columns) == list(given_X.columns)
    if hasattr(given_X, "index"):
        assert list(received[0].index) == list(given_X.index)
    _, later = hold_out_interactions(X, random_state=0)
    with pytest.raises(ValueError, match="in X as well"):
        scorer(recording, given_X, later)


def test_ground_truth_that_repeats_seen_items_is_refused(X):
    popularity = make_popularity().fit(X)
    fold_in, held_out = hold_out_interactions(X, random_state=0)
    scorer = make_ranking_scorer()
    with pytest.raises(ValueError, match=f"{held_out.nnz} of {held_out.nnz} .*remove"):
        scorer(popularity, X, held_out)
    # Both solutions that the message proposes.
    assert make_ranking_scorer(exclude_seen=False)(popularity, X, held_out) > 0
    y = X - X.multiply(fold_in != 0)
    assert scorer(popularity, fold_in, y) == scorer(popularity, fold_in, held_out)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.ones((80, 30)), "y is a ndarray of 2 dimensions"),
        (np.ones((80, 1)), "y is a ndarray of 2 dimensions"),
        (pd.DataFrame(np.ones((80, 30))), "y is a DataFrame of 2 dimensions"),
        (3, "y is a int of 0 dimensions"),
        (csr_array((80, 29)), r"y has shape \(80, 29\) but X has shape \(80, 30\)"),
        (csr_array((79, 30)), r"y has shape \(79, 30\)"),
    ],
)
def test_invalid_ground_truth_is_refused(X, y, message):
    with pytest.raises(ValueError, match=message):
        make_ranking_scorer()(make_popularity().fit(X), X, y)


@pytest.mark.filterwarnings("error")
def test_metrics_are_nan_without_relevant_items(X):
    popularity = make_popularity().fit(X)
    names = [f"{metric}@3" for metric in ALL_METRICS]
    scores = make_ranking_scorer(names)(popularity, csr_array(np.eye(30)))
    assert 0 < scores.pop("coverage@3") < 1
    assert np.isnan(list(scores.values())).all()
    assert np.isnan(make_ranking_scorer()(popularity, X, csr_array(X.shape)))


@pytest.mark.parametrize(
    "metrics",
    ["ndcg", "ndcg@0", "ndcg@", "ndcg@-1", "map@5", "@5", "NDCG@5", "ndcg@5 ", ""]
    + [["ndcg@5", "auc@5"], ["ndcg@5", 5]],
)
def test_unknown_metrics_are_refused(metrics):
    known = ", ".join(ALL_METRICS)
    with pytest.raises(ValueError, match=f"is not known; pass one of {known}"):
        make_ranking_scorer(metrics)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mrr@10", "reciprocal_rank@10"),
        ("MRR@10", "reciprocal_rank@10"),
        ("map@10", "average_precision@10"),
        ("hr@10", "hit_rate@10"),
        ("hitrate@10", "hit_rate@10"),
        ("hit-rate@10", "hit_rate@10"),
        ("prec@5", "precision@5"),
        ("ndgc@100", "ndcg@100"),
        ("NDCG@5", "ndcg@5"),
        ("ndcg@5 ", "ndcg@5"),
        ("ndcg", "ndcg@100"),
        ("ndcg@0", "ndcg@100"),
        ("ndcg@", "ndcg@100"),
        ("recall_at_20", "recall@20"),
        ("recal@20", "recall@20"),
        ("averageprecision@3", "average_precision@3"),
        ("recall20", "recall@20"),
    ],
)
def test_the_error_says_which_metric_was_meant(name, meant):
    with pytest.raises(ValueError, match=f'Did you mean "{meant}"\\?$'):
        make_ranking_scorer(name)
    with pytest.raises(ValueError, match=f'Did you mean "{meant}"\\?$'):
        make_ranking_scorer(("recall@3", name))
    make_ranking_scorer(meant)


@pytest.mark.parametrize("name", ["accuracy", "nonsense@3", "@5", "ndcg@-1", "", 5])
def test_there_is_no_hint_if_no_metric_is_similar(name):
    with pytest.raises(ValueError, match='as in "ndcg@100".$'):
        make_ranking_scorer([name])


@pytest.mark.parametrize("estimator", [MultVAERecommender, CollaborativeVAE])
def test_the_parameter_scoring_gets_the_hint_too(estimator):
    with pytest.raises(ValueError, match='Did you mean "reciprocal_rank@10"'):
        estimator(scoring="mrr@10").fit(np.eye(4))


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match="metrics is empty"):
        make_ranking_scorer([])
    with pytest.raises(ValueError, match="held_out=1.5"):
        make_ranking_scorer(held_out=1.5)
    for random_state in (None, np.random.RandomState(0)):
        with pytest.raises(ValueError, match="random_state=.*pass an int"):
            make_ranking_scorer(random_state=random_state)


@pytest.mark.parametrize(
    "copy_scorer",
    [
        copy.deepcopy,
        lambda scorer: pickle.loads(pickle.dumps(scorer)),
        lambda scorer: clone(scorer, safe=False),
        lambda scorer: eval(repr(scorer)),
    ],
    ids=["deepcopy", "pickle", "clone", "repr"],
)
def test_copies_of_a_scorer_score_the_same(X, copy_scorer):
    scorer = make_ranking_scorer(("ndcg@5",), held_out=3, random_state=7)
    copied = copy_scorer(scorer)
    assert repr(copied) == repr(scorer)
    popularity = make_popularity().fit(X)
    assert copied(popularity, X) == scorer(popularity, X)


@pytest.mark.parametrize("routing", [False, True])
class TestInScikitLearn:
    @pytest.fixture(autouse=True)
    def metadata_routing(self, routing):
        with config_context(enable_metadata_routing=routing):
            yield

    def test_grid_search_of_several_metrics(self, X):
        search = GridSearchCV(
            make_popularity(),
            {"power": [-1.0, 1.0]},
            scoring=make_ranking_scorer(("ndcg@10", "recall@5")),
            refit="ndcg@10",
            cv=3,
            n_jobs=2,
            error_score="raise",
        ).fit(X)
        assert search.best_params_ == {"power": 1.0}
        assert (search.cv_results_["mean_test_recall@5"] > 0).all()
        scorer = make_ranking_scorer("ndcg@10")
        assert search.score(X) == scorer(search.best_estimator_, X)
        assert scorer(search, X) == scorer(search.best_estimator_, X)
        assert clone(search).fit(X).best_score_ == search.best_score_

    def test_grid_search_of_one_metric_or_a_dict_of_scorers(self, X):
        scores = []
        for scoring, refit in [
            (make_ranking_scorer("ndcg@10"), True),
            ({"a": make_ranking_scorer("ndcg@10")}, "a"),
        ]:
            search = GridSearchCV(
                make_pipeline(Binarizer(), make_popularity()),
                {"popularity__power": [-1.0, 1.0]},
                scoring=scoring,
                refit=refit,
                cv=3,
                error_score="raise",
            ).fit(X)
            scores.append(search.best_score_)
        assert scores[0] == scores[1] > 0

    def test_grid_search_with_later_interactions(self, X):
        fold_in, later = hold_out_interactions(X, random_state=0)
        search = GridSearchCV(
            make_popularity(),
            {"power": [-1.0, 1.0]},
            scoring=make_ranking_scorer("ndcg@10"),
            cv=3,
            error_score="raise",
        ).fit(fold_in, later)
        assert search.best_params_ == {"power": 1.0}
        assert search.score(fold_in, later) > 0

    def test_cross_validation(self, X):
        scorer = make_ranking_scorer(("ndcg@10", "coverage@5"))
        scores = cross_validate(make_popularity(), X, scoring=scorer, cv=4, params={})
        assert scores["test_ndcg@10"].shape == scores["test_coverage@5"].shape == (4,)
        one = cross_val_score(
            make_popularity(),
            X,
            scoring=make_ranking_scorer("ndcg@10"),
            cv=4,
            params={},  # with metadata routing scikit-learn 1.6.0 fails on None
        )
        np.testing.assert_array_equal(one, scores["test_ndcg@10"])

    def test_halving_search(self, X):
        search = HalvingRandomSearchCV(
            make_popularity(),
            {"power": [-1.0, 0.5, 1.0]},
            scoring=make_ranking_scorer("ndcg@10"),
            n_candidates=3,
            min_resources=20,
            cv=2,
            random_state=0,
            error_score="raise",
        ).fit(X)
        assert search.best_params_["power"] > 0

    def test_learning_curve(self, X):
        _, train, test = learning_curve(
            make_popularity(),
            X,
            None,
            scoring=make_ranking_scorer("ndcg@10"),
            train_sizes=[0.5, 1.0],
            cv=2,
            error_score="raise",
        )
        assert (train > 0).all()
        assert (test > 0).all()

    def test_displays_name_the_metric_on_their_axis(self, X):
        display = LearningCurveDisplay.from_estimator(
            make_popularity(),
            X,
            None,
            scoring=make_ranking_scorer("ndcg@10"),
            train_sizes=[0.3, 0.6, 1.0],
            cv=2,
        )
        assert display.ax_.get_ylabel() == "Ndcg@10"  # capitalised by scikit-learn


def test_default_scorer_is_ndcg_at_100_with_a_fifth_held_out(X):
    assert repr(make_ranking_scorer()) == (
        "make_ranking_scorer('ndcg@100', held_out=0.2, random_state=0, "
        "exclude_seen=True)"
    )
    popularity = make_popularity().fit(X)
    fold_in, held_out = hold_out_interactions(X, 0.2, random_state=0)
    expected = ranking_scores(popularity, fold_in, held_out, "ndcg@100")
    assert make_ranking_scorer()(popularity, X) == expected
    assert ranking_scores(popularity, fold_in, held_out) == expected


def test_errors_name_the_invalid_argument(X):
    popularity = make_popularity().fit(X)
    with pytest.raises(ValueError, match=r"\by contains NaN"):
        make_ranking_scorer()(popularity, X, csr_array(np.full(X.shape, np.nan)))
    with pytest.raises(ValueError, match="^y is a list that cannot be used"):
        make_ranking_scorer()(popularity, X, [[1.0], [1.0, 2.0]])
    _, held_out = hold_out_interactions(X, random_state=0)
    for score in (make_ranking_scorer(), ranking_scores):
        with pytest.raises(ValueError, match="^X is a list that cannot be used"):
            score(popularity, [[1.0], [1.0, 2.0]], held_out)


def test_recall_of_a_list_shorter_than_the_relevant_items(X):
    popularity = make_popularity().fit(X)
    fold_in, held_out = hold_out_interactions(X, 0.8, random_state=0)
    items = top_items(popularity, fold_in, 2)
    names = {"min_k": "recall@2", "relevant": "recall_relevant@2"}
    scores = make_ranking_scorer(list(names.values()), held_out=0.8)(popularity, X)
    for denominator, name in names.items():
        assert scores[name] == skvae_metrics.recall_at_k(
            held_out, y_rank=items, k=2, denominator=denominator
        )
    assert scores["recall@2"] > scores["recall_relevant@2"]


def test_ranking_scores_equal_those_of_the_scorer(X):
    popularity = make_popularity().fit(X)
    fold_in, held_out = hold_out_interactions(X, random_state=0)
    score = ranking_scores(popularity, fold_in, held_out, "ndcg@5")
    assert score == make_ranking_scorer("ndcg@5")(popularity, X)
    assert ranking_scores(popularity, fold_in, held_out, ["ndcg@5"]) == {
        "ndcg@5": score
    }
    with pytest.raises(ValueError, match="in X as well"):
        ranking_scores(popularity, X, held_out)
    assert ranking_scores(popularity, X, held_out, exclude_seen=False) > 0


@pytest.mark.parametrize("names", [3, None])
def test_metrics_that_are_not_names_are_refused(names):
    with pytest.raises(ValueError, match="metrics="):
        make_ranking_scorer(names)


def test_k_with_too_many_digits_is_refused():
    with pytest.raises(ValueError, match="is not known"):
        make_ranking_scorer("ndcg@" + "9" * 5000)
