"""Blocks of rows that Dask or Spark computes, with the sums over them."""

import operator
import pickle
from collections.abc import Callable, Iterable
from functools import partial, reduce
from typing import Any, cast

import numpy as np
import scipy.sparse as sp

from skvae.datasets._row_blocks import RowBlocks, apply_to_block

# Sums that one task of Dask adds up.
FAN_IN = 8


class DaskBlocks(RowBlocks):
    """Blocks of rows that Dask computes, with sums over them that Dask adds up.

    Every worker applies the function of a pass to its blocks, and the results are added
    up pairwise on the workers, so that the process of the fit receives one result. The
    blocks are computed again in every pass, unless they are persisted.

    Parameters
    ----------
    blocks : dask.array.Array, dask.bag.Bag or list of dask.delayed.Delayed
        Each chunk of an array, each partition of a bag (a list of CSR) and each delayed
        object is a block, as described for :class:`RowBlocks`. The chunks of an array
        have all of its columns.

    Attributes
    ----------
    shape : tuple of int
        Numbers of users and of items.

    nnz : int
        Number of interactions. It and `shape` are found in a pass over the blocks, at
        the first use.

    See Also
    --------
    RowBlocks : Blocks that this process iterates over.
    SparkBlocks : Blocks of a data frame of Spark.

    Examples
    --------
    >>> from dask import delayed
    >>> from skvae import LinearVAERecommender
    >>> from skvae.datasets import DaskBlocks, make_checkerboard
    >>> X, held_out = make_checkerboard(60, 40)
    >>> read = delayed(lambda start: X[start : start + 20])
    >>> blocks = DaskBlocks([read(0), read(20), read(40)])
    >>> vae = LinearVAERecommender(random_state=0).fit(blocks)
    >>> bool((vae.predict(X) == held_out).mean() > 0.9)
    True
    """

    def __init__(self, blocks: Any) -> None:
        if getattr(blocks, "numblocks", (0, 1))[1:] not in ((1,), (0,)):
            raise ValueError(
                f"blocks is an array of {blocks.numblocks} chunks; pass one with all "
                "columns in each chunk: blocks.rechunk({1: -1})."
            )
        if hasattr(blocks, "to_delayed"):
            blocks = np.ravel(blocks.to_delayed()).tolist()
        super().__init__(list(blocks))

    def map_reduce(
        self,
        function: Callable[[Any, sp.csr_array], Any],
        add: Callable[[Any, Any], Any] = operator.add,
        start: Any = None,
    ) -> Any:
        """Apply a function to every block, and add up the results, both by Dask.

        Parameters
        ----------
        function : callable
            As for :meth:`RowBlocks.map_reduce`. It is sent to the workers.
        add : callable, default=operator.add
            Adds two results.
        start : object, default=None
            Result if there are no blocks.

        Returns
        -------
        total : object
            The sum.
        """
        from dask import delayed

        apply = _once_a_worker(partial(apply_to_block, function, self._dropped))
        parts = [
            delayed(_call)(apply, number, block)
            for number, block in enumerate(self._blocks)
        ]
        if not parts:
            return start
        while len(parts) > 1:
            groups = [parts[i : i + FAN_IN] for i in range(0, len(parts), FAN_IN)]
            parts = [delayed(reduce)(add, group) for group in groups]
        return parts[0].compute()


def _call(apply, number, block):
    return apply(number, block)


def _once_a_worker(function):
    """Return what a graph refers to for a function that holds large arrays."""
    from dask import delayed

    try:
        from distributed import get_client

        client = get_client()
    except (ImportError, ValueError):  # no cluster, but threads or processes
        return delayed(function, traverse=False)
    return client.scatter(function, hash=False)


class SparkBlocks(RowBlocks):
    """Blocks of the rows of a data frame of Spark, with sums that Spark adds up.

    Every partition applies the function of a pass to its rows, and the results are
    added up in a tree, so that the driver receives few of them. The frame is
    computed again in every pass, unless it is cached. It must have the same rows in the
    same partitions each time.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        One row for each user, with a column ``items``, the columns of the user's items
        as an array of integers, without duplicates; and, unless each of them counts as
        1, a column ``values``, an array of as many numbers. Other columns are ignored.

    n_items : int
        Number of items. Items are numbered from 0 to `n_items` - 1.

    Attributes
    ----------
    shape : tuple of int
        Numbers of users and of items.

    nnz : int
        Number of interactions. It and `shape` are found in a pass over the frame, at
        the first use.

    See Also
    --------
    RowBlocks : Blocks that this process iterates over.
    DaskBlocks : Blocks that Dask computes.

    Notes
    -----
    The workers need skvae and pyarrow. A block has
    ``spark.sql.execution.arrow.maxRecordsPerBatch`` rows.

    Examples
    --------
    >>> from skvae import LinearVAERecommender
    >>> from skvae.datasets import SparkBlocks
    >>> rows = pairs.groupBy("user").agg(  # doctest: +SKIP
    ...     F.collect_set("item").alias("items")
    ... )
    >>> blocks = SparkBlocks(rows.cache(), n_items=50_000)  # doctest: +SKIP
    >>> LinearVAERecommender().fit(blocks)  # doctest: +SKIP
    """

    def __init__(self, frame: Any, *, n_items: int) -> None:
        if "items" not in frame.columns:
            raise ValueError(
                f"frame has the columns {frame.columns}; it needs the column 'items', "
                "an array of the columns of the items of each user."
            )
        names = [name for name in ("items", "values") if name in frame.columns]
        super().__init__([])
        self._frame = frame.select(*names)
        self.n_items = n_items

    def map_reduce(
        self,
        function: Callable[[Any, sp.csr_array], Any],
        add: Callable[[Any, Any], Any] = operator.add,
        start: Any = None,
    ) -> Any:
        """Apply a function to every block, and add up the results, both by Spark.

        Parameters
        ----------
        function : callable
            As for :meth:`RowBlocks.map_reduce`. It is sent to the workers.
        add : callable, default=operator.add
            Adds two results.
        start : object, default=None
            Result if there are no rows.

        Returns
        -------
        total : object
            The sum.
        """
        apply = partial(apply_to_block, function, self._dropped)
        sums = self._frame.mapInArrow(
            partial(_sum_of_partition, apply, add, self.n_items), "total binary"
        )
        combine = partial(_add_pickled, add)
        pickled = sums.rdd.map(operator.itemgetter(0))
        total = pickled.treeAggregate(None, combine, combine)
        return start if total is None else pickle.loads(total)


def _sum_of_partition(
    apply: Callable[[Any, Any], Any],
    add: Callable[[Any, Any], Any],
    n_items: int,
    batches: Iterable[Any],
) -> Iterable[Any]:
    """Yield a batch with the pickled sum over the blocks of a partition."""
    import pyarrow as pa
    from pyspark import TaskContext

    from skvae.datasets._arrow import csr_of_batch

    # The type allows None, outside of tasks.
    partition = cast(Any, TaskContext.get()).partitionId()
    results = (
        apply((partition, number), csr_of_batch(batch, n_items))
        for number, batch in enumerate(batches)
    )
    first = next(results, None)
    if first is not None:
        total = pickle.dumps(reduce(add, results, first))
        yield pa.RecordBatch.from_pydict({"total": [total]})


def _add_pickled(add, one, other):
    if one is None or other is None:  # a partition without rows
        return other if one is None else one
    return pickle.dumps(add(pickle.loads(one), pickle.loads(other)))
