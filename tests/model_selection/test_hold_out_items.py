import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_array, csr_array, csr_matrix

from skvae.baselines import Popularity
from skvae.metrics import make_ranking_scorer, recall_at_k
from skvae.model_selection import hold_out_items, top_items

CONTAINERS = [csr_matrix, csr_array, np.asarray, pd.DataFrame]


def random_interactions(seed=0, n_users=30, n_items=20, density=0.4):
    rng = np.random.default_rng(seed)
    X = rng.integers(1, 6, (n_users, n_items)) * (
        rng.random((n_users, n_items)) < density
    )
    X[:, 7] = 0
    X[0, :2] = 1
    return X


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    density=st.floats(0, 1),
    test_size=st.one_of(st.floats(0.01, 0.99), st.just(1)),
)
def test_the_parts_are_disjoint_in_items_and_add_up(seed, density, test_size):
    X = csr_array(random_interactions(seed, density=density))
    X_train, X_test, items = hold_out_items(X, test_size, random_state=seed)
    np.testing.assert_array_equal((X_train + X_test).toarray(), X.toarray())
    # The items with interactions in X_test are those held out.
    np.testing.assert_array_equal(np.unique(X_test.indices), items)
    assert not np.isin(X_train.indices, items).any()
    assert items.dtype == np.int64
    assert 0 < len(items) < len(np.unique(X.indices))


@pytest.mark.parametrize("container", CONTAINERS)
def test_all_containers_are_split_alike_and_not_modified(container):
    X = random_interactions()
    *expected, expected_items = hold_out_items(csr_array(X), random_state=1)
    given_X = container(X)
    *parts, items = hold_out_items(given_X, random_state=1)
    np.testing.assert_array_equal(items, expected_items)
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
    X_train, X_test, _ = hold_out_items(csc_array(X), random_state=0)
    assert type(X_train) is type(X_test) is csr_array
    np.testing.assert_array_equal((X_train + X_test).toarray(), X)


@pytest.mark.parametrize(
    ("test_size", "n", "n_held_out"),
    [
        (0.2, 10, 2),
        (0.2, 9, 1),
        (0.2, 2, 1),  # at least one
        (0.29, 100, 29),  # 0.29 * 100 is 28.999999999999996
        (1 - 1e-12, 10, 9),  # at least one is left
        (3, 10, 3),
        (np.int64(9), 10, 9),
    ],
)
def test_number_held_out_of_the_items_with_interactions(test_size, n, n_held_out):
    X = np.zeros((2, 2 * n))
    X[1, ::2] = 1
    *_, items = hold_out_items(X, test_size, random_state=0)
    assert len(np.unique(items)) == n_held_out
    assert (items % 2 == 0).all()


def test_all_items_are_equally_likely_to_be_held_out():
    X = csr_array(np.ones((1, 5)))
    rng = np.random.RandomState(0)
    items = [hold_out_items(X, 2, random_state=rng)[2] for _ in range(4000)]
    np.testing.assert_allclose(np.bincount(np.ravel(items)) / 4000, 0.4, atol=0.03)


def test_same_seed_makes_the_same_split():
    X = csr_array(random_interactions())
    one, same, other = (hold_out_items(X, random_state=seed)[2] for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert one.tolist() != other.tolist()


def test_stored_zeros_are_ignored_and_duplicates_are_summed():
    X = csr_array(
        (np.array([1.0, 0.0, 2.0, 3.0]), np.array([4, 2, 0, 4]), np.array([0, 4])),
        shape=(1, 5),
    )
    before = X.copy()
    X_train, X_test, items = hold_out_items(X, 1, random_state=0)
    assert X_train.nnz == X_test.nnz == 1
    assert items[0] in (0, 4)
    np.testing.assert_array_equal((X_train + X_test).toarray(), [[2, 0, 0, 0, 4]])
    np.testing.assert_array_equal(X.data, before.data)
    np.testing.assert_array_equal(X.indices, before.indices)


def test_read_only_interactions_are_accepted_and_the_parts_are_copies():
    X = csr_array(random_interactions())
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    for part in hold_out_items(X, random_state=0)[:2]:
        assert not np.shares_memory(part.data, X.data)
        part.data[:] = 0  # the parts are writeable


@pytest.mark.parametrize("test_size", [0, 0.0, 1.0, -1, 1.5, True, "half", None])
def test_test_size_out_of_range_is_refused(test_size):
    with pytest.raises(ValueError, match="test_size=.* share of the items with inter"):
        hold_out_items(np.ones((2, 3)), test_size)


@pytest.mark.parametrize("test_size", [3, 4, 100])
def test_at_least_one_item_must_be_left(test_size):
    X = np.array([[1, 1, 0, 1], [0, 1, 0, 0]])
    with pytest.raises(ValueError, match=f"test_size={test_size} but .* at most 2"):
        hold_out_items(X, test_size)


@pytest.mark.parametrize("X", [np.zeros((3, 4)), np.eye(4)[:1], csr_array((0, 4))])
def test_fewer_than_two_items_with_interactions_are_refused(X):
    with pytest.raises(ValueError, match="with [01] of its 4 items; .* at least 2"):
        hold_out_items(X)


def test_interactions_must_be_finite():
    with pytest.raises(ValueError, match="NaN"):
        hold_out_items(np.array([[1.0, np.nan]]))


def test_scorers_accept_the_parts():
    # Popularity ranks items without training interactions last, and ties by column.
    # Items 1 and 4 of six are held out. The rankings are
    #   user 0 (interacted with 0 and 2): 3 5 1 4; relevant is 1
    #   user 1 (interacted with 3):       0 2 5 1 4; relevant are 1 and 4
    #   user 2 (interacted with 0 and 5): 2 3 1 4; none is relevant
    X = csr_array(
        np.array([[2, 1, 2, 0, 0, 0], [0, 1, 0, 1, 1, 0], [1, 0, 0, 0, 0, 1]])
    )
    seeds = range(100)
    X_train, X_test, items = next(
        parts
        for parts in (hold_out_items(X, 2, random_state=seed) for seed in seeds)
        if parts[2].tolist() == [1, 4]
    )
    popularity = Popularity().fit(X_train)
    scorer = make_ranking_scorer(("recall@50", "recall@3", "recall_relevant@4"))
    assert scorer(popularity, X_train, X_test) == pytest.approx(
        {
            "recall@50": 1.0,
            "recall@3": (1 + 0) / 2,
            "recall_relevant@4": (1 + 1 / 2) / 2,
        }
    )
    assert make_ranking_scorer("recall@50")(popularity, X_train, X_test) == 1.0

    # If only the held-out items are ranked, item 1 comes first.
    ranked = top_items(popularity, X_train, 2, candidates=items)
    assert ranked.tolist() == [[1, 4]] * 3
    per_user = recall_at_k(
        X_test, y_rank=ranked, k=1, denominator="relevant", per_user=True
    )
    np.testing.assert_array_equal(per_user, [1, 0.5, np.nan])
