"""Interactions in a folder, as Parquet files or as the arrays of a CSR."""

from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from skvae.datasets._arrow import as_int32, csr_of_batch, import_pyarrow
from skvae.datasets._row_blocks import RowBlocks, check_block, rows_left

# Interactions in a block, at most, unless a single row has more.
BLOCK_SIZE = 2**20
# Interactions in the blocks whose rows are shuffled together.
WINDOW = 2**24
# Names of the files. The ids of the users are a column of the Parquet file.
ROWS, ITEMS = "rows.parquet", "items.parquet"


class RowsOnDisk(RowBlocks):
    """Interactions in a folder, of which one block of rows at a time is in memory.

    :class:`~skvae.LinearVAERecommender` and :class:`~skvae.MultVAERecommender` take it
    in place of a matrix, in `fit`, `partial_fit`, `recommend`, `transform`, `score` and
    other methods. Every block is checked when it is read.

    Parameters
    ----------
    path : str or path-like
        A folder that :func:`convert_interactions` wrote, or one with

        - Parquet files (or the path of one), whose row groups are the blocks: a column
          ``items`` with the items of each user as a list of integers, and perhaps
          ``values``, a list of as many numbers, and ``user``, the id of the user. This
          form needs pyarrow.
        - ``indptr.npy``, ``indices.npy`` and perhaps ``data.npy``, the arrays of a CSR
          as :func:`numpy.save` writes them, which are mapped into memory.

    n_items : int, default=None
        Number of items. Only needed if the folder has no ids of the items.

    window : int, default=2**24
        Number of interactions that training holds in memory at a time: it reads blocks
        in random order until they have so many, and shuffles their rows. If there are
        fewer in all, batches are the same as those of a matrix in memory.

    Attributes
    ----------
    shape : tuple of int
        Numbers of users and of items.

    nnz : int
        Number of interactions.

    user_ids : ndarray of shape (n_users,) or None
        Id of the user of each row, None if there are none. Read at each use.

    item_ids : ndarray of shape (n_items,) or None
        Id of the item of each column, None if there are none. Read at each use.

    Raises
    ------
    FileNotFoundError
        If there are no such files.
    ValueError
        If the number of items is not known.

    See Also
    --------
    convert_interactions : Write such a folder from tables of any size.
    RowBlocks : Blocks that are not on disk.

    Notes
    -----
    ``X[rows]`` reads rows into memory, given by a slice or an array of indices:
    ``X[:]`` is the whole as a csr_array. It reads each block once if the indices
    increase.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from skvae.datasets import RowsOnDisk, make_checkerboard
    >>> X, _ = make_checkerboard(60, 40)
    >>> folder = tempfile.mkdtemp()
    >>> for name in ("indptr", "indices", "data"):
    ...     np.save(f"{folder}/{name}.npy", getattr(X, name))
    >>> rows = RowsOnDisk(folder, n_items=40)
    >>> rows.shape, rows.nnz == X.nnz
    ((60, 40), True)
    >>> rows[10:13].toarray().sum(axis=1)
    array([19., 19., 19.], dtype=float32)
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        n_items: int | None = None,
        window: int = WINDOW,
    ) -> None:
        super().__init__([])
        self.path = Path(path)
        self.window = window
        if (self.path / "indptr.npy").is_file():
            self._files: _Arrays | _Parquet = _Arrays(self.path)
        else:
            self._files = _Parquet(self.path)
        if n_items is None:
            n_items = self._files.count_items()
        if n_items is None:
            raise ValueError(
                f"The number of items is not known, as {self.path} has no ids of the "
                "items; pass n_items."
            )
        self.n_items = int(n_items)
        self._starts = np.cumsum([0, *self._files.lengths])
        self._cached: tuple[int, sp.csr_array] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of users and of items."""
        return int(self._starts[-1]), self.n_items

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return len(self._starts) - 1

    @property
    def user_ids(self) -> NDArray[Any] | None:
        """Id of the user of each row."""
        ids = self._files.read_user_ids()
        if ids is None or not self._dropped:
            return ids
        starts = np.cumsum([0, *self._files.lengths])
        dropped = [starts[number] + rows for number, rows in self._dropped.items()]
        return np.delete(ids, np.concatenate(dropped))

    @property
    def item_ids(self) -> NDArray[Any] | None:
        """Id of the item of each column."""
        return self._files.read_item_ids()

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"RowsOnDisk({str(self.path)!r}, n_items={self.n_items})"

    def block(self, number: int) -> sp.csr_array:
        """Read a block and check it.

        Parameters
        ----------
        number : int
            From 0 to `n_blocks` - 1.

        Returns
        -------
        block : csr_array of shape (n_rows, n_items), float32
            With sorted indices, without duplicates and stored zeros.

        Raises
        ------
        ValueError
            If an index is out of range or occurs twice in a row, or if a value is
            negative or not finite.
        """
        block = self._files.read(number, self.n_items)
        checked = check_block(block, f"{number} of {self.path}", self.n_items)
        return rows_left(checked, self._dropped, number)

    def without(self, rows: Any) -> "RowsOnDisk":
        """Return the same rows without some of them.

        Parameters
        ----------
        rows : dict
            Indices of rows, counted from the start of their block, by the number of the
            block.

        Returns
        -------
        others : RowsOnDisk
            Nothing is copied.
        """
        other: Any = super().without(rows)
        lengths = list(self._files.lengths)
        for number, dropped in rows.items():
            lengths[number] -= len(dropped)
        other._starts, other._cached = np.cumsum([0, *lengths]), None
        return other

    def __getitem__(self, rows: slice | ArrayLike) -> sp.csr_array:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._rows_between(start, max(start, stop))
            rows = np.arange(start, stop, step)
        index = np.asarray(rows)
        if index.dtype == bool and index.shape == (len(self),):
            index = np.flatnonzero(index)
        if index.ndim != 1 or (len(index) and index.dtype.kind not in "iu"):
            raise TypeError(
                f"rows={rows!r} of {type(self).__name__}; pass a slice, or an array of "
                "the indices of rows, such as [0] for the first one."
            )
        index = np.where(index < 0, index + len(self), index).astype(np.int64)
        if len(index) and not (index.min() >= 0 and index.max() < len(self)):
            raise IndexError(
                f"Rows range from {index.min()} to {index.max()} but there are "
                f"{len(self)}."
            )
        if not len(index):
            return sp.csr_array((0, self.n_items), dtype=np.float32)
        order = np.argsort(index, kind="stable")
        numbers = self._block_of(index[order])
        cuts = np.flatnonzero(np.diff(numbers)) + 1
        found = _stacked(
            [
                self._cached_block(number)[rows - self._starts[number]]
                for number, rows in zip(
                    numbers[[0, *cuts]].tolist(),
                    np.split(index[order], cuts),
                    strict=True,
                )
            ]
        )
        if (np.diff(order) == 1).all():
            return found
        back = np.empty(len(order), dtype=np.int64)
        back[order] = np.arange(len(order))
        return found[back]

    def _rows_between(self, start, stop):
        first, last = self._block_of([start, max(stop - 1, start)])
        parts = []
        for number in range(first, last + 1):
            offset = int(self._starts[number])
            rows = slice(max(start - offset, 0), max(stop - offset, 0))
            parts.append(self._cached_block(number)[rows])
        return _stacked(parts)

    def _block_of(self, rows):
        """Numbers of the blocks with these rows."""
        numbers = np.searchsorted(self._starts, rows, side="right") - 1
        return np.minimum(numbers, self.n_blocks - 1)

    def _cached_block(self, number):
        """Read a block; the one that was read last is kept, for batches in order."""
        cached = self._cached
        if cached is None or cached[0] != number:
            cached = number, self.block(number)
            self._cached = cached
        return cached[1]

    def _numbered(self) -> Iterator[tuple[Any, Any]]:
        for number in range(self.n_blocks):
            yield number, self._files.read(number, self.n_items)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_cached": None}


def _stacked(parts):
    return parts[0] if len(parts) == 1 else sp.csr_array(sp.vstack(parts, format="csr"))


class _Arrays:
    """Memory-mapped arrays of a CSR in a folder."""

    def __init__(self, path):
        self.path = path
        indptr = self._map("indptr")
        if indptr.ndim != 1 or len(indptr) < 2 or indptr[0] != 0:
            raise ValueError(
                f"{path / 'indptr.npy'} is not the indptr of a CSR with rows: it must "
                "be one-dimensional and start with 0."
            )
        self.starts = cuts_of(indptr, BLOCK_SIZE)
        self.lengths = np.diff(self.starts).tolist()

    def _map(self, name):
        return np.load(self.path / f"{name}.npy", mmap_mode="r")

    def _ids(self, name):
        path = self.path / f"{name}.npy"
        return np.load(path) if path.is_file() else None

    def count_items(self):
        path = self.path / "item_ids.npy"
        return len(np.load(path, mmap_mode="r")) if path.is_file() else None

    def read_user_ids(self):
        return self._ids("user_ids")

    def read_item_ids(self):
        return self._ids("item_ids")

    def read(self, number, n_items):
        start, stop = self.starts[number], self.starts[number + 1]
        indptr = np.array(self._map("indptr")[start : stop + 1])
        values = slice(indptr[0], indptr[-1])
        indices = as_int32(np.array(self._map("indices")[values]))
        if (self.path / "data.npy").is_file():
            data = np.array(self._map("data")[values], dtype=np.float32)
        else:
            data = np.ones(len(indices), dtype=np.float32)
        rows = sp.csr_array((stop - start, n_items), dtype=np.float32)
        rows.indptr = (indptr - indptr[0]).astype(indices.dtype)
        rows.indices, rows.data = indices, data
        return rows


class _Parquet:
    """Parquet files in a folder, or one file; their row groups are the blocks."""

    def __init__(self, path):
        pq = import_pyarrow().parquet
        files = [path] if path.is_file() else sorted(path.glob("*.parquet"))
        self.items = path / ITEMS
        files = [file for file in files if file.name != ITEMS]
        if not files:
            raise FileNotFoundError(
                f"{path} has no rows of interactions: it must be a Parquet file, or a "
                "folder with Parquet files or with indptr.npy and indices.npy."
            )
        self.groups, self.lengths = [], []
        for file in files:
            metadata = pq.read_metadata(file)
            names = metadata.schema.to_arrow_schema().names
            if "items" not in names:
                raise ValueError(
                    f"{file} has the columns {names}; it needs a column 'items' with a "
                    "list of items in each row."
                )
            for group in range(metadata.num_row_groups):
                self.groups.append((file, group))
                self.lengths.append(metadata.row_group(group).num_rows)
        self.columns = [name for name in ("items", "values") if name in names]
        self.has_users = "user" in names
        if not self.groups:
            raise ValueError(f"{path} has no rows.")

    def count_items(self):
        if not self.items.is_file():
            return None
        return import_pyarrow().parquet.read_metadata(self.items).num_rows

    def read_user_ids(self):
        if not self.has_users:
            return None
        parts = [self._table(number, ["user"]) for number in range(len(self.groups))]
        return np.concatenate([part.column("user").to_numpy() for part in parts])

    def read_item_ids(self):
        if not self.items.is_file():
            return None
        table = import_pyarrow().parquet.read_table(self.items)
        return table.column("item").to_numpy()

    def read(self, number, n_items):
        return csr_of_batch(self._table(number, self.columns), n_items)

    def _table(self, number, columns):
        path, group = self.groups[number]
        with import_pyarrow().parquet.ParquetFile(path) as file:
            return file.read_row_group(group, columns=columns, use_threads=False)


def cuts_of(indptr, block_size):
    """Cut rows into blocks of at most so many values: where blocks begin, and the end.

    A block has at least one row.
    """
    cuts, n_rows = [0], len(indptr) - 1
    while cuts[-1] < n_rows:
        last = indptr[cuts[-1]] + block_size
        cut = int(np.searchsorted(indptr, last, side="right")) - 1
        cuts.append(min(max(cut, cuts[-1] + 1), n_rows))
    return cuts


# Writing


class RowsWriter:
    """Write the rows of a matrix to a folder, block by block.

    Parameters
    ----------
    folder : Path
        An empty folder.
    form : {"parquet", "npy"}
        Form of the files.
    user_ids, item_ids : ndarray of shape (n_users,) or (n_items,)
        Ids of the rows and of the columns.
    lengths : ndarray of shape (n_users,)
        Number of interactions of each user.
    weighted : bool
        Whether values are written. Otherwise each interaction counts as 1.
    """

    def __init__(self, folder, form, user_ids, item_ids, lengths, *, weighted):
        self.folder, self.form, self.weighted = folder, form, weighted
        self.user_ids, self.n_rows = user_ids, 0
        self.indptr = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=self.indptr[1:])
        if form == "parquet":
            pa = import_pyarrow()
            pa.parquet.write_table(pa.table({"item": item_ids}), folder / ITEMS)
            self._file = None
            return
        self._save(indptr=self.indptr)
        self._save(user_ids=_fixed_width(user_ids), item_ids=_fixed_width(item_ids))
        dtypes = {"indices": np.int32} | ({"data": np.float32} if weighted else {})
        self._maps = {
            name: np.lib.format.open_memmap(
                folder / f"{name}.npy", "w+", dtype, (int(self.indptr[-1]),)
            )
            for name, dtype in dtypes.items()
        }

    def _save(self, **arrays):
        for name, array in arrays.items():
            np.save(self.folder / f"{name}.npy", array)

    def write(self, rows, block_size=BLOCK_SIZE):
        """Write the next rows, a canonical CSR, in blocks of so many interactions."""
        cuts = cuts_of(rows.indptr, block_size) if rows.shape[0] else [0]
        for start, stop in zip(cuts, cuts[1:], strict=False):
            self._write_block(rows[start:stop])

    def _write_block(self, block):
        users = slice(self.n_rows, self.n_rows + block.shape[0])
        self.n_rows = users.stop
        if self.form == "parquet":
            self._write_group(block, self.user_ids[users])
            return
        place = slice(self.indptr[users.start], self.indptr[users.stop])
        for name, array in self._maps.items():
            array[place] = getattr(block, name)

    def _write_group(self, block, user_ids):
        pa = import_pyarrow()
        ends = pa.array(block.indptr.astype(np.int32))
        items = pa.array(block.indices.astype(np.int32))
        columns = {"user": user_ids, "items": pa.ListArray.from_arrays(ends, items)}
        if self.weighted:
            values = pa.array(block.data.astype(np.float32))
            columns["values"] = pa.ListArray.from_arrays(ends, values)
        table = pa.table(columns)
        if self._file is None:
            # The numbers of items hardly repeat, so that a dictionary does not pay.
            self._file = pa.parquet.ParquetWriter(
                self.folder / ROWS, table.schema, use_dictionary=False
            )
        self._file.write_table(table, row_group_size=len(table))

    def close(self):
        """Close the files."""
        if self.form == "parquet":
            if self._file is not None:
                self._file.close()
            return
        for array in self._maps.values():
            array.flush()
        self._maps = {}


def _fixed_width(ids):
    """Make ids an array that can be saved without pickle."""
    return ids.astype(str) if ids.dtype.kind == "O" else ids
