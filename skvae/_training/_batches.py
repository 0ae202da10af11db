"""Rows of a matrix as batches of tensors on a device."""

import math

import numpy as np
import scipy.sparse as sp
import torch
from torch.nn import functional as F

from skvae._nn import SampledRows, SparseRows
from skvae._training._blocks import batches_from_disk, csr_of
from skvae._training._device import lacks_memory, out_of_memory
from skvae._training._ranks import ONE_PROCESS
from skvae._training._schedules import count_steps
from skvae.datasets import RowsOnDisk

# Share of stored entries above which the dense product is faster than the sparse one
# on a CPU (measured by benchmarks/speed).
DENSE_PRODUCT_DENSITY = 0.1
# Share of the free device memory that the data may take to stay resident.
RESIDENT_SHARE = 0.5
# Number of elements in the widest tensor of a batch in inference.
INFERENCE_BATCH_SIZE = 2**22
# Vectorised kernels compute the last rows of a batch differently. Every batch of
# inference is therefore padded with empty rows to a multiple of this number, so that
# the result for a row does not depend on its position in the batch.
ROW_MULTIPLE = 16


class RowBatches:
    """Rows of a matrix, addressable by index, as batches on a device.

    On an accelerator a CSR that fits stays in device memory, where batches are
    gathered without copies from the host; otherwise batches are sent one by one.

    Parameters
    ----------
    X : CSR matrix, RowsOnDisk or ndarray of shape (n_rows, n_columns)
        Canonical if sparse. Cast to float32 batch by batch.
    device : torch.device
        Device of the batches.
    for_training : bool, default=False
        Choose between the sparse and the dense product by density. Inference on a CPU
        always uses the sparse one, so that the scores of a row do not depend on the
        other rows.
    ranks : OneProcess, default=ONE_PROCESS
        The processes that train together, each on its part of the rows of a step.
    """

    def __init__(self, X, device, *, for_training=False, ranks=ONE_PROCESS):
        self.X = X
        self.ranks = ranks
        self._first, self._n_rows = ranks.place(X.shape[0])
        self.device = torch.device(device)
        self.dense_product = self.device.type != "cpu" or (
            for_training
            and (sp.issparse(X) or isinstance(X, RowsOnDisk))
            and X.nnz > DENSE_PRODUCT_DENSITY * np.prod(X.shape, dtype=float)
        )
        self._resident = (
            _ResidentCSR(X, self.device)
            if for_training and sp.issparse(X) and _fits(X, self.device)
            else None
        )

    def __len__(self):
        """Return the number of rows in all processes."""
        return self._n_rows

    def take(self, rows):
        """Return rows as `SparseRows` or as a float32 tensor.

        Parameters
        ----------
        rows : slice or ndarray of int
            Which rows, in this order.
        """
        if self._resident is not None and not isinstance(rows, slice):
            return self._resident.take(rows)  # pragma: no cover - CUDA
        return self._on_device(self.X[rows])

    def _on_device(self, part):
        if not sp.issparse(part):
            # torch aligns its memory. A BLAS may choose its kernel by the alignment.
            batch = torch.empty(part.shape, dtype=torch.float32)
            batch.numpy()[...] = part
            return self._send(batch)
        return SparseRows(
            self._send_array(part.indptr.astype(_index_dtype(part.nnz))),
            self._send_array(part.indices.astype(np.int32)),
            self._send_array(part.data.astype(np.float32)),
            part.shape[1],
            self.dense_product,
        )

    def shuffled(self, batch_size, generator):
        """Yield all rows once in random order, at most `batch_size` at a time.

        The batches have equal sizes, but for one row: a remainder of a few rows would
        move the weights by as much as a whole batch. Rows on disk are in random order
        within windows of blocks.
        """
        n_steps = count_steps(len(self), batch_size, 1)
        if isinstance(self.X, RowsOnDisk):
            for part in batches_from_disk(self.X, n_steps, generator):
                yield self._batch_of(self._on_device(part), part.shape[0], generator)
            return
        order = torch.randperm(len(self), generator=generator).numpy()
        for rows in np.array_split(order, n_steps):
            own = self.ranks.own(rows, self._first, self.X.shape[0])
            batch = self._batch_of(self.take(own), len(rows), generator)
            yield self.ranks.part(batch, len(rows))

    def in_order(self, batch_size):
        """Yield (slice, batch) over all rows in their order."""
        for start in range(0, len(self), batch_size):
            rows = slice(start, min(start + batch_size, len(self)))
            yield rows, self.take(rows)

    def _batch_of(self, rows, batch_size, generator):
        """Make a batch of rows, of `batch_size` in all processes."""
        return rows

    def _send_array(self, array):
        return self._send(torch.from_numpy(array))

    def _send(self, tensor):
        if self.device.type == "cuda":  # pragma: no cover - CUDA
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)


class IndexedBatches(RowBatches):
    """Batches of rows, each with the indices of its rows in the matrix."""

    def take(self, rows):
        """Return (batch, index): the rows, and their indices as an int64 tensor."""
        index = np.arange(len(self))[rows] if isinstance(rows, slice) else rows
        return super().take(rows), self._send_array(np.ascontiguousarray(index))


class SampledBatches(RowBatches):
    """Batches for training that visit a part of the columns.

    These are the columns with values in any row of the batch, and some that are drawn
    evenly.

    Parameters
    ----------
    X : CSR matrix or RowsOnDisk of shape (n_rows, n_columns)
        Canonical.
    device : torch.device
        Device of the batches.
    n_drawn : int
        Columns to draw for each batch, with replacement.
    ranks : OneProcess, default=ONE_PROCESS
        As in `RowBatches`. All processes visit the same columns.
    """

    def __init__(self, X, device, n_drawn, ranks=ONE_PROCESS):
        super().__init__(X, device, for_training=True, ranks=ranks)
        self.n_drawn = n_drawn
        counts = (np.bincount(one.indices, minlength=X.shape[1]) for one in csr_of(X))
        self._counts = torch.from_numpy(ranks.total(sum(counts).astype(np.float64)))

    def _batch_of(self, rows, batch_size, generator):
        """Restrict rows to the columns of the batch, as `SampledRows`."""
        drawn = torch.randint(rows.n_columns, (self.n_drawn,), generator=generator)
        own = torch.cat([rows.indices.long(), drawn.to(self.device)])
        columns = self.ranks.union(torch.unique(own), rows.n_columns)
        return SampledRows(
            rows.indptr,
            torch.searchsorted(columns, rows.indices.long()).to(torch.int32),
            rows.values,
            len(columns),
            rows.dense_product,
            columns=columns,
            log_weights=self._log_weights(columns, batch_size),
            n_columns_of_matrix=rows.n_columns,
        )

    def _log_weights(self, columns, batch_size):
        """Minus the log-probabilities of columns in a batch, for a row without them.

        A column with values in c of the n rows has none in the B - 1 other rows of the
        batch with the probability C(n - 1 - c, B - 1) / C(n - 1, B - 1).
        """
        n_rows, counts = len(self), self._counts[columns.cpu()]
        left = n_rows - batch_size - counts  # of n - 1 - c rows, less than B - 1 if < 0
        log_absent = (
            torch.lgamma(n_rows - counts)
            - torch.lgamma(left.clamp(min=0) + 1)
            - math.lgamma(n_rows)
            + math.lgamma(n_rows - batch_size + 1)
        )
        log_absent = log_absent.masked_fill(left < 0, -torch.inf)
        n_columns = torch.tensor(self.X.shape[1], dtype=torch.float64)
        log_absent += self.n_drawn * torch.log1p(-1 / n_columns)  # -inf for one column
        return self._send(-torch.log(-torch.expm1(log_absent)).float())


@torch.no_grad()
def map_rows(X, function, *, device, width):
    """Apply a function to all rows in batches, without noise.

    If the memory does not suffice, the batch size is halved.

    Parameters
    ----------
    X : CSR matrix, RowsOnDisk or ndarray of shape (n_rows, n_columns)
        Canonical if sparse.
    function : callable
        Takes a batch, `SparseRows` or a tensor, and returns a tensor with a row for
        each of its rows.
    device : torch.device
        Where to compute.
    width : int
        Number of elements per row in the widest tensor that the function makes.

    Yields
    ------
    rows : slice
        Rows of the batch.
    batch : SparseRows or Tensor
        The batch, without padding.
    result : Tensor
        Result for these rows.
    """
    batches = RowBatches(X, device)
    size = _inference_rows(width)
    start = 0
    while start < len(batches):
        rows = slice(start, min(start + size, len(batches)))
        try:
            batch = batches.take(rows)
            result = function(_pad_rows(batch))
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            if size == ROW_MULTIPLE:
                if not isinstance(error, torch.cuda.OutOfMemoryError):
                    raise
                raise out_of_memory(
                    f"with {size} rows at once; use device='cpu', or a device with "
                    "more free memory"
                ) from error
            size = max(size // 2 // ROW_MULTIPLE, 1) * ROW_MULTIPLE
            continue
        yield rows, batch, result[: rows.stop - rows.start]
        start = rows.stop


def _inference_rows(width):
    """Number of rows in a batch of inference: a positive multiple of `ROW_MULTIPLE`."""
    rows = INFERENCE_BATCH_SIZE // width // ROW_MULTIPLE
    return max(rows, 1) * ROW_MULTIPLE


def _pad_rows(batch):
    """Pad a batch with rows of zeros to a multiple of `ROW_MULTIPLE`."""
    if isinstance(batch, SparseRows):
        return batch.pad_rows(-(-batch.n_rows // ROW_MULTIPLE) * ROW_MULTIPLE)
    return F.pad(batch, (0, 0, 0, -batch.shape[0] % ROW_MULTIPLE))


def _index_dtype(nnz):
    return np.int32 if nnz <= np.iinfo(np.int32).max else np.int64


class _ResidentCSR:
    """A CSR in device memory whose rows are gathered there.

    The row lengths are kept on the host too, so that the size of a batch is known
    without synchronising the device.
    """

    def __init__(self, X, device):
        self.n_columns = X.shape[1]
        self.host_lengths = np.diff(X.indptr)
        self.starts = torch.from_numpy(X.indptr[:-1].astype(np.int64)).to(device)
        self.lengths = torch.from_numpy(self.host_lengths.astype(np.int64)).to(device)
        self.indices = torch.from_numpy(X.indices.astype(np.int32)).to(device)
        self.values = torch.from_numpy(X.data.astype(np.float32)).to(device)

    def take(self, rows):
        n_values = int(self.host_lengths[rows].sum())
        device = self.values.device
        rows = torch.from_numpy(np.asarray(rows)).to(device, non_blocking=True)
        lengths = self.lengths[rows]
        indptr = lengths.new_zeros(len(rows) + 1)
        torch.cumsum(lengths, 0, out=indptr[1:])
        # From positions in the batch to positions in the whole matrix.
        shift = torch.repeat_interleave(
            self.starts[rows] - indptr[:-1], lengths, output_size=n_values
        )
        place = shift + torch.arange(n_values, device=device)
        return SparseRows(
            indptr.to(torch.int32),
            self.indices[place],
            self.values[place],
            self.n_columns,
            dense_product=True,
        )


def _fits(X, device):
    """Whether the CSR may stay in device memory; False on the CPU, without copies."""
    if device.type != "cuda":
        return False
    free = torch.cuda.mem_get_info(device)[0]  # pragma: no cover - CUDA
    return 8 * X.nnz + 16 * X.shape[0] <= RESIDENT_SHARE * free  # pragma: no cover
