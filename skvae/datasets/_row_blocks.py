"""Interactions in blocks of rows, of which one at a time has to be in memory."""

import copy
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import reduce
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


class RowBlocks:
    """Interactions in blocks of rows, of which one at a time is in memory.

    :class:`~skvae.LinearVAERecommender` is fitted on blocks by sums over them, so that
    memory is needed for one block and for the model.

    Parameters
    ----------
    blocks : iterable of CSR matrices or arrays, or of ndarrays
        The rows, block by block: each block has the columns of all items, and its
        values are finite and not negative. It is iterated over several times, and must
        give the same blocks each time: a list, or an object whose ``__iter__`` reads
        them again.

    Attributes
    ----------
    shape : tuple of int
        Numbers of users and of items.

    nnz : int
        Number of interactions. It and `shape` are found by iterating over the blocks
        once, at the first use.

    See Also
    --------
    DaskBlocks : Blocks that Dask computes.
    SparkBlocks : Blocks of a data frame of Spark.
    RowsOnDisk : Blocks in a folder, whose rows can be selected.

    Examples
    --------
    >>> from skvae import LinearVAERecommender
    >>> from skvae.datasets import RowBlocks, make_checkerboard
    >>> X, held_out = make_checkerboard(60, 40)
    >>> blocks = RowBlocks([X[:25], X[25:]])
    >>> blocks.shape
    (60, 40)
    >>> vae = LinearVAERecommender(random_state=0).fit(blocks)
    >>> bool((vae.predict(X) == held_out).mean() > 0.9)
    True
    """

    def __init__(self, blocks: Iterable[Any]) -> None:
        if iter(blocks) is blocks:
            raise TypeError(
                f"blocks is a {type(blocks).__name__}, which can be iterated over only "
                "once, but a fit reads the blocks several times; pass a list, or an "
                "object whose __iter__ reads them again."
            )
        self._blocks = blocks
        self._dropped: dict[Any, NDArray[np.int64]] = {}
        self._sizes: dict[Any, tuple[int, int, int]] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of users and of items."""
        sizes = self.sizes().values()
        return sum(n_rows for n_rows, _, _ in sizes), next(iter(sizes))[1]

    @property
    def nnz(self) -> int:
        """Number of interactions."""
        return sum(nnz for _, _, nnz in self.sizes().values())

    def sizes(self) -> dict[Any, tuple[int, int, int]]:
        """Return the numbers of rows, columns and interactions of each block.

        Returns
        -------
        sizes : dict
            By the number of the block, in the order of the rows. It is computed once.

        Raises
        ------
        ValueError
            If there are no blocks, or if they have different numbers of columns.
        """
        if self._sizes is None:
            found = self.map_reduce(_size, operator.or_, {})
            sizes = {number: found[number] for number in sorted(found)}
            _check_widths(sizes)
            self._sizes = sizes
        return self._sizes

    def map_reduce(
        self,
        function: Callable[[Any, sp.csr_array], Any],
        add: Callable[[Any, Any], Any] = operator.add,
        start: Any = None,
    ) -> Any:
        """Apply a function to every block, and add up the results.

        Parameters
        ----------
        function : callable
            Takes the number of a block and the block, a csr_array with sorted indices,
            without duplicates and stored zeros.
        add : callable, default=operator.add
            Adds two results. The order of the sum is not defined.
        start : object, default=None
            Result if there are no blocks.

        Returns
        -------
        total : object
            The sum.
        """
        results = (
            apply_to_block(function, self._dropped, number, block)
            for number, block in self._numbered()
        )
        first = next(results, None)
        return start if first is None else reduce(add, results, first)

    def without(self, rows: Mapping[Any, NDArray[np.int64]]) -> "RowBlocks":
        """Return the same blocks without some rows.

        Parameters
        ----------
        rows : dict
            Indices of rows, counted from the start of their block as it is now, by the
            number of the block.

        Returns
        -------
        blocks : RowBlocks
            Of the same class. Nothing is copied.
        """
        other = copy.copy(self)
        other._dropped, other._sizes = dict(rows), None
        for number, dropped in self._dropped.items():
            n_rows = self.sizes()[number][0] + len(dropped)
            kept = np.setdiff1d(np.arange(n_rows), dropped)
            more = kept[rows.get(number, [])]
            other._dropped[number] = np.sort(np.append(dropped, more))
        return other

    def _numbered(self) -> Iterator[tuple[Any, Any]]:
        """Iterate over the blocks as they are read, with their numbers."""
        return enumerate(self._blocks)

    def __array__(self, *args: Any, **kwargs: Any) -> NDArray[Any]:
        """Refuse to become an array, as that would read all rows at once."""
        raise TypeError(
            f"{type(self).__name__} is not a matrix in memory, which is needed here; "
            "pass a matrix of some of the rows."
        )


def apply_to_block(function, dropped, number, block):
    """Apply a function to a block that was just read, without its dropped rows.

    Parameters
    ----------
    function : callable
        Takes the number and the checked block.
    dropped : dict
        Indices of the rows to leave out, by the number of the block.
    number : int or tuple of int
        Number of the block.
    block : CSR, ndarray or list of them
        What was read.
    """
    return function(number, rows_left(check_block(block, number), dropped, number))


def rows_left(block, dropped, number):
    """Return a block without the rows that are dropped of it."""
    if number not in dropped:
        return block
    kept = np.ones(block.shape[0], dtype=bool)
    kept[dropped[number]] = False
    return block[np.flatnonzero(kept)]


def check_block(block, number, n_items=None):
    """Check a block, and return it as canonical CSR.

    Parameters
    ----------
    block : CSR, ndarray or list of them
        What was read. A list is one block below the other.
    number : int or tuple of int
        Number of the block, for errors.
    n_items : int, default=None
        Number of columns that it must have. None accepts any.

    Returns
    -------
    block : csr_array of shape (n_rows, n_items)
        With sorted indices, and without stored zeros. It may share the memory of what
        was passed.

    Raises
    ------
    TypeError
        If it is not a CSR.
    ValueError
        If an index is out of range or occurs twice in a row, or if a value is negative
        or not finite in float32.
    """
    if isinstance(block, (list, tuple)):
        block = sp.vstack([sp.csr_array(part) for part in block], format="csr")
    if isinstance(block, np.ndarray) and block.ndim == 2:
        block = sp.csr_array(block)
    if not (sp.issparse(block) and block.format == "csr" and block.ndim == 2):
        raise TypeError(
            f"Block {number} is a {type(block).__name__}; pass CSR matrices of rows of "
            "users, with a column for each item."
        )
    if n_items is not None and block.shape[1] != n_items:
        raise ValueError(
            f"Block {number} has {block.shape[1]} columns instead of {n_items}."
        )
    fault = _fault(block.indptr, block.indices, block.data, block.shape)
    if fault is not None:
        raise ValueError(f"Block {number} cannot be used: {fault}.")
    block = sp.csr_array((block.data, block.indices, block.indptr), shape=block.shape)
    if not _rises(block):
        block = block.copy()
        block.has_sorted_indices = False
        block.sort_indices()
        if not _rises(block):
            raise ValueError(
                f"Block {number} cannot be used: an item occurs twice in a "
                "row; add up its values."
            )
    block.has_sorted_indices = block.has_canonical_format = True
    if not block.data.all():
        block = block.copy()
        block.eliminate_zeros()
    return block


def _fault(indptr, indices, data, shape):
    """Say what is wrong with the arrays of a CSR; None if nothing is."""
    n_rows, n_items = shape
    if len(indptr) != n_rows + 1 or indptr[0] != 0 or (np.diff(indptr) < 0).any():
        return "the ends of its rows (indptr) are not increasing from 0"
    if not indptr[-1] == len(indices) == len(data):
        return (
            f"its rows end at {indptr[-1]}, but it has {len(indices)} items and "
            f"{len(data)} values"
        )
    if len(indices) == 0:
        return None
    if indices.min() < 0 or indices.max() >= n_items:
        wrong = indices.min() if indices.min() < 0 else indices.max()
        return (
            f"it holds the item {wrong}, but there are {n_items}, numbered from 0 to "
            f"{n_items - 1}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        least, largest = np.float32(data.min()), np.float32(data.max())
    if not np.isfinite([least, largest]).all():
        return f"it holds a value that is not finite in float32 ({data.max()})"
    return f"it holds the negative value {least}" if least < 0 else None


def _rises(block):
    """Whether the columns increase strictly in each row."""
    rises = np.diff(block.indices) > 0
    starts = block.indptr[1:-1]
    rises[starts[(starts > 0) & (starts < block.nnz)] - 1] = True
    return bool(rises.all())


def _size(number, block):
    return {number: (*block.shape, block.nnz)}


def _check_widths(sizes):
    """Raise a ValueError unless there are blocks and all have the same columns."""
    if not sizes:
        raise ValueError("There are no blocks of rows; pass at least one.")
    (first, (_, n_items, _)), *others = sizes.items()
    for number, (_, width, _) in others:
        if width != n_items:
            raise ValueError(
                f"Block {number} has {width} columns but block {first} has {n_items}; "
                "every block has one column for each item."
            )
