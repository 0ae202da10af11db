"""Hostile interactions and arguments for functions that hold out or rank."""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from hypothesis import strategies as st
from sklearn.base import BaseEstimator

from skvae.model_selection import hold_out_interactions, hold_out_items, top_items
from tests.hostile import strategies as hostile
from tests.hostile.cases import cases
from tests.hostile.outcomes import Refused, attempt, check_ranking
from tests.hostile.test_estimators import ITEM_LISTS, N_ITEMS_ASKED

SIZES = (
    *(0.2, 0.5, 0.999, 1, 2, 0, 1.0, -1, 2**70, 1e-300, True, np.float32(0.5)),
    *(np.int8(1), np.array(1), np.array(0.5), float("nan"), *hostile.WRONG_TYPES),
)


def sizes():
    return hostile.mostly([0.2, 1], SIZES)


def seeds():
    return hostile.mostly([0], hostile.random_states())


def check_parts(parts, shape):
    """Assert that both are canonical CSR of this shape, and disjoint."""
    for part in parts:
        assert sp.issparse(part)
        assert part.format == "csr"
        assert part.shape == shape
        assert part.has_canonical_format
        assert np.isfinite(part.data).all()
        assert (part.data != 0).all()
    one, other = parts
    assert (one != 0).multiply(other != 0).nnz == 0


@cases(hostile.anything(), sizes(), seeds(), quick=50, slow=250)
def test_hold_out_interactions_of_any_input(rows, test_size, seed):
    result = attempt(hold_out_interactions, rows.build(), test_size, random_state=seed)
    if not isinstance(result, Refused):
        check_parts(result, rows.shape)


TIMES = (
    *("random", "time", "", None, 3, [1, 2, 3], object(), {}, b"random"),
    *(
        np.arange(12.0),
        np.arange(12),
        np.full(12, np.nan),
        np.arange(12, dtype=complex),
    ),
    *(
        np.array(["a"] * 12),
        np.arange(12).astype("datetime64[s]"),
        pd.Series(range(12)),
    ),
    *(
        np.array(["NaT"] * 12, dtype="datetime64[s]"),
        np.arange(12)[::-1],
        [[1], [2, 3]],
    ),
    *(sp.csr_array(np.arange(20.0).reshape(4, 5)), sp.csr_array((4, 5)), np.arange(11)),
    *(sp.coo_array(np.ones((4, 5))), sp.csr_array((5, 4)), np.arange(12) % 2 == 0),
    *(list(range(12)), np.arange(12, dtype=object), np.ones((4, 5))),
)


@cases(
    st.sampled_from(
        ["csr_array", "csr_matrix", "csr unsorted", "ndarray", "csc_array", "pandas"]
    ),
    st.integers(0, 99),
    hostile.mostly(["random"], TIMES),
    quick=15,
    slow=80,
)
def test_hold_out_interactions_by_any_order(container, seed, by):
    rows = np.zeros(20)
    rows[np.random.default_rng(seed).permutation(20)[:12]] = 1
    X = hostile.CONTAINERS[container](rows.reshape(4, 5))
    result = attempt(
        hold_out_interactions,
        X,
        by=by,
        random_state=0,
        names=["by has", "by is", "by=", "1-D by"],
    )
    if not isinstance(result, Refused):
        check_parts(result, (4, 5))


@cases(hostile.anything(), sizes(), seeds(), quick=30, slow=150)
def test_hold_out_items_of_any_input(rows, test_size, seed):
    result = attempt(hold_out_items, rows.build(), test_size, random_state=seed)
    if isinstance(result, Refused):
        return
    *parts, items = result
    check_parts(parts, rows.shape)
    assert items.dtype == np.int64
    assert len(items) >= 1
    assert (np.diff(items) > 0).all()


class Tiled(BaseEstimator):
    """Scores each item by its number, for any X."""

    def decision_function(self, X):
        return np.tile(np.arange(5.0), (X.shape[0], 1))


@cases(
    hostile.tame((4, 5)),
    hostile.mostly([1, 2], N_ITEMS_ASKED),
    st.sampled_from(hostile.FLAGS),
    hostile.mostly([None, [0, 1, 2]], ITEM_LISTS),
    quick=20,
    slow=120,
)
def test_top_items_with_any_arguments(rows, n_items, exclude_seen, candidates):
    result = attempt(
        top_items,
        Tiled(),
        rows.build(),
        n_items,
        exclude_seen=exclude_seen,
        candidates=candidates,
        names=["decision_function"],
    )
    if not isinstance(result, Refused):
        check_ranking(result, 4, n_items, 5)


@cases(hostile.anything(), quick=20, slow=120)
def test_top_items_for_any_rows(rows):
    result = attempt(
        top_items,
        Tiled(),
        rows.build(),
        2,
        return_scores=True,
        names=["decision_function"],
    )
    if not isinstance(result, Refused):
        items, scores = result
        check_ranking(items, rows.n_rows(), 2, 5, scores)


@cases(
    st.sampled_from([None, 3, "abc", object(), Tiled, BaseEstimator(), sp, np.sum]),
    quick=3,
    slow=8,
)
def test_top_items_refuses_objects_that_are_not_estimators(estimator):
    result = attempt(top_items, estimator, np.ones((2, 3)), 1, names=["cannot rank"])
    assert isinstance(result, Refused)
