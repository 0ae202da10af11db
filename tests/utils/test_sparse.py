"""Tests of the conversion of interactions: sums of duplicates, and dtypes."""

import numpy as np
import pytest
from scipy.sparse import csr_array, csr_matrix

from skvae.metrics import ndcg_at_k
from skvae.model_selection import hold_out_interactions
from skvae.utils._sparse import canonical_csr, check_interactions

INTEGERS = [np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)]


def stored_twice(value, dtype, kind=csr_array):
    """Make a row that stores the value twice in column 2, and then 1 in column 0."""
    data = np.array([value, value, 1], dtype=dtype)
    return kind((data, np.array([2, 2, 0]), np.array([0, 3])), shape=(1, 4))


@pytest.mark.parametrize("kind", [csr_array, csr_matrix])
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_sums_of_small_integers_do_not_overflow(dtype, kind):
    largest = int(np.iinfo(dtype).max) if dtype.itemsize < 8 else 2**61
    X = stored_twice(largest, dtype, kind)
    before = X.data.copy()
    summed = check_interactions(X)
    assert type(summed) is kind
    assert summed.data.tolist() == [1, 2 * largest]
    assert summed.indices.tolist() == [0, 2]
    np.testing.assert_array_equal(X.data, before)
    assert X.nnz == 3


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_without_duplicates_keep_their_dtype(dtype):
    X = csr_array((np.array([3, 0, 5], dtype), np.array([2, 1, 0]), [0, 3]), (1, 4))
    kept = canonical_csr(X)
    assert kept.dtype == dtype
    np.testing.assert_array_equal(kept.toarray(), [[5, 0, 3, 0]])
    assert kept.nnz == 2


@pytest.mark.parametrize("value", [-(2**63), 2**62, 2**63 - 1])
def test_sums_that_overflow_64_bits_are_refused(value):
    with pytest.raises(ValueError, match="more than int64 can hold; scale them"):
        check_interactions(stored_twice(value, np.int64))


def test_infinite_sums_are_refused():
    with pytest.raises(ValueError, match="y.*add up to infinity in float32"):
        check_interactions(stored_twice(3e38, np.float32), "y")


def test_duplicates_of_true_remain_true():
    truth, ranks = stored_twice(1, bool), [[0, 2]]
    np.testing.assert_array_equal(check_interactions(truth).data, [True, True])
    assert ndcg_at_k(truth, y_rank=ranks, k=2) == 1


def test_metrics_and_splits_use_the_full_sum_of_uint8():
    X = stored_twice(200, np.uint8)
    expected = csr_array(np.array([[1.0, 0, 400, 0]]))
    options = {"y_rank": [[0, 2]], "k": 2, "gains": "linear"}
    assert ndcg_at_k(X, **options) == ndcg_at_k(expected, **options)
    assert ndcg_at_k(X, y_rank=[[2]], k=1, relevance_threshold=399) == 1
    fold_in, held_out = hold_out_interactions(X, 1, random_state=0)
    assert (fold_in + held_out).toarray().tolist() == [[1, 0, 400, 0]]


def test_sums_of_zero_are_not_stored():
    X = csr_array((np.array([5, -5], np.int8), np.array([1, 1]), [0, 2]), (1, 3))
    assert check_interactions(X).nnz == 0
