"""Half-steps and objective, compared with dense normal equations in numpy."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skvae._collaborative import _als
from skvae._collaborative._als import half_step, objective, shrinkage
from skvae._training import RowBatches


@st.composite
def problems(draw):
    """A sparse problem with non-binary entries, empty rows, and maybe a prior mean."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_rows, n_columns = draw(st.integers(1, 12)), draw(st.integers(1, 40))
    X = rng.random((n_rows, n_columns)) < rng.random((n_rows, 1))
    X = X * rng.uniform(0.1, 5, X.shape)
    X[rng.random(n_rows) < 0.2] = 0
    n_components = draw(st.integers(1, 9))
    b = draw(st.sampled_from([0.0, 0.01, 1.0]))
    return {
        "X": sp.csr_array(X),
        "factors": rng.normal(size=(n_columns, n_components)),
        "prior": draw(st.sampled_from([None, rng.normal(size=(n_rows, n_components))])),
        "a": b + draw(st.sampled_from([0.0, 1.0, 40.0])),
        "b": b,
        "regularization": draw(st.sampled_from([0.1, 1.0, 100.0])),
    }


def sparse_rows(X):
    return RowBatches(sp.csr_array(X), "cpu").take(slice(0, X.shape[0]))


def in_double(X):
    """Rows whose values are not rounded to float32."""
    rows = sparse_rows(X)
    return rows.with_values(torch.from_numpy(X.data.astype(np.float64)))


def normal_equations(X, factors, prior, a, b, regularization):
    """Solve (Y' C_i Y + lambda I) x_i = Y' C_i r_i + lambda p_i row by row."""
    X, k = X.toarray(), factors.shape[1]
    prior = np.zeros((len(X), k)) if prior is None else prior
    solution = []
    for row, mean in zip(X, prior, strict=True):
        c = np.where(row > 0, b + (a - b) * row, b)
        gram = factors.T @ (c[:, None] * factors) + regularization * np.eye(k)
        right = factors.T @ (c * (row > 0)) + regularization * mean
        solution.append(np.linalg.solve(gram, right))
    return np.array(solution)


def dense_objective(X, U, V, a, b, lambda_rows, lambda_columns, prior):
    X = X.toarray()
    c = np.where(X > 0, b + (a - b) * X, b)
    squares = (c * ((X > 0) - U @ V.T) ** 2).sum()
    distance = V if prior is None else V - prior
    return 0.5 * (
        squares + lambda_rows * (U**2).sum() + lambda_columns * (distance**2).sum()
    )


def as_tensors(problem, dtype):
    prior = problem["prior"]
    return {
        **{name: problem[name] for name in ("a", "b", "regularization")},
        "factors": torch.from_numpy(problem["factors"]).to(dtype),
        "prior": None if prior is None else torch.from_numpy(prior).to(dtype),
    }


def largest_condition(X, factors, a, b, regularization, **_):
    """Largest condition number of the normal equations of a row."""
    weights = [np.where(row > 0, b + (a - b) * row, b) for row in X.toarray()]
    grams = [factors.T @ (c[:, None] * factors) for c in weights]
    penalty = regularization * np.eye(factors.shape[1])
    return max(np.linalg.cond(gram + penalty) for gram in grams)


@given(problems())
@settings(deadline=None)
def test_half_step_solves_the_normal_equations(problem):
    expected = normal_equations(**problem)
    scale = np.abs(expected).max() + 1e-300
    solution = half_step(in_double(problem["X"]), **as_tensors(problem, torch.float64))
    assert np.abs(solution.numpy() - expected).max() <= 1e-8 * scale
    solution = half_step(
        sparse_rows(problem["X"]), **as_tensors(problem, torch.float32)
    )
    assert solution.dtype == torch.float32
    error = np.abs(solution.numpy() - expected).max() / scale
    # The error from rounding the equations themselves to float32.
    rounding = np.finfo(np.float32).eps * largest_condition(**problem)
    assert error <= 1e-4 + rounding


def test_rows_with_more_and_fewer_entries_than_components():
    """Both methods to solve a row, and rows longer than a block."""
    rng = np.random.default_rng(0)
    lengths = np.r_[np.zeros(3, int), np.ones(50, int), 7, 8, 9, 30, 200, 500]
    X = np.zeros((len(lengths), 500))
    for row, length in zip(X, lengths, strict=True):
        row[rng.choice(500, length, replace=False)] = rng.integers(1, 4, length)
    problem = {
        "X": sp.csr_array(X),
        "factors": rng.normal(size=(500, 8)),
        "prior": rng.normal(size=(len(X), 8)),
        "a": 1.0,
        "b": 0.01,
        "regularization": 10.0,
    }
    solution = half_step(in_double(problem["X"]), **as_tensors(problem, torch.float64))
    np.testing.assert_allclose(solution, normal_equations(**problem), rtol=1e-9)


def test_half_steps_for_users_and_for_items_lower_the_objective():
    rng = np.random.default_rng(0)
    X = sp.csr_array(sp.random(30, 50, 0.1, random_state=0))
    U, V, theta = (
        torch.from_numpy(rng.normal(size=(n, 6)).astype(np.float32))
        for n in (30, 50, 50)
    )
    confidence = {"a": 2.0, "b": 0.1}
    values = []
    for _ in range(5):
        U = half_step(sparse_rows(X), V, **confidence, regularization=0.5)
        values.append(measured(X, U, V, theta, confidence))
        V = half_step(
            sparse_rows(X.T), U, **confidence, regularization=2.0, prior=theta
        )
        values.append(measured(X, U, V, theta, confidence))
    assert (np.diff(values) <= 1e-6 * values[0]).all()
    assert values[-1] < values[0]


def measured(X, U, V, theta, confidence):
    arguments = {**confidence, "lambda_rows": 0.5, "lambda_columns": 2.0}
    value = objective(sparse_rows(X), U, V, **arguments, prior=theta)
    expected = dense_objective(
        X, *(t.double().numpy() for t in (U, V)), **arguments, prior=theta.numpy()
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    return value


def test_objective_without_prior_is_that_of_plain_factorization():
    rng = np.random.default_rng(1)
    X = sp.csr_array(sp.random(9, 11, 0.3, random_state=0))
    U, V = rng.normal(size=(9, 3)), rng.normal(size=(11, 3))
    arguments = {"a": 3.0, "b": 0.5, "lambda_rows": 0.1, "lambda_columns": 0.2}
    value = objective(
        in_double(X), torch.from_numpy(U), torch.from_numpy(V), **arguments
    )
    expected = dense_objective(X, U, V, **arguments, prior=None)
    np.testing.assert_allclose(value, expected, rtol=1e-12)


@pytest.mark.parametrize("block_size", [1, 12, 50])
def test_result_does_not_depend_on_the_block_size(monkeypatch, block_size):
    rng = np.random.default_rng(5)
    X = sp.csr_array(sp.random(20, 15, 0.4, random_state=0))
    U, V = (torch.from_numpy(rng.normal(size=(n, 3))) for n in (20, 15))
    weights = {"a": 3.0, "b": 0.5, "lambda_rows": 0.1, "lambda_columns": 0.2}
    arguments = {"a": 3.0, "b": 0.5, "regularization": 2.0}
    prior = torch.from_numpy(rng.normal(size=(20, 3)))
    whole = objective(in_double(X), U, V, **weights)
    solution = half_step(in_double(X), V, **arguments, prior=prior)
    monkeypatch.setattr(_als, "BLOCK_SIZE", block_size)
    np.testing.assert_allclose(objective(in_double(X), U, V, **weights), whole)
    again = half_step(in_double(X), V, **arguments, prior=prior)
    torch.testing.assert_close(again, solution)


def test_shrinkage_gives_the_factors_of_rows_without_entries():
    rng = np.random.default_rng(2)
    factors, prior = (torch.from_numpy(rng.normal(size=(n, 4))) for n in (20, 3))
    M = shrinkage(factors, b=0.3, regularization=2.0)
    expected = half_step(
        sparse_rows(sp.csr_array((3, 20))),
        factors,
        a=1.0,
        b=0.3,
        regularization=2.0,
        prior=prior,
    )
    torch.testing.assert_close(prior @ M, expected)


@pytest.fixture
def half_step_problem():
    """Arguments of a half-step in float32, and its relative rounding error."""
    rng = np.random.default_rng(3)
    X = sp.csr_array(sp.random(64, 80, 0.2, random_state=0))
    factors = rng.normal(size=(80, 24)).astype(np.float32)
    arguments = {"a": 1.0, "b": 0.01, "regularization": 0.1}
    condition = largest_condition(X, factors.astype(np.float64), **arguments)
    return X, factors, arguments, np.finfo(np.float32).eps * condition


def assert_equal_but_for_rounding(found, expected, rounding):
    """Rows agree within the rounding error that the condition of a row allows."""
    error = torch.linalg.norm(found - expected, dim=1)
    assert (error <= rounding * torch.linalg.norm(expected, dim=1)).all()


def test_the_order_of_rows_changes_a_solution_by_rounding_at_most(half_step_problem):
    X, factors, arguments, rounding = half_step_problem
    order = np.random.default_rng(0).permutation(64)
    factors = torch.from_numpy(factors)
    whole = half_step(sparse_rows(X), factors, **arguments)
    again = half_step(sparse_rows(X[order]), factors, **arguments)
    expected = whole[torch.from_numpy(order)]
    assert_equal_but_for_rounding(again, expected, rounding)


def test_stacks_do_not_depend_on_the_order_of_rows():
    """A library may round by alignment, so each row needs the same neighbours."""
    rng = np.random.default_rng(3)
    X = sp.csr_array(rng.random((64, 80)) < 0.1)
    order = rng.permutation(64)
    stacks = []
    for one in (X, X[order]):
        rows = sparse_rows(one.astype(np.float32))
        stacks.append([rows.indices[p] * m for _, p, m in _als._blocks(rows, 24)])
    for one, other in zip(*stacks, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("n_floats", [1, 3, 4, 7, 15])
def test_unaligned_factors_change_a_solution_by_rounding_at_most(
    half_step_problem, n_floats
):
    X, factors, arguments, rounding = half_step_problem
    expected = half_step(sparse_rows(X), torch.from_numpy(factors), **arguments)
    memory = torch.empty(factors.size + n_floats)
    shifted = memory[n_floats:].view(factors.shape).copy_(torch.from_numpy(factors))
    assert shifted.data_ptr() % 64 != 0
    found = half_step(sparse_rows(X), shifted, **arguments)
    assert_equal_but_for_rounding(found, expected, rounding)


def test_a_singular_system_raises_a_clear_error():
    X = sp.csr_array(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"singular with b=1\.0 and lambda=0\.0"):
        half_step(sparse_rows(X), torch.ones(3, 2), a=1.0, b=1.0, regularization=0.0)


def test_rows_with_very_different_confidences_are_solved_in_double():
    """In float32, adding 1 to 1e9 would lose the smaller number."""
    rng = np.random.default_rng(4)
    X = (rng.random((6, 30)) < 0.3) * 1.0
    X[:, :3] *= 1e9
    problem = {
        "X": sp.csr_array(X),
        "factors": rng.normal(size=(30, 4)).astype(np.float32),
        "prior": None,
        "a": 1.0,
        "b": 0.01,
        "regularization": 0.1,
    }
    solution = half_step(sparse_rows(X), **as_tensors(problem, torch.float32))
    expected = normal_equations(**problem)
    np.testing.assert_allclose(solution, expected, rtol=1e-4, atol=1e-5)


def test_rows_with_very_weak_regularization_are_solved_in_double():
    rng = np.random.default_rng(6)
    X = (rng.random((5, 40)) < 0.5) * 1.0
    alike = rng.normal(size=4) + 1e-3 * rng.normal(size=(40, 4))
    problem = {
        "X": sp.csr_array(X),
        "factors": alike.astype(np.float32),
        "prior": None,
        "a": 1.0,
        "b": 0.0,
        "regularization": 1e-9,
    }
    solution = half_step(sparse_rows(X), **as_tensors(problem, torch.float32))
    expected = normal_equations(**problem)
    error = np.linalg.norm(solution.numpy() - expected, axis=1)
    lengths = np.linalg.norm(expected, axis=1)
    assert (error <= _als.MAX_LOSS_OF_PRECISION * lengths).all()


def test_too_high_confidences_raise_a_clear_error():
    X = sp.csr_array(np.full((2, 3), 1e38))
    with pytest.raises(ValueError, match="scale X"):
        half_step(
            sparse_rows(X),
            torch.full((3, 4), 1e3),
            a=1.0,
            b=0.0,
            regularization=1.0,
        )
