"""The interactions that the half-steps of the rounds work on."""

import numpy as np
import scipy.sparse as sp
import torch

from skvae._collaborative._factor_model import FactorModel
from skvae._collaborative._rounds import Sweep


def sweep_of(X):
    weights = {"a": 1.0, "b": 0.1, "lambda_u": 1.0, "lambda_v": 1.0, "lambda_r": 1.0}
    return Sweep(FactorModel(X.shape[1], 3, content=None, **weights), X, None)


def test_interactions_in_float32_are_not_copied_and_not_modified():
    X = sp.random(20, 15, 0.4, format="csr", dtype=np.float32, random_state=0)
    before = X.copy()
    sweep = sweep_of(X)
    sweep.start(torch.Generator().manual_seed(0))
    sweep()
    assert sweep.users.values.data_ptr() == X.data.ctypes.data
    assert sweep.users.indices.data_ptr() == X.indices.ctypes.data
    assert (X != before).nnz == 0


def test_interactions_of_other_types_give_the_same_factors():
    X = sp.random(20, 15, 0.4, format="csr", dtype=np.float32, random_state=0)
    factors = []
    for dtype, index_dtype in ((np.float32, np.int32), (np.float64, np.int64)):
        other = sp.csr_array(X, dtype=dtype)
        other.indices = other.indices.astype(index_dtype)
        other.indptr = other.indptr.astype(index_dtype)
        for array in (other.data, other.indices, other.indptr):
            array.flags.writeable = False  # as in a memory map
        sweep = sweep_of(other)
        sweep.start(torch.Generator().manual_seed(0))
        sweep()
        factors.append(sweep.model.item_factors)
    assert torch.equal(*factors)
