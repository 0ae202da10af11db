from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, csr_matrix
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score

from skvae.metrics import (
    average_precision_at_k,
    coverage_at_k,
    hit_rate_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
    reciprocal_rank_at_k,
)
from skvae.model_selection import _top_items

METRICS = {
    "ndcg": ndcg_at_k,
    "ndcg_linear": partial(ndcg_at_k, gains="linear"),
    "ndcg_exponential": partial(ndcg_at_k, gains="exponential"),
    "recall": recall_at_k,
    "recall_relevant": partial(recall_at_k, denominator="relevant"),
    "precision": precision_at_k,
    "average_precision": average_precision_at_k,
    "reciprocal_rank": reciprocal_rank_at_k,
    "hit_rate": hit_rate_at_k,
}
each_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
seeds = st.integers(0, 10**6)
cases = settings(max_examples=40, deadline=None)


def random_case(seed, n_users=9, n_items=14):
    """Return y_true with values from 0 to 4, y_score without ties, and its y_rank.

    Users may have no relevant items, except for the first user.
    """
    rng = np.random.default_rng(seed)
    y_true = rng.integers(1, 5, (n_users, n_items)).astype(float)
    y_true *= rng.random((n_users, n_items)) < rng.random((n_users, 1))
    y_true[0, 0] = 1
    y_score = rng.permuted(np.tile(np.arange(n_items), (n_users, 1)), axis=1)
    return y_true, y_score, np.argsort(-y_score, axis=1)


# Users with hits at ranks 1 and 4, with a hit at rank 2, without hits, and without
# relevant items.
Y_TRUE = np.array(
    [
        [3, 0, 0, 1, 0, 2],
        [0, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0],
    ]
)
Y_RANK = np.array([[3, 1, 2, 0], [0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]])
DCG_IDEAL_3 = 1 + 1 / np.log2(3) + 1 / np.log2(4)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ndcg", [(1 + 1 / np.log2(5)) / DCG_IDEAL_3, 1 / np.log2(3), 0]),
        (
            "ndcg_linear",
            [
                (1 + 3 / np.log2(5)) / (3 + 2 / np.log2(3) + 1 / np.log2(4)),
                1 / np.log2(3),
                0,
            ],
        ),
        (
            "ndcg_exponential",
            [
                (1 + 7 / np.log2(5)) / (7 + 3 / np.log2(3) + 1 / np.log2(4)),
                1 / np.log2(3),
                0,
            ],
        ),
        ("recall", [2 / 3, 1, 0]),
        ("recall_relevant", [2 / 3, 1, 0]),
        ("precision", [2 / 4, 1 / 4, 0]),
        ("average_precision", [(1 / 1 + 2 / 4) / 3, 1 / 2, 0]),
        ("reciprocal_rank", [1, 1 / 2, 0]),
        ("hit_rate", [1, 1, 0]),
    ],
)
def test_metrics_match_values_computed_by_hand(name, expected):
    per_user = METRICS[name](Y_TRUE, y_rank=Y_RANK, k=4, per_user=True)
    np.testing.assert_allclose(per_user, [*expected, np.nan])
    mean = METRICS[name](Y_TRUE, y_rank=Y_RANK, k=4)
    assert type(mean) is float
    assert mean == pytest.approx(np.mean(expected))


def test_metrics_of_a_short_list_match_values_computed_by_hand():
    # The first user has three relevant items. One of them is in a list of two.
    first = {
        name: metric(Y_TRUE[:1], y_rank=Y_RANK[:1], k=2)
        for name, metric in METRICS.items()
    }
    assert first["ndcg"] == pytest.approx(1 / (1 + 1 / np.log2(3)))
    assert first["recall"] == pytest.approx(1 / 2)
    assert first["recall_relevant"] == pytest.approx(1 / 3)
    assert first["precision"] == pytest.approx(1 / 2)
    assert first["average_precision"] == pytest.approx(1 / 2)


@cases
@given(seed=seeds, k=st.integers(1, 20))
def test_ndcg_equals_that_of_scikit_learn(seed, k):
    y_true, y_score, _ = random_case(seed)
    with_truth = y_true.any(axis=1)
    for gains, gain in [
        ("binary", (y_true > 0).astype(float)),
        ("linear", y_true),
        ("exponential", 2**y_true - 1),
    ]:
        ours = ndcg_at_k(y_true, y_score=y_score, k=k, gains=gains)
        expected = ndcg_score(gain[with_truth], y_score[with_truth], k=k)
        assert ours == pytest.approx(expected)


@cases
@given(seed=seeds)
def test_average_precision_of_the_whole_list_equals_label_ranking_precision(seed):
    # scikit-learn averages the precision at each relevant item, which is the same
    # if k is n_items.
    y_true, y_score, _ = random_case(seed)
    with_truth = y_true.any(axis=1)
    ours = average_precision_at_k(y_true, y_score=y_score, k=y_true.shape[1])
    expected = label_ranking_average_precision_score(
        y_true[with_truth] > 0, y_score[with_truth]
    )
    assert ours == pytest.approx(expected)


@each_metric
@cases
@given(seed=seeds, k=st.integers(1, 20))
def test_metrics_are_between_0_and_1(metric, seed, k):
    y_true, _, y_rank = random_case(seed)
    per_user = metric(y_true, y_rank=y_rank, k=k, per_user=True)
    np.testing.assert_array_equal(np.isnan(per_user), ~y_true.any(axis=1))
    per_user = per_user[~np.isnan(per_user)]
    assert (per_user >= 0).all()
    assert (per_user <= 1 + 1e-12).all()


@pytest.mark.parametrize("name", ["recall_relevant", "reciprocal_rank", "hit_rate"])
@cases
@given(seed=seeds)
def test_longer_lists_never_score_less(name, seed):
    y_true, _, y_rank = random_case(seed)
    by_k = [METRICS[name](y_true, y_rank=y_rank, k=k) for k in range(1, 15)]
    assert (np.diff(by_k) >= -1e-12).all()


@pytest.mark.parametrize(
    "name", ["ndcg", "ndcg_linear", "ndcg_exponential", "recall", "average_precision"]
)
@cases
@given(seed=seeds, k=st.integers(1, 14))
def test_the_ideal_ranking_scores_1(name, seed, k):
    y_true, _, _ = random_case(seed)
    assert METRICS[name](y_true, y_score=y_true, k=k) == pytest.approx(1)


@each_metric
@cases
@given(seed=seeds, k=st.integers(1, 14))
def test_order_of_users_and_numbering_of_items_do_not_matter(metric, seed, k):
    y_true, y_score, _ = random_case(seed)
    rng = np.random.default_rng(seed)
    users, items = rng.permutation(len(y_true)), rng.permutation(y_true.shape[1])
    before = metric(y_true, y_score=y_score, k=k, per_user=True)
    after = metric(
        y_true[users][:, items], y_score=y_score[users][:, items], k=k, per_user=True
    )
    np.testing.assert_allclose(after, before[users])


@each_metric
@cases
@given(seed=seeds, k=st.integers(1, 14))
def test_scores_and_ranks_agree(metric, seed, k):
    y_true, y_score, y_rank = random_case(seed)
    by_score = metric(y_true, y_score=y_score, k=k, per_user=True)
    for ranks in (y_rank, y_rank[:, :k], y_rank.astype(np.uint32), y_rank.tolist()):
        by_rank = metric(y_true, y_rank=ranks, k=k, per_user=True)
        np.testing.assert_array_equal(by_rank, by_score)


@each_metric
@pytest.mark.parametrize("container", [csr_matrix, csr_array, np.asarray])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool])
def test_ground_truth_of_any_type(metric, container, dtype):
    y_true, y_score, _ = random_case(3)
    y_true = y_true.astype(dtype)
    given_truth = container(y_true)
    np.testing.assert_allclose(
        metric(given_truth, y_score=y_score, k=5, per_user=True),
        metric(y_true.astype(float), y_score=y_score, k=5, per_user=True),
    )


@each_metric
def test_ground_truth_with_stored_zeros_and_duplicates(metric):
    y_true = csr_array(
        (np.array([0.0, 1.0, 1.0]), np.array([0, 3, 3]), np.array([0, 3])), (1, 5)
    )
    before = y_true.copy()
    y_rank = [[0, 3, 1]]
    assert metric(y_true, y_rank=y_rank, k=3) == pytest.approx(
        metric(np.array([[0, 0, 0, 2.0, 0]]), y_rank=y_rank, k=3)
    )
    np.testing.assert_array_equal(y_true.data, before.data)


@each_metric
def test_chunk_size_does_not_change_the_metric(metric, monkeypatch):
    y_true, y_score, _ = random_case(0, n_users=50)
    whole = metric(y_true, y_score=y_score, k=5, per_user=True)
    monkeypatch.setattr(_top_items, "CHUNK_BYTES", 8 * 14 * 16)
    np.testing.assert_array_equal(
        metric(y_true, y_score=y_score, k=5, per_user=True), whole
    )


@each_metric
@pytest.mark.filterwarnings("error")
def test_mean_is_nan_if_no_user_has_relevant_items(metric):
    irrelevant = np.zeros((2, 4))
    assert np.isnan(metric(irrelevant, y_score=np.ones((2, 4)), k=2))
    assert np.isnan(
        metric(irrelevant, y_rank=[[0, 1], [0, 1]], k=2, per_user=True)
    ).all()
    assert np.isnan(metric(csr_array((0, 4)), y_score=np.ones((0, 4)), k=2))


@each_metric
@pytest.mark.filterwarnings("error")
def test_read_only_scores_are_accepted_and_not_modified(metric):
    y_true, y_score, _ = random_case(0)
    y_score = y_score.astype(np.float32)
    expected = metric(y_true, y_score=y_score, k=5)
    before = y_score.copy()
    y_score.flags.writeable = False
    assert metric(y_true, y_score=y_score, k=5) == expected
    np.testing.assert_array_equal(y_score, before)


def test_tied_scores_rank_the_lowest_index_first():
    y_true = np.eye(4)
    ranks = reciprocal_rank_at_k(y_true, y_score=np.ones((4, 4)), k=3, per_user=True)
    np.testing.assert_allclose(ranks, [1, 1 / 2, 1 / 3, 0])


def test_minus_one_means_no_item():
    y_true = [[0, 1, 0]]
    assert reciprocal_rank_at_k(y_true, y_rank=[[-1, 1, -1]], k=3) == 1 / 2
    assert precision_at_k(y_true, y_rank=[[1, -1, -1]], k=3) == 1 / 3
    assert hit_rate_at_k(y_true, y_rank=[[-1, -1, -1]], k=3) == 0


def test_a_score_of_minus_infinity_is_not_ranked():
    y_score = [[-np.inf, 1.0, -np.inf]]
    assert hit_rate_at_k([[1, 0, 1]], y_score=y_score, k=3) == 0


@each_metric
def test_k_is_reduced_to_the_number_of_items(metric):
    y_true, _, y_rank = random_case(1)
    assert metric(y_true, y_rank=y_rank, k=1000) == metric(y_true, y_rank=y_rank, k=14)


@each_metric
def test_items_above_the_threshold_are_relevant(metric):
    y_true, y_score, _ = random_case(2)
    above = np.where(y_true > 2.5, y_true, 0)
    np.testing.assert_array_equal(
        metric(y_true, y_score=y_score, k=5, relevance_threshold=2.5, per_user=True),
        metric(above, y_score=y_score, k=5, per_user=True),
    )


def test_a_value_at_the_threshold_is_not_relevant():
    y_true, y_rank = [[2.0, 3.0]], [[0, 1]]
    options = {"y_rank": y_rank, "k": 2, "relevance_threshold": 2}
    assert precision_at_k(y_true, **options) == 1 / 2


def test_negative_values_are_not_relevant():
    assert np.isnan(hit_rate_at_k([[-1.0, 0.0]], y_rank=[[0]], k=1))


def test_coverage_counts_items_listed_for_any_user():
    y_rank = [[0, 1, 5], [1, 0, -1], [0, 2, 4]]
    assert coverage_at_k(y_rank=y_rank, k=1, n_items=6) == 2 / 6
    assert coverage_at_k(y_rank=y_rank, k=2, n_items=6) == 3 / 6
    assert coverage_at_k(y_rank=y_rank, k=3, n_items=6) == 5 / 6
    assert coverage_at_k(y_rank=[[-1], [-1]], k=1, n_items=6) == 0
    y_score = [[9, 8, 0, 0], [8, 9, 0, 0]]
    assert coverage_at_k(y_score=y_score, k=2) == 2 / 4
    assert coverage_at_k(y_score=y_score, k=99) == 1


@each_metric
@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({}, "exactly one of them"),
        ({"y_score": np.ones((4, 6)), "y_rank": Y_RANK}, "exactly one of them"),
        ({"y_score": np.ones((4, 5))}, r"y_score has shape \(4, 5\).*\(4, 6\)"),
        ({"y_score": np.full((4, 6), np.nan)}, "NaN"),
        ({"y_rank": Y_RANK, "k": 5}, r"shape \(4, 4\).*at least 5 columns"),
        ({"y_rank": Y_RANK, "k": 10}, "at least 6 columns"),
        ({"y_rank": Y_RANK[:3]}, "one row for each of 4"),
        ({"y_rank": Y_RANK[0]}, r"shape \(4,\)"),
        ({"y_rank": Y_RANK.astype(float)}, "dtype float64"),
        ({"y_rank": np.where(Y_RANK == 3, 6, Y_RANK)}, "from 0 to 6 .* 6 items"),
        ({"y_rank": Y_RANK - 2}, "from -2 to 1"),
        ({"y_rank": np.where(Y_RANK == 1, 2, Y_RANK)}, "Item 2 .* twice for user 0"),
        ({"y_rank": Y_RANK, "k": 0}, "k=0"),
        ({"y_rank": Y_RANK, "k": 2.0}, "k=2.0"),
        ({"y_rank": Y_RANK, "relevance_threshold": -1}, "relevance_threshold=-1"),
        ({"y_rank": Y_RANK, "relevance_threshold": np.nan}, "relevance_threshold=nan"),
    ],
)
def test_invalid_rankings_are_refused(metric, keywords, message):
    with pytest.raises(ValueError, match=message):
        metric(Y_TRUE, **{"k": 4, **keywords})


@each_metric
def test_default_k_is_10(metric):
    y_true, y_score, _ = random_case(7, n_items=30)
    expected = metric(y_true, y_score=y_score, k=10, per_user=True)
    found = metric(y_true, y_score=y_score, per_user=True)
    np.testing.assert_array_equal(found, expected)


@each_metric
def test_eleventh_item_is_ignored_by_default(metric):
    y_true, y_score = np.zeros((1, 20)), -np.arange(20)[None]
    y_true[0, 10] = 1
    assert metric(y_true, y_score=y_score) == 0
    assert metric(y_true, y_score=y_score, k=11) > 0


def test_coverage_uses_ten_items_by_default():
    assert coverage_at_k(y_score=[np.arange(20)]) == 10 / 20


@pytest.mark.parametrize("name", ["y_rank", "y_score"])
def test_errors_name_rankings_that_are_not_arrays(name):
    ragged = {name: [[0, 1], [2]], "k": 1}
    with pytest.raises(ValueError, match=f"^{name} is a list that cannot be used"):
        coverage_at_k(**ragged, n_items=3)
    with pytest.raises(ValueError, match=f"^{name} is a list that cannot be used"):
        recall_at_k(np.eye(2, 3), **ragged)


def test_coverage_refuses_invalid_arguments():
    with pytest.raises(ValueError, match="^k=0: pass an integer"):
        coverage_at_k(y_rank=Y_RANK, k=0, n_items=6)
    with pytest.raises(ValueError, match="exactly one"):
        coverage_at_k(k=2)
    with pytest.raises(ValueError, match="pass n_items too"):
        coverage_at_k(y_rank=Y_RANK, k=2)
    with pytest.raises(ValueError, match="n_items=0"):
        coverage_at_k(y_rank=Y_RANK, k=2, n_items=0)
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        coverage_at_k(y_rank=[0, 1, 2], k=2, n_items=3)
    with pytest.raises(ValueError, match="twice"):
        coverage_at_k(y_rank=[[0, 0]], k=2, n_items=3)
    with pytest.raises(ValueError, match=r"\(4, 6\)"):
        coverage_at_k(y_score=np.ones((4, 6)), k=2, n_items=5)


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="gains='log' .*binary"):
        ndcg_at_k(Y_TRUE, y_rank=Y_RANK, k=4, gains="log")
    with pytest.raises(ValueError, match="denominator='k' .*min_k"):
        recall_at_k(Y_TRUE, y_rank=Y_RANK, k=4, denominator="k")


def test_ground_truth_must_be_finite():
    with pytest.raises(ValueError, match="y_true contains NaN"):
        ndcg_at_k([[np.nan, 1.0]], y_rank=[[0]], k=1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("gains", "value"), [("exponential", 2000), ("linear", 1e308)])
def test_gains_with_an_infinite_sum_are_refused(gains, value):
    y_true = np.full((1, 3), float(value))
    with pytest.raises(ValueError, match=f"whose {gains} gains add up to infinity"):
        ndcg_at_k(y_true, y_rank=[[0, 1, 2]], k=3, gains=gains)
    assert ndcg_at_k(y_true, y_rank=[[0, 1, 2]], k=3) == 1.0


def test_complex_scores_are_refused():
    with pytest.raises(ValueError, match="y_score is a ndarray .* complex"):
        recall_at_k([[1, 0]], y_score=np.array([[1j, 0]]), k=1)


@pytest.mark.parametrize("threshold", [None, "0", [0], np.nan, -1])
def test_invalid_thresholds_are_refused(threshold):
    with pytest.raises(ValueError, match="relevance_threshold="):
        recall_at_k([[1, 0]], y_rank=[[0]], k=1, relevance_threshold=threshold)


def test_coverage_is_a_python_float():
    coverage = coverage_at_k(y_rank=[[0, 1]], k=1, n_items=np.int64(2))
    assert type(coverage) is float
