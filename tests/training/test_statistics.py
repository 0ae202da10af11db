import numpy as np
import pytest
import scipy.sparse as sp

from skvae._training import _statistics
from skvae._training._statistics import column_means, column_variances


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_agree_with_numpy(container, monkeypatch, dtype):
    monkeypatch.setattr(_statistics, "CHUNK_SIZE", 20)  # several chunks
    X = np.random.default_rng(0).poisson(1.0, (50, 4)).astype(dtype)
    C = container(sp.csr_array(X))
    means = column_means(C)
    assert means.dtype == np.float64
    np.testing.assert_allclose(means, X.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(column_variances(C, means), X.var(axis=0), rtol=1e-5)


def test_variance_below_the_resolution_of_float32_is_zero():
    noise = np.random.default_rng(0).normal(size=(100, 3))
    X = np.array([1e6, 1e6, 0.0]) + noise * [1e-3, 1.0, 1e-3]
    variances = column_variances(X, column_means(X))
    assert variances[0] == 0
    np.testing.assert_allclose(variances[1:], X[:, 1:].var(axis=0))


def test_constant_columns_have_exactly_zero_variance():
    X = np.full((1000, 1), 1e6 + 0.3)
    assert column_variances(X, column_means(X)) == 0


def test_totals_of_rows_are_summed_in_float64():
    X = sp.csr_array(np.array([[3e38, 3e38], [0, 0], [1, 2], [2, 1]], dtype=np.float32))
    with np.errstate(all="raise"):
        totals, frequencies = _statistics.count_row_totals(X)
    assert totals.tolist() == [0, 3, _statistics.MAX_TOTAL]
    assert frequencies.tolist() == [1, 2, 1]
