"""dask knows the sizes of sparse arrays, and skvae does not need dask."""

import subprocess
import sys

import pytest
import scipy.sparse as sp

import skvae  # noqa: F401  (tells dask the sizes)


@pytest.mark.parametrize("form", ["bsr", "coo", "csc", "csr"])
def test_dask_knows_the_sizes_of_sparse_arrays(form):
    sizeof = pytest.importorskip("dask.sizeof", reason="Dask is not installed").sizeof
    X = sp.random(300, 200, density=0.1, format="csr", random_state=0)
    X = getattr(sp, f"{form}_array")(X)
    assert 12 * X.nnz <= sizeof(X) <= 24 * X.nnz + 5000
    assert sizeof(X) == pytest.approx(sizeof(getattr(sp, f"{form}_matrix")(X)), rel=0.1)


def test_skvae_is_imported_without_dask():
    code = "import sys; sys.modules['dask'] = None; import skvae"
    subprocess.run([sys.executable, "-c", code], check=True)
