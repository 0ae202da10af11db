import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.preprocessing import normalize

from skvae._nn import SparseRows


@pytest.fixture
def X():
    X = sp.csr_array(sp.random(7, 9, 0.4, random_state=0))
    X.data[:] = np.round(1 + 5 * X.data)
    X = X.tolil()
    X[3] = 0  # a row without entries
    return X.tocsr()


def as_rows(X, dtype=np.float64, **kwargs):
    parts = (
        X.indptr.astype(np.int32),
        X.indices.astype(np.int32),
        X.data.astype(dtype),
    )
    return SparseRows(*map(torch.from_numpy, parts), X.shape[1], **kwargs)


def test_dense_form_and_row_sums_agree_with_scipy(X):
    rows = as_rows(X)
    np.testing.assert_array_equal(rows.dense, X.toarray())
    np.testing.assert_array_equal(rows.row_sums(), X.sum(axis=1))


def test_l2_norm_agrees_with_sklearn_and_empty_rows_stay_zero(X):
    normalized = as_rows(X).l2_normalized().dense
    np.testing.assert_allclose(normalized, normalize(X.toarray()), rtol=1e-12)
    assert (normalized[3] == 0).all()


@pytest.mark.parametrize("dense_product", [False, True])
def test_product_and_its_gradient_agree_with_the_dense_product(X, dense_product):
    rows = as_rows(X, dense_product=dense_product)
    weight = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(4, dtype=torch.float64, requires_grad=True)
    np.testing.assert_allclose(
        rows.affine(weight, bias).detach(),
        X @ weight.detach().numpy() + bias.detach().numpy(),
    )
    assert torch.autograd.gradcheck(rows.affine, (weight, bias))


def test_padding_appends_empty_rows(X):
    padded = as_rows(X).pad_rows(16)
    assert padded.n_rows == 16
    np.testing.assert_array_equal(padded.dense[:7], X.toarray())
    assert (padded.dense[7:] == 0).all()


def test_with_values_keeps_the_places(X):
    rows = as_rows(X)
    assert rows.row_index.shape == rows.values.shape
    doubled = rows.with_values(2 * rows.values)
    np.testing.assert_array_equal(doubled.dense, 2 * X.toarray())
    assert doubled.row_index is rows.row_index


@pytest.mark.parametrize("p", [0.0, 0.4, 0.99])
def test_dropout_is_the_same_for_sparse_and_dense_products(X, p):
    def dropped(**kwargs):
        generator = torch.Generator().manual_seed(0)
        return as_rows(X, np.float32, **kwargs).dropout(p, generator)

    short, long = dropped(), dropped(dense_product=True)
    assert long.values.shape == (X.nnz,)
    assert short.values.shape == (np.count_nonzero(long.values),)
    torch.testing.assert_close(short.dense, long.dense)
    kept = long.dense != 0
    torch.testing.assert_close(
        long.dense[kept] * (1 - p), as_rows(X, np.float32).dense[kept]
    )
