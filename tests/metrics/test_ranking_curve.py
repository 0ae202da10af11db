import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from skvae import MultVAERecommender
from skvae.baselines import Popularity
from skvae.metrics import RankingCurveDisplay, coverage_at_k, ndcg_at_k, recall_at_k
from skvae.model_selection import hold_out_interactions, top_items


class LeastPopular(BaseEstimator):
    """Rank the least popular items first, and count the calls."""

    def fit(self, X, y=None):
        self.scores_ = -np.asarray(X.sum(axis=0), dtype=float).ravel()
        self.n_calls_ = 0
        return self

    def decision_function(self, X):
        self.n_calls_ += 1
        return np.tile(self.scores_, (X.shape[0], 1))


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return csr_array((rng.random((80, 30)) < np.linspace(0.05, 0.7, 30)).astype(float))


@pytest.mark.parametrize(
    ("name", "metric"), [("recall", recall_at_k), ("ndcg", ndcg_at_k)]
)
def test_each_point_is_the_metric_at_its_k(X, name, metric):
    model = Popularity().fit(X)
    display = RankingCurveDisplay.from_estimator(model, X, metric=name, k=[1, 3, 7, 30])
    fold_in, held_out = hold_out_interactions(X, 0.2, random_state=0)
    items = top_items(model, fold_in, 30)
    expected = [metric(held_out, y_rank=items, k=k) for k in (1, 3, 7, 30)]
    assert_array_equal(display.line_.get_xdata(), [1, 3, 7, 30])
    assert_allclose(display.line_.get_ydata(), expected)


def test_every_estimator_ranks_once(X):
    model = LeastPopular().fit(X)
    RankingCurveDisplay.from_estimator(model, X, k=np.arange(1, 21))
    assert model.n_calls_ == 1


def test_later_interactions_are_the_ground_truth(X):
    fold_in, later = hold_out_interactions(X, 0.5, random_state=3)
    model = Popularity().fit(fold_in)
    display = RankingCurveDisplay.from_estimator(model, fold_in, later, k=[5])
    items = top_items(model, fold_in, 5)
    assert_allclose(display.line_.get_ydata(), [ndcg_at_k(later, y_rank=items, k=5)])


def test_curves_of_several_estimators_differ_in_style_and_name(X):
    models = {"most": Popularity().fit(X), "least": LeastPopular().fit(X)}
    display = RankingCurveDisplay.from_estimator(models, X, k=[1, 5, 10])
    most, least = display.lines_
    assert (most.get_ydata() > least.get_ydata()).all()
    assert most.get_color() != least.get_color()
    assert most.get_linestyle() != least.get_linestyle()
    assert most.get_marker() != least.get_marker()
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["most", "least"]
    assert display.ax_.get_ylabel() == "NDCG@k"
    assert display.ax_.get_xlabel() == "k (items recommended)"


def test_second_display_draws_on_the_same_axes(X):
    first = RankingCurveDisplay.from_estimator(Popularity().fit(X), X)
    second = RankingCurveDisplay.from_estimator(
        LeastPopular().fit(X), X, ax=first.ax_, name="niche", line_kw={"lw": 4}
    )
    assert second.ax_ is first.ax_
    assert first.line_.get_color() != second.line_.get_color()
    assert second.line_.get_linewidth() == 4
    texts = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert texts == ["Popularity", "niche"]


def test_k_is_sorted_and_at_most_the_number_of_items(X):
    model = Popularity().fit(X)
    display = RankingCurveDisplay.from_estimator(model, X)
    assert_array_equal(display.k, [1, 2, 5, 10, 20])
    assert display.ax_.get_xscale() == "log"
    display = RankingCurveDisplay.from_estimator(model, X, k=[7, 3, 3])
    assert_array_equal(display.k, [3, 7])
    assert display.ax_.get_xscale() == "linear"


def test_predictions_have_the_same_curve_as_the_estimator(X):
    model = Popularity().fit(X)
    fold_in, held_out = hold_out_interactions(X, 0.2, random_state=0)
    items = top_items(model, fold_in, 20)
    for metric in ("recall", "average_precision", "hit_rate"):
        ours = RankingCurveDisplay.from_estimator(model, X, metric=metric, k=[2, 20])
        theirs = RankingCurveDisplay.from_predictions(
            held_out, y_rank=items, metric=metric, k=[2, 20], name="given"
        )
        assert_allclose(theirs.scores, ours.scores["Popularity"])
    assert theirs.ax_.get_legend().get_texts()[0].get_text() == "given"
    scores = np.tile(model.item_counts_, (80, 1))
    scores[fold_in.toarray() > 0] = -np.inf
    by_score = RankingCurveDisplay.from_predictions(held_out, y_score=scores, k=[2, 20])
    by_rank = RankingCurveDisplay.from_predictions(held_out, y_rank=items, k=[2, 20])
    assert_allclose(by_score.scores, by_rank.scores)
    assert by_rank.ax_.get_legend() is None


def test_coverage_is_computed_over_all_users(X):
    items = np.random.default_rng(0).permuted(np.tile(np.arange(30), (80, 1)), axis=1)
    display = RankingCurveDisplay.from_predictions(
        X, y_rank=items[:3, :5].repeat(27, axis=0)[:80], metric="coverage"
    )
    ranked = items[:3]
    expected = [coverage_at_k(y_rank=ranked[:, :k], k=k, n_items=30) for k in (1, 2, 5)]
    assert_allclose(display.line_.get_ydata(), expected)


def test_invalid_arguments_are_refused(X):
    model = Popularity().fit(X)
    draw = RankingCurveDisplay.from_estimator
    with pytest.raises(NotFittedError):
        draw(MultVAERecommender(), X)
    with pytest.raises(TypeError, match="cannot rank items"):
        draw(BaseEstimator(), X)
    with pytest.raises(ValueError, match="k goes up to 31 but 30 items are ranked"):
        draw(model, X, k=[1, 31])
    with pytest.raises(ValueError, match="k=0: pass an integer"):
        draw(model, X, k=[0, 1])
    with pytest.raises(ValueError, match="k=1.5: pass an integer"):
        draw(model, X, k=[1.5])
    with pytest.raises(ValueError, match="k is empty"):
        draw(model, X, k=[])
    with pytest.raises(ValueError, match="'ndgc@1' is not known"):
        draw(model, X, metric="ndgc")
    with pytest.raises(ValueError, match="scores is empty"):
        draw({}, X)
    with pytest.raises(ValueError, match="exactly one of them"):
        RankingCurveDisplay.from_predictions(X)
    with pytest.raises(ValueError, match="k goes up to 10 but 3 items are ranked"):
        RankingCurveDisplay.from_predictions(
            X, y_rank=np.zeros((80, 3), dtype=int), k=[10]
        )
    with pytest.raises(ValueError, match=r"scores of 'a' have shape \(3,\)"):
        RankingCurveDisplay(k=[1, 2], scores={"a": [0.1, 0.2, 0.3]}).plot()
    assert not plt.get_fignums()  # nothing was drawn before the error
