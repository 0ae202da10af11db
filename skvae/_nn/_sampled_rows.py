"""Rows of a batch on a part of the columns, drawn for an estimate of the loss."""

from dataclasses import dataclass, field

import torch
from torch.autograd.function import once_differentiable

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
    taken : dict, optional
        What `take` has returned, by the id of the weight. Copies with other values have
        the same one.
    """

    columns: torch.Tensor = field(kw_only=True)
    log_weights: torch.Tensor = field(kw_only=True)
    n_columns_of_matrix: int = field(kw_only=True)
    taken: dict = field(kw_only=True, default_factory=dict, compare=False, repr=False)

    def take(self, weight):
        """Take the rows of `weight`, (n_columns_of_matrix, n_out), of the columns.

        The gradient is sparse. A weight that both encoder and decoder use is looked up
        once, so that it has one gradient.
        """
        key = id(weight)
        if key not in self.taken:
            self.taken[key] = _Take.apply(weight, self.columns)
        return self.taken[key]

    def affine(self, weight, bias):
        """Multiply with the rows of `weight`, (n_columns_of_matrix, n_out), add `bias`.

        The gradient of the weight is sparse.
        """
        return super().affine(self.take(weight), bias)


class _Take(torch.autograd.Function):
    """Take some rows of a weight, with a sparse gradient that is known to be coalesced.

    That of `torch.nn.functional.embedding` has to be sorted first.
    """

    @staticmethod
    def forward(ctx, weight, index):
        ctx.index, ctx.shape = index, weight.shape
        return weight.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        index = ctx.index[None]
        return (
            torch.sparse_coo_tensor(index, gradient, ctx.shape, is_coalesced=True),
            None,
        )
