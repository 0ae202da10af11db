import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_array, csr_array, csr_matrix

from skvae.model_selection import hold_out_interactions

CONTAINERS = [csr_matrix, csr_array, np.asarray, pd.DataFrame]


def random_interactions(seed=0, n_users=30, n_items=20, density=0.4):
    rng = np.random.default_rng(seed)
    X = rng.integers(1, 6, (n_users, n_items)) * (
        rng.random((n_users, n_items)) < density
    )
    X[0] = 0
    X[1] = np.eye(n_items, dtype=int)[3]
    return X


def n_entries(X):
    return np.diff(X.indptr)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    density=st.floats(0, 1),
    test_size=st.one_of(st.floats(0.01, 0.99), st.integers(1, 30)),
)
def test_the_parts_are_disjoint_and_add_up(seed, density, test_size):
    X = csr_array(random_interactions(seed, density=density))
    fold_in, held_out = hold_out_interactions(X, test_size, random_state=seed)
    assert fold_in.multiply(held_out).nnz == 0
    np.testing.assert_array_equal((fold_in + held_out).toarray(), X.toarray())
    assert (n_entries(fold_in)[n_entries(X) > 0] >= 1).all()
    assert (n_entries(held_out)[n_entries(X) < 2] == 0).all()
    assert (n_entries(held_out)[n_entries(X) >= 2] >= 1).all()


@pytest.mark.parametrize("container", CONTAINERS)
def test_all_containers_are_split_alike_and_not_modified(container):
    X = random_interactions()
    expected = hold_out_interactions(csr_array(X), random_state=1)
    given_X = container(X)
    parts = hold_out_interactions(given_X, random_state=1)
    for part, expected_part in zip(parts, expected, strict=True):
        expected_type = csr_matrix if container is csr_matrix else csr_array
        assert type(part) is expected_type
        assert part.shape == X.shape
        assert part.dtype == X.dtype
        assert part.has_canonical_format
        np.testing.assert_array_equal(part.toarray(), expected_part.toarray())
    dense = given_X.toarray() if hasattr(given_X, "toarray") else np.asarray(given_X)
    np.testing.assert_array_equal(dense, X)


def test_other_sparse_formats_are_returned_as_csr():
    X = random_interactions()
    fold_in, held_out = hold_out_interactions(csc_array(X), random_state=0)
    assert type(fold_in) is type(held_out) is csr_array
    np.testing.assert_array_equal((fold_in + held_out).toarray(), X)


@pytest.mark.parametrize(
    ("test_size", "n", "n_held_out"),
    [
        (0.2, 10, 2),
        (0.2, 9, 1),
        (0.2, 2, 1),  # at least one
        (0.2, 1, 0),
        (0.29, 100, 29),  # 0.29 * 100 is 28.999999999999996
        (0.99, 2, 1),
        (3, 10, 3),
        (3, 3, 2),  # at least one is left
        (np.int64(3), 1, 0),
    ],
)
def test_number_held_out(test_size, n, n_held_out):
    X = csr_array(np.ones((4, n)))
    _, held_out = hold_out_interactions(X, test_size, random_state=0)
    assert n_entries(held_out).tolist() == [n_held_out] * 4


def test_all_interactions_are_equally_likely_to_be_held_out():
    X = csr_array(np.ones((4000, 5)))
    _, held_out = hold_out_interactions(X, 2, random_state=0)
    np.testing.assert_allclose(held_out.mean(axis=0), 0.4, atol=0.03)


def test_same_seed_makes_the_same_split():
    X = csr_array(random_interactions())
    one, same, other = (
        hold_out_interactions(X, random_state=seed)[1].toarray() for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_stored_zeros_are_ignored_and_duplicates_are_summed():
    X = csr_array(
        (
            np.array([1.0, 0.0, 2.0, 3.0, 4.0]),
            np.array([4, 2, 0, 4, 1]),
            np.array([0, 5]),
        ),
        shape=(1, 5),
    )
    before = X.copy()
    fold_in, held_out = hold_out_interactions(X, 1, random_state=0)
    assert n_entries(fold_in) + n_entries(held_out) == 3
    np.testing.assert_array_equal((fold_in + held_out).toarray(), [[2, 4, 0, 0, 4]])
    np.testing.assert_array_equal(X.data, before.data)
    np.testing.assert_array_equal(X.indices, before.indices)


def test_read_only_interactions_are_accepted():
    X = csr_array(random_interactions())
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    fold_in, held_out = hold_out_interactions(X, random_state=0)
    np.testing.assert_array_equal((fold_in + held_out).toarray(), X.toarray())


def test_matrices_without_users_or_interactions():
    for X in (csr_array((0, 4)), csr_array((3, 4))):
        for part in hold_out_interactions(X, random_state=0):
            assert part.shape == X.shape
            assert part.nnz == 0


TIMES = np.array([[30, 10, 0, 40], [5, 7, 6, 0]])  # 0 is a timestamp if X has an entry
X_TIMED = np.array([[1, 2, 3, 4], [5, 6, 7, 0]])
LATEST_TWO = np.array([[1, 0, 0, 4], [0, 6, 7, 0]])


def timestamps_csr():
    X = csr_array(X_TIMED)
    return csr_array((TIMES[X_TIMED > 0], X.indices, X.indptr), shape=X.shape)


@pytest.mark.parametrize("container", CONTAINERS)
def test_latest_interactions_by_a_csr_of_timestamps(container):
    by = timestamps_csr()
    assert (by.data == 0).any()
    fold_in, held_out = hold_out_interactions(container(X_TIMED), 2, by=by)
    np.testing.assert_array_equal(held_out.toarray(), LATEST_TWO)
    np.testing.assert_array_equal(fold_in.toarray(), X_TIMED - LATEST_TWO)


@pytest.mark.parametrize("dtype", ["int64", "float64", "datetime64[s]"])
def test_latest_interactions_by_an_array_of_timestamps(dtype):
    by = TIMES[X_TIMED > 0].astype(dtype)
    _, held_out = hold_out_interactions(csr_array(X_TIMED), 2, by=by)
    np.testing.assert_array_equal(held_out.toarray(), LATEST_TWO)


def test_timestamps_of_unsorted_and_duplicate_entries():
    # Item 2 is stored twice, at times 9 and 1, and 9 is the latest time of all.
    X = csr_array(
        (np.array([1, 1, 1, 1]), np.array([2, 0, 2, 1]), np.array([0, 4])),
        shape=(1, 3),
    )
    _, held_out = hold_out_interactions(X, 1, by=np.array([9, 5, 1, 8]))
    np.testing.assert_array_equal(held_out.toarray(), [[0, 0, 2]])
    by = csr_array((np.array([9, 5, 1, 8]), X.indices, X.indptr), shape=X.shape)
    _, held_out = hold_out_interactions(X, 1, by=by)
    np.testing.assert_array_equal(held_out.toarray(), [[0, 0, 2]])


def test_ties_of_timestamps_are_broken_at_random():
    X = csr_array(np.ones((2000, 4)))
    by = np.tile([1, 2, 2, 0], 2000)
    _, held_out = hold_out_interactions(X, 1, random_state=0, by=by)
    shares = held_out.mean(axis=0)
    assert shares[[0, 3]].tolist() == [0, 0]
    np.testing.assert_allclose(shares[[1, 2]], 0.5, atol=0.05)


@pytest.mark.parametrize("test_size", [0, 0.0, 1.0, -1, 1.5, True, "half", None])
def test_test_size_out_of_range_is_refused(test_size):
    with pytest.raises(ValueError, match="test_size=.* float in"):
        hold_out_interactions(np.ones((2, 3)), test_size)


@pytest.mark.parametrize(
    ("X", "by", "message"),
    [
        (csr_array(X_TIMED), "time", "by='time' is not known"),
        (csr_array(X_TIMED), np.arange(5), "by has shape .5,. but X stores 7"),
        (X_TIMED, np.arange(7), "X has to be CSR"),
        (csr_array(X_TIMED), np.full(7, np.nan), "missing"),
        (csr_array(X_TIMED), np.array(list("abcdefg")), "dtype"),
        (csr_array(X_TIMED), csr_array((2, 3)), "of the shape of X"),
        (csr_array(X_TIMED), csc_array(TIMES), "by is CSC"),
        (csr_array(X_TIMED), csr_array(TIMES), "user 0 with item 2"),
        (csr_array(X_TIMED), csr_array((2, 4)), "for 7 interactions"),
    ],
)
def test_invalid_timestamps_are_refused(X, by, message):
    with pytest.raises(ValueError, match=message):
        hold_out_interactions(X, by=by)


def test_interactions_must_be_finite():
    with pytest.raises(ValueError, match="NaN"):
        hold_out_interactions(np.array([[1.0, np.nan]]))


def test_test_size_may_be_larger_than_an_int32():
    X = csr_array(np.ones((3, 4)))
    fold_in, held_out = hold_out_interactions(X, 2**40, random_state=0)
    assert fold_in.sum(axis=1).tolist() == [1, 1, 1]
    assert held_out.sum(axis=1).tolist() == [3, 3, 3]


@pytest.mark.parametrize("dtype", [">f8", ">i4", "float16"])
def test_dtypes_that_scipy_does_not_support_are_accepted(dtype):
    X = np.array([[1, 2, 3, 0]], dtype=dtype)
    fold_in, held_out = hold_out_interactions(X, 1, random_state=0)
    assert (fold_in + held_out).toarray().tolist() == [[1, 2, 3, 0]]
