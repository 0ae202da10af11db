"""Tests of the conversion of interactions: sums of duplicates, and dtypes."""

import numpy as np
import pytest
from scipy.sparse import bsr_array, coo_array, csc_array, csr_array, csr_matrix
from sklearn.base import clone

from skvae import CollaborativeVAE, MultVAERecommender, VAETransformer
from skvae.baselines import ContentItemKNN, ItemKNN
from skvae.metrics import make_ranking_scorer, ndcg_at_k
from skvae.model_selection import hold_out_interactions, hold_out_items, top_items
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


def in_parts(format_name, dtype):
    """Make interactions whose largest entry is stored as many entries of 100."""
    rows, columns = np.nonzero(np.add.outer(np.arange(8), np.arange(6)) % 3 == 0)
    data = np.full(len(rows), 1)
    rows, columns = np.append(rows, [0] * 64), np.append(columns, [0] * 64)
    data = np.append(data, [100] * 64)  # 6400 is a multiple of 256
    data[0] = 0
    order = np.argsort(rows, kind="stable")
    indptr = np.searchsorted(rows[order], np.arange(9))
    csr = csr_array((data[order].astype(dtype), columns[order], indptr), shape=(8, 6))
    if format_name == "csc":
        order = np.argsort(columns, kind="stable")
        indptr = np.searchsorted(columns[order], np.arange(7))
        data = data[order].astype(dtype)
        return csc_array((data, rows[order], indptr), shape=(8, 6))
    if format_name == "bsr":
        return bsr_array((csr.data[:, None, None], csr.indices, indptr), shape=(8, 6))
    if format_name == "coo":
        return coo_array((csr.data, (rows[order], csr.indices)), shape=(8, 6))
    return csr


class Constant:
    """Ranks the items by number."""

    def decision_function(self, X):
        return np.tile(-np.arange(6.0), (X.shape[0], 1))


MODEL = MultVAERecommender(2, max_iter=1, random_state=0, device="cpu")
CONTENT = CollaborativeVAE(2, max_iter=1, content_epochs=1, random_state=0)
USES = {
    "y_true": lambda X: ndcg_at_k(
        X, y_score=np.tile(np.arange(6.0), (8, 1)), k=3, gains="linear", per_user=True
    ),
    "hold_out_interactions": lambda X: sum_of_parts(hold_out_interactions(X)),
    "hold_out_items": lambda X: sum_of_parts(hold_out_items(X, random_state=0)[:2]),
    "top_items": lambda X: top_items(Constant(), X, 6),
    "scorer": lambda X: make_ranking_scorer("ndcg_linear@3")(Constant(), X),
    "transform": MODEL.fit(np.eye(6)).transform,
    "fit": lambda X: clone(MODEL).fit(X).transform(np.eye(6)),
    "baseline": lambda X: ItemKNN().fit(X).decision_function(np.eye(6)),
    "transformer": VAETransformer(2, max_iter=1).fit(np.eye(6)).transform,
    "item_features": lambda X: (
        clone(CONTENT).fit(np.eye(8), item_features=X).item_factors_
    ),
    "content": lambda X: (
        ContentItemKNN().fit(np.eye(8), item_features=X).item_weights_.toarray()
    ),
}


def sum_of_parts(parts):
    return (parts[0] + parts[1]).toarray()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64], ids=str)
@pytest.mark.parametrize("format_name", ["csr", "csc", "bsr", "coo"])
@pytest.mark.parametrize("use", USES)
def test_entries_in_parts_count_as_their_sum(use, format_name, dtype):
    X = in_parts(format_name, dtype)
    expected = csr_array(in_parts("coo", np.float64).toarray())
    assert expected[0, 0] == 6400
    before = X.data.copy()
    np.testing.assert_array_equal(USES[use](X), USES[use](expected))
    np.testing.assert_array_equal(X.data, before)


@pytest.mark.parametrize("format_name", ["csr", "coo"])
def test_held_out_entries_in_parts_are_found_in_x(format_name):
    X = in_parts(format_name, np.int8)
    truth = csr_array(([1.0], ([0], [0])), shape=X.shape)
    with pytest.raises(ValueError, match="1 of 1 interactions of y are in X"):
        make_ranking_scorer("ndcg@3")(Constant(), X, truth)
