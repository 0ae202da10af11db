"""Sparse matrices with indices out of range are refused before scipy uses them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from skvae.metrics import ndcg_at_k
from skvae.model_selection import hold_out_interactions
from skvae.utils._validation import check_sparse
from tests.utils.corrupt_sparse import CORRUPTIONS, THOROUGH

ROOT = Path(__file__).parents[2]
# What the error says of each corruption.
TOLD = {
    "counted from 1": r"at column 50, but there are 50, .* subtract 1",
    "without the last column": r"at column 49, but there are 49, numbered from 0 to 48",
    "negative": r"entry 7 \(in row \d\) at column -1, but there are 50",
    "saved and loaded": r"at column 50, but there are 50, .* subtract 1",
    "indptr decreases": r"damaged CSR matrix: its indptr decreases from \d+ to \d+ at",
    "indptr starts late": r"its indptr starts with 1 instead of 0",
    "indptr ends late": r"its indptr ends with \d+ but \d+ entries are stored",
    "indptr too short": r"its indptr has 120 values instead of 121",
    "COO column": r"entry 7 at column 50, but there are 50",
    "COO negative column": r"entry 7 at column -1",
    "COO row": r"entry 7 at row 120, but there are 120",
    "CSC row": r"entry 7 \(in column \d\) at row 120, but there are 120",
    "BSR block": r"entry 7 \(in row \d\) at column of blocks 25, but there are 25",
    "LIL column": r"at column 50, but there are 50",
}


@pytest.fixture(scope="module")
def outcomes():
    """Return the outcomes of all cases, up to the one that ends the process."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.utils.corrupt_sparse"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    cases = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0, f"ended after {cases[-1:]}: {run.stderr[-2000:]}"
    return cases


def test_every_call_refuses_indices_counted_from_one(outcomes):
    outcomes = [
        (n, outcome) for n, case, outcome in outcomes if case == "counted from 1"
    ]
    assert len(outcomes) >= 2 * 60
    for name, outcome in outcomes:
        assert re.match(f"ValueError: .*{TOLD['counted from 1']}", outcome), (
            name,
            outcome,
        )


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_every_corruption_is_refused_with_its_place(outcomes, corruption):
    outcomes = [
        (name, outcome)
        for name, case, outcome in outcomes
        if case == corruption and name in THOROUGH
    ]
    assert len(outcomes) == 2 * len(THOROUGH)
    for name, outcome in outcomes:
        assert re.match(f"ValueError: .*{TOLD[corruption]}", outcome), (name, outcome)


def test_the_argument_is_named():
    bad = sp.csr_array((np.ones(1), np.array([3]), np.array([0, 1])), shape=(1, 3))
    with pytest.raises(ValueError, match="y_true of shape"):
        ndcg_at_k(bad, y_rank=[[0, 1, 2]], k=3)


FORMATS = ["csr", "csc", "bsr", "coo", "lil", "dok", "dia"]


@pytest.mark.parametrize("n_rows", [0, 4])
@pytest.mark.parametrize("dtype", [np.int8, np.float32])
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_valid_matrices_of_all_formats_are_kept(name, kind, dtype, n_rows):
    dense = (np.arange(24).reshape(4, 6) % 3).astype(dtype)
    dense[2] = 0
    dense = dense[:n_rows]
    if name == "bsr" and n_rows == 0:
        pytest.skip("scipy makes no BSR matrix without rows")
    checked = check_sparse(getattr(sp, f"{name}_{kind}")(dense))
    assert checked.dtype == dtype
    assert type(checked).__name__.endswith(kind)
    np.testing.assert_array_equal(checked.toarray(), dense)


def test_unused_space_after_the_last_entry_is_left_out():
    X = sp.csr_array(np.eye(3))
    X.data, X.indices = np.append(X.data, 9.0), np.append(X.indices, 99)
    fold_in, held_out = hold_out_interactions(X)
    assert fold_in.data.tolist() == [1, 1, 1]
    assert held_out.nnz == 0
    assert len(X.data) == 4
