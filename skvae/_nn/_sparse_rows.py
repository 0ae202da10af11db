"""A batch of CSR rows as tensors, with the operations that a network needs."""

import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from torch.autograd.function import once_differentiable

from skvae._nn._buffers import empty

with warnings.catch_warnings():
    # torch warns once per process that its CSR tensors are in beta. Trigger it here.
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 0], [], [], (1, 1), dtype=torch.float32, device="cpu")


@dataclass(frozen=True)
class SparseRows:
    """Rows of a CSR matrix on one device.

    The rows are canonical: no column occurs twice in a row. Values may be zero, for
    example after dropout.

    Parameters
    ----------
    indptr : Tensor of shape (n_rows + 1,), int32
        Where each row begins in `indices` and `values`.
    indices : Tensor of shape (nnz,), int32
        Columns.
    values : Tensor of shape (nnz,)
        Values, float32 (float64 in tests of gradients).
    n_columns : int
        Width of the matrix.
    dense_product : bool, default=False
        Multiply with a weight matrix as a dense matrix: faster on a GPU, and on a CPU
        if more than about one entry in ten is stored.
    """

    indptr: torch.Tensor
    indices: torch.Tensor
    values: torch.Tensor
    n_columns: int
    dense_product: bool = False

    @property
    def n_rows(self):
        """Number of rows."""
        return self.indptr.shape[0] - 1

    @property
    def device(self):
        """Device of the tensors."""
        return self.values.device

    @cached_property
    def row_index(self):
        """Row of each value: int64 tensor of shape (nnz,)."""
        return torch.repeat_interleave(
            torch.arange(self.n_rows, device=self.device),
            self.indptr.diff(),
            output_size=self.values.shape[0],
        )

    @cached_property
    def flat_index(self):
        """Place of each value in the flattened dense matrix: int64, shape (nnz,)."""
        return self.row_index * self.n_columns + self.indices

    def row_sums(self, values=None):
        """Sum each row, of the stored values or of other values in their places."""
        values = self.values if values is None else values
        return torch.segment_reduce(values, "sum", offsets=self.indptr, initial=0)

    def spread(self, per_row):
        """Repeat a number of each row for each of its values: shape (nnz,)."""
        return per_row.index_select(0, self.row_index)

    def pick(self, dense):
        """Take the values of a dense tensor at the stored places: shape (nnz,)."""
        return dense.reshape(-1).index_select(0, self.flat_index)

    def with_values(self, values):
        """Return the same rows with other values."""
        other = replace(self, values=values)
        for name in ("row_index", "flat_index"):  # depend only on the places
            if name in self.__dict__:
                other.__dict__[name] = self.__dict__[name]
        return other

    def l2_normalized(self):
        """Scale each row to unit Euclidean norm; a row of zeros stays zero."""
        norms = self.row_sums(self.values.square()).sqrt()
        norms = norms.masked_fill(norms == 0, 1.0)  # all zero, or underflow
        return self.with_values(self.values / self.spread(norms))

    def dropout(self, p, generator):
        """Drop each value with probability `p` and scale the others by 1 / (1 - p).

        With `dense_product`, dropped values are stored as zeros. Otherwise they are
        removed, which makes the sparse product faster.
        """
        keep = torch.empty_like(self.values).bernoulli_(1.0 - p, generator=generator)
        if self.dense_product:
            return self.with_values(self.values * keep.div_(1.0 - p))
        kept = np.flatnonzero(keep.numpy())
        indptr = np.searchsorted(kept, self.indptr.numpy()).astype(np.int32)
        return replace(
            self,
            indptr=torch.from_numpy(indptr),
            indices=torch.from_numpy(self.indices.numpy()[kept]),
            values=torch.from_numpy(self.values.numpy()[kept]).mul_(1.0 / (1.0 - p)),
        )

    def pad_rows(self, n_rows):
        """Append empty rows, up to `n_rows` rows."""
        n_missing = n_rows - self.n_rows
        if n_missing == 0:
            return self
        indptr = torch.cat([self.indptr, self.indptr[-1:].expand(n_missing)])
        return replace(self, indptr=indptr)

    @cached_property
    def dense(self):
        """The rows as a tensor of shape (n_rows, n_columns)."""
        dense = self.values.new_zeros(self.n_rows * self.n_columns)
        dense[self.flat_index] = self.values
        return dense.view(self.n_rows, self.n_columns)

    @cached_property
    def transposed(self):
        """The transposed matrix as a sparse CSR tensor, on the CPU."""
        shape = (self.n_rows, self.n_columns)
        by_column = sp.csr_array(
            (self.values.numpy(), self.indices.numpy(), self.indptr.numpy()), shape
        ).tocsc()
        parts = (by_column.indptr, by_column.indices, by_column.data)
        return torch.sparse_csr_tensor(*map(torch.from_numpy, parts), shape[::-1])

    def affine(self, weight, bias):
        """Multiply with `weight` of shape (n_columns, n_out) and add `bias`.

        Differentiable with respect to both.
        """
        if self.dense_product:
            # Under autocast only the product is in lower precision.
            return torch.addmm(bias, self.dense, weight).to(weight.dtype)
        return _SparseAffine.apply(weight, bias, self)


class _SparseAffine(torch.autograd.Function):
    """Product of CSR and dense on the CPU, with a gradient of the dense factor only.

    torch's own backward uses a transposed view, which is slower than sorting the
    non-zeros by column once. Its `@` fills a result with zeros and copies it, whereas
    `addmm` with `out` writes it once.
    """

    @staticmethod
    def forward(ctx, weight, bias, rows):
        ctx.rows = rows
        shape = (rows.n_rows, rows.n_columns)
        parts = (rows.indptr, rows.indices, rows.values)
        out = empty((rows.n_rows, weight.shape[1]), like=weight).copy_(bias)
        return torch.addmm(out, torch.sparse_csr_tensor(*parts, shape), weight, out=out)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        grad = empty((ctx.rows.n_columns, grad_output.shape[1]), like=grad_output)
        grad_output = grad_output.contiguous()
        torch.addmm(grad, ctx.rows.transposed, grad_output, beta=0, out=grad)
        return grad, grad_output.sum(dim=0), None
