"""Tests that the checks accept a small recommender and detect each of its faults."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator

from skvae.metrics import make_ranking_scorer
from skvae.model_selection import top_items
from skvae.utils import estimator_checks
from skvae.utils.estimator_checks import (
    check_recommender,
    parametrize_with_recommender_checks,
)


class CoOccurrence(BaseEstimator):
    """Score items by how often they occur together, in integers and so exactly."""

    def fit(self, X, y=None):
        X = sp.csr_array(X).toarray().astype(np.float64)
        self.weights_ = X.T @ X
        return self

    def decision_function(self, X):
        X = X.toarray() if sp.issparse(X) else np.asarray(X)
        return X @ self.weights_ + np.diag(self.weights_) / 1024

    def recommend(
        self,
        X,
        n_items=10,
        *,
        exclude_seen=True,
        candidates=None,
        return_scores=False,
    ):
        return top_items(
            _Scores(self),
            X,
            n_items,
            exclude_seen=exclude_seen,
            candidates=candidates,
            return_scores=return_scores,
        )

    def predict(self, X):
        return self.recommend(X, n_items=1)[:, 0]

    def score(self, X, y=None):
        return make_ranking_scorer("ndcg@100")(self, X, y)


class _Scores:
    """Only the scores of an estimator, so that `top_items` cannot call `recommend`."""

    def __init__(self, estimator):
        self.decision_function = estimator.decision_function


class RanksSeenItems(CoOccurrence):
    def recommend(self, X, n_items=10, **options):
        return super().recommend(X, n_items, **{**options, "exclude_seen": False})


class ReturnsFewerItemsThanRequested(CoOccurrence):
    def recommend(self, X, n_items=10, **options):
        return super().recommend(X, min(max(n_items, 1), X.shape[1] - 1), **options)


class RaisesWithoutStatingNItems(CoOccurrence):
    def recommend(self, X, n_items=10, **options):
        try:
            return super().recommend(X, n_items, **options)
        except ValueError:
            raise ValueError("too many items") from None


class IgnoresCandidates(CoOccurrence):
    def recommend(self, X, n_items=10, **options):
        return super().recommend(X, n_items, **{**options, "candidates": None})


class RefusesFewCandidates(CoOccurrence):
    def recommend(self, X, n_items=10, **options):
        candidates = options.get("candidates")
        if candidates is not None and n_items > len(candidates):
            raise ValueError(f"n_items={n_items} but {len(candidates)} candidates")
        return super().recommend(X, n_items, **options)


class PredictsTheSecondItem(CoOccurrence):
    def predict(self, X):
        return self.recommend(X, n_items=2)[:, 1]


class AddsToThePreviousFit(CoOccurrence):
    def fit(self, X, y=None):
        before = getattr(self, "weights_", 0)
        super().fit(X)
        self.weights_ = self.weights_ + before
        return self


class ScoresNaNWithoutHistory(CoOccurrence):
    def decision_function(self, X):
        scores = super().decision_function(X)
        scores[np.asarray(sp.csr_array(X).sum(axis=1)) == 0] = np.nan
        return scores


class DependsOnOtherRows(CoOccurrence):
    def decision_function(self, X):
        scores = super().decision_function(X)
        return scores - scores.mean()


class DependsOnTheOrderOfRows(CoOccurrence):
    def decision_function(self, X):
        scores = super().decision_function(X)
        return scores + np.arange(len(scores))[:, None]


class AcceptsAnyGroundTruth(CoOccurrence):
    def score(self, X, y=None):
        try:
            return super().score(X, y)
        except ValueError:
            return 0.0


class ReturnsANumpyScore(CoOccurrence):
    def score(self, X, y=None):
        return np.float32(super().score(X, y))


class RanksByPopularity(CoOccurrence):
    def decision_function(self, X):
        return np.tile(np.diag(self.weights_), (X.shape[0], 1))


class ModifiesX(CoOccurrence):
    def recommend(self, X, n_items=10, **options):
        if sp.issparse(X):
            X.sum_duplicates()
        return super().recommend(X, n_items, **options)


class ChangesWhenPickled(CoOccurrence):
    def __getstate__(self):
        return {"weights_": -self.weights_}


class DependsOnTheSparseFormat(CoOccurrence):
    def fit(self, X, y=None):
        super().fit(X)
        self.weights_ *= 1 + (getattr(X, "format", None) == "csc")
        return self


FAULTS = {
    RanksSeenItems: "recommend_excludes_seen",
    ReturnsFewerItemsThanRequested: "more_items_than_exist_raise",
    RaisesWithoutStatingNItems: "more_items_than_exist_raise",
    RefusesFewCandidates: "too_few_candidates",
    IgnoresCandidates: "candidates_restrict_the_ranking",
    PredictsTheSecondItem: "recommend_ranks_the_decision_function",
    AddsToThePreviousFit: "second_fit_starts_afresh",
    ScoresNaNWithoutHistory: "user_without_history",
    DependsOnOtherRows: "users_in_batches_of_any_size",
    DependsOnTheOrderOfRows: "order_of_users",
    AcceptsAnyGroundTruth: "score_takes_the_truth",
    ReturnsANumpyScore: "score_takes_the_truth",
    RanksByPopularity: "held_out_item_comes_first",
    ModifiesX: "stored_zeros_and_duplicates",
    ChangesWhenPickled: "pickle",
    DependsOnTheSparseFormat: "input_formats_agree",
}


def test_expected_failures_are_marked():
    reasons = {"check_pickle": "the reason"}
    mark = parametrize_with_recommender_checks(
        [CoOccurrence()], expected_failed_checks=lambda estimator: reasons
    )
    marked = {case.id: case.marks for case in mark.args[1] if case.marks}
    assert list(marked) == ["CoOccurrence-check_pickle"]
    assert marked["CoOccurrence-check_pickle"][0].kwargs["reason"] == "the reason"


def test_a_correct_recommender_passes_all_checks():
    check_recommender(CoOccurrence())


@pytest.mark.parametrize("faulty", FAULTS, ids=lambda class_: class_.__name__)
def test_each_fault_is_detected_by_its_check(faulty):
    check = getattr(estimator_checks, f"check_{FAULTS[faulty]}")
    with pytest.raises(AssertionError):
        check(faulty.__name__, faulty())
    with pytest.raises((AssertionError, ValueError)):
        check_recommender(faulty())
