"""Lists of Arrow as rows of a CSR: their offsets and values are indptr and indices."""

import numpy as np
import scipy.sparse as sp


def import_pyarrow():
    """Import pyarrow with its Parquet files, or say how to install it.

    Returns
    -------
    pyarrow : module
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            "Parquet files need the package pyarrow; install it, for instance by "
            "pip install 'skvae[arrow]', or use the form 'npy'."
        ) from error
    return pyarrow


def csr_of_batch(batch, n_items):
    """Convert lists of items to rows, without copies where the types allow it.

    Parameters
    ----------
    batch : pyarrow.RecordBatch or pyarrow.Table of one chunk
        With a column ``items``, lists of integers, and perhaps a column ``values``,
        lists of numbers. A missing list is a row without items.
    n_items : int
        Number of columns.

    Returns
    -------
    rows : csr_array of shape (n_rows, n_items)
        Unchecked; values in float32, 1 if there is no column ``values``.
    """
    columns = {name: batch.column(name) for name in _names(batch)}
    indptr, items = _lists(columns["items"], "items")
    indices = items.to_numpy(zero_copy_only=False)
    if indices.dtype.kind not in "iu":
        raise ValueError(
            f"The column 'items' holds lists of {items.type}; it must hold lists of "
            "integers, none of them missing."
        )
    indices = as_int32(indices)
    if "values" in columns:
        ends, values = _lists(columns["values"], "values")
        if not np.array_equal(ends, indptr):
            raise ValueError(
                "The lists of the columns 'items' and 'values' differ in length; pass "
                "one value for each item."
            )
        data = values.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    else:
        data = np.ones(len(indices), dtype=np.float32)
    shape = (len(indptr) - 1, n_items)
    # The constructor would make copies for mixed types of indptr and indices.
    rows = sp.csr_array(shape, dtype=np.float32)
    rows.indptr, rows.indices, rows.data = indptr, indices, data
    return rows


def _names(batch):
    return [name for name in ("items", "values") if name in batch.schema.names]


def _lists(column, name):
    """Return the ends of the lists of a column, from 0, and its values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # of no chunk, or of several
        column = pa.concat_arrays(column.chunks)
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise ValueError(
            f"The column {name!r} is of type {column.type}; it must hold lists."
        )
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(
        zero_copy_only=False
    )
    indptr = np.zeros(len(column) + 1, dtype=np.int64)
    np.cumsum(lengths, out=indptr[1:])
    if indptr[-1] <= np.iinfo(np.int32).max:
        indptr = indptr.astype(np.int32)
    return indptr, column.flatten()


def as_int32(indices):
    """Convert indices to int32 unless one is out of its range."""
    bounds = np.iinfo(np.int32)
    if len(indices) and not bounds.min <= indices.min() <= indices.max() <= bounds.max:
        return indices
    return indices.astype(np.int32, copy=False)
