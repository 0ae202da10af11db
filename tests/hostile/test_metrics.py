"""Hostile truths, scores, rankings and arguments for every metric and scorer."""

import inspect

import numpy as np
import pytest
from hypothesis import strategies as st
from sklearn.base import BaseEstimator

from skvae import metrics
from skvae.metrics import make_ranking_scorer
from tests.hostile import strategies as hostile
from tests.hostile.cases import cases
from tests.hostile.estimators import N_ITEMS, RECOMMENDERS, fitted
from tests.hostile.outcomes import Refused, attempt

BY_USER = sorted(set(metrics.__all__) - {"coverage_at_k", "make_ranking_scorer"})
N_USERS = 4
LENGTHS = (*hostile.INTEGERS, 3, 100, 2**70, "3", None, [1])
THRESHOLDS = (*hostile.FLOATS, 1e300, "0", None, [0])
RANKINGS = {
    "best": lambda: np.tile(np.arange(N_ITEMS), (N_USERS, 1)),
    "short": lambda: np.arange(2 * N_USERS).reshape(N_USERS, 2) % N_ITEMS,
    "with gaps": lambda: np.tile([1, 0, -1, -1, -1], (N_USERS, 1)),
    "twice": lambda: np.ones((N_USERS, N_ITEMS), dtype=int),
    "too high": lambda: np.tile(np.arange(N_ITEMS) + 1, (N_USERS, 1)),
    "too low": lambda: np.tile(np.arange(N_ITEMS) - 2, (N_USERS, 1)),
    "huge": lambda: np.full((N_USERS, N_ITEMS), 2**63, dtype=np.uint64),
    "bytes": lambda: np.tile(np.arange(N_ITEMS, dtype=np.int8), (N_USERS, 1)),
    "read-only": lambda: np.broadcast_to(np.arange(N_ITEMS), (N_USERS, N_ITEMS)),
    "list": lambda: [[0, 1, 2, 3, 4]] * N_USERS,
    "whole floats": lambda: np.tile(np.arange(float(N_ITEMS)), (N_USERS, 1)),
}


class Scores(BaseEstimator):
    """Returns fixed scores for any X."""

    def __init__(self, scores):
        self.scores = scores

    def decision_function(self, X):
        return self.scores


def truths():
    """Recipes of truths, half of which have the shape of the rankings."""
    usual = hostile.tame((N_USERS, N_ITEMS))
    return st.one_of(usual, hostile.anything(n_rows=(N_USERS,) * 4 + (0, 1)))


def rankings():
    """Recipes of rankings, as scores or as indices, valid or not."""
    items = hostile.mostly(["best", "read-only", "bytes"], sorted(RANKINGS))
    scores = hostile.one_in(
        3,
        hostile.anything(n_rows=(N_USERS,) * 4 + (0, 1)),
        hostile.tame((N_USERS, N_ITEMS)),
    )
    return st.one_of(
        items.map(lambda name: ("y_rank", name)),
        scores.map(lambda scores: ("y_score", scores)),
        hostile.one_in(4, hostile.anything(), scores),
    )


def built(ranking):
    if not isinstance(ranking, tuple):
        return {"y_rank": ranking.build()}
    name, recipe = ranking
    return {name: RANKINGS[recipe]() if name == "y_rank" else recipe.build()}


def check_share(value):
    assert type(value) is float
    assert np.isnan(value) or 0 <= value <= 1 + 1e-12


@cases(
    st.sampled_from(BY_USER),
    truths(),
    rankings(),
    hostile.mostly([3, 2], LENGTHS),
    hostile.mostly([0], THRESHOLDS),
    st.sampled_from(hostile.FLAGS),
    st.sampled_from(["binary", "linear", "exponential", "relevant", None]),
    quick=120,
    slow=500,
)
def test_metrics_of_any_input(name, y_true, ranking, k, threshold, per_user, choice):
    options = {"k": k, "relevance_threshold": threshold, "per_user": per_user}
    metric = getattr(metrics, name)
    for argument in {"gains", "denominator"} & set(
        inspect.signature(metric).parameters
    ):
        options[argument] = choice
    result = attempt(metric, y_true.build(), **built(ranking), **options)
    if isinstance(result, Refused):
        return
    if not per_user:
        check_share(result)
        return
    assert result.shape == (y_true.n_rows(),)
    assert result.dtype == np.float64
    for value in result.tolist():
        check_share(value)


@cases(
    rankings(),
    hostile.mostly([3, 2], LENGTHS),
    hostile.mostly([N_ITEMS], LENGTHS),
    quick=15,
    slow=80,
)
def test_coverage_of_any_input(ranking, k, n_items):
    result = attempt(metrics.coverage_at_k, **built(ranking), k=k, n_items=n_items)
    if not isinstance(result, Refused):
        check_share(result)


@pytest.mark.parametrize("given", [{}, {"y_score": [[1.0]], "y_rank": [[0]]}])
def test_no_ranking_and_two_rankings_are_refused(given):
    for name in BY_USER:
        assert isinstance(attempt(getattr(metrics, name), [[1]], **given), Refused)


METRICS = (
    *("ndcg@3", "coverage@2", "recall_relevant@1", "ndcg@0", "nonsense", "", "@", None),
    *(("ndcg@1", "recall@2"), ["precision@100"], (), [], [None], 3, {"ndcg@1"}, "ndcg"),
    *(
        {"ndcg@1": 2},
        np.array(["ndcg@1"]),
        b"ndcg@1",
        ("ndcg@1", "ndcg@1"),
        [["ndcg@1"]],
    ),
)
SIZES = (0.2, 0.5, 1, 2, 0, 1.0, -1, 2**70, 1e-300, True, *hostile.WRONG_TYPES)
SEEDS = (0, 1, -1, 2**32, np.int64(2), None, 1.5, "0", True, np.random.RandomState(0))


@cases(
    hostile.mostly(["ndcg@3", ("ndcg@1", "coverage@2")], METRICS),
    hostile.mostly([0.2], SIZES),
    hostile.mostly([0], SEEDS),
    st.sampled_from(hostile.FLAGS),
    st.sampled_from(RECOMMENDERS),
    hostile.tame((N_USERS, N_ITEMS)),
    quick=20,
    slow=100,
)
def test_scorers_with_any_options(names, held_out, seed, exclude_seen, name, rows):
    scorer = attempt(
        make_ranking_scorer,
        names,
        held_out=held_out,
        random_state=seed,
        exclude_seen=exclude_seen,
        names=["Metric", "random_state"],
    )
    if isinstance(scorer, Refused):
        return
    assert repr(scorer)
    result = attempt(scorer, fitted(name), rows.build())
    if isinstance(result, Refused):
        return
    for value in result.values() if isinstance(result, dict) else [result]:
        check_share(value)


@cases(
    st.sampled_from(RECOMMENDERS),
    truths(),
    st.one_of(st.none(), truths()),
    quick=25,
    slow=100,
)
def test_scorers_on_any_data(name, rows, truth):
    scorer = make_ranking_scorer(("ndcg@3", "coverage@2"))
    y = None if truth is None else truth.build()
    result = attempt(scorer, fitted(name), rows.build(), y)
    if not isinstance(result, Refused):
        assert set(result) == {"ndcg@3", "coverage@2"}
        for value in result.values():
            check_share(value)


@cases(
    hostile.tame((N_USERS, N_ITEMS), ("binary",)),
    truths(),
    quick=15,
    slow=80,
)
def test_scorers_on_an_estimator_with_any_scores(rows, scores):
    result = attempt(
        make_ranking_scorer("ndcg@3"),
        Scores(scores.build()),
        rows.build(),
        names=["decision_function"],
    )
    if not isinstance(result, Refused):
        check_share(result)
