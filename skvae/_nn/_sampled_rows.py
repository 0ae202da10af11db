"""Rows of a batch on a part of the columns, drawn for an estimate of the loss."""

from dataclasses import dataclass, field

import torch
from torch.nn import functional as F

from skvae._nn._sparse_rows import SparseRows


@dataclass(frozen=True)
class SampledRows(SparseRows):
    """Rows of a CSR matrix, with their own columns and some that were drawn.

    `indices` and `n_columns` count the columns in `columns`, of which there are few.

    Parameters
    ----------
    columns : Tensor of shape (n_columns,), int64
        Columns of the matrix, increasing, with all of the stored values.
    log_weights : Tensor of shape (n_columns,)
        Minus the logarithm of the probability with which each column is there, for a
        row that has no value in it.
    n_columns_of_matrix : int
        Width of the matrix.
    """

    columns: torch.Tensor = field(kw_only=True)
    log_weights: torch.Tensor = field(kw_only=True)
    n_columns_of_matrix: int = field(kw_only=True)

    def affine(self, weight, bias):
        """Multiply with the rows of `weight`, (n_columns_of_matrix, n_out), add `bias`.

        The gradient of the weight is sparse.
        """
        return super().affine(F.embedding(self.columns, weight, sparse=True), bias)
