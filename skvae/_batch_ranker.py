"""Rank items for Arrow record batches of users, in the workers of any engine."""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import scipy.sparse as sp

from skvae._saving import load_model
from skvae.utils._typing import ArrayLike
from skvae.utils._validation import (
    check_choice,
    check_positive_int,
    errors_naming,
)

if TYPE_CHECKING:
    import pyarrow as pa

OUTPUT = ("items", "scores")
_loading = Lock()


def make_batch_ranker(
    path: str | os.PathLike[str],
    n_items: int = 10,
    *,
    user: str = "user",
    history: str = "history",
    values: Literal["binary", "count"] = "binary",
    exclude_seen: bool = True,
    candidates: ArrayLike | None = None,
    device: str | None = None,
) -> "Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]":
    """Make a function that ranks items for record batches of users.

    The function takes an iterator of Arrow record batches, as Spark's `mapInArrow`
    passes them, and returns another. It holds the path of the model and not the model,
    so that an engine can send it to its workers. Each worker process loads the file
    when it ranks its first batch, and again if the file was replaced.

    Parameters
    ----------
    path : str or path-like
        File of a recommender, written by :func:`save_model` with `item_ids`. Every
        worker must be able to read it at this path. If the file has no ids of items,
        the ids are the numbers of the columns.
    n_items : int, default=10
        How many items for each user, at most the number of items of the model.
    user : str, default="user"
        Name of the column of user ids, of any type, which are returned as they are.
    history : str, default="history"
        Name of the column of histories, a list of item ids for each user. Ids that the
        model does not know, and null, are dropped. A user without known items, or with
        null as the list, is ranked like a row of zeros.
    values : {"binary", "count"}, default="binary"
        What an item that a history holds several times is worth: 1, or the number of
        times. Take what the model was fitted on, as in
        :func:`skvae.datasets.load_interactions`.
    exclude_seen : bool, default=True
        Leave out the items of the history.
    candidates : array-like of shape (n_candidates,), default=None
        Ids of the only items to rank. Ids that the model does not know are dropped.
        None ranks all items.
    device : str, default=None
        Device to compute on, as for :func:`load_model`. None takes that in the file.

    Returns
    -------
    rank : callable
        Takes an iterable of `pyarrow.RecordBatch` and yields one for each, with the
        same users in the same order and the columns `user`, "items" (lists of item
        ids, best first, at most `n_items`) and "scores" (lists of float32). The lists
        of a user who has fewer items left are shorter. Other columns are dropped.

    Raises
    ------
    ImportError
        If pyarrow is not installed, when batches are ranked.
    OSError
        If the file cannot be opened, when batches are ranked.
    TypeError
        If the file holds no recommender, or if the histories are not lists of ids of
        the same kind as those of the model, when batches are ranked.
    ValueError
        If an argument is out of range, or if a batch lacks a column.

    See Also
    --------
    save_model : Writes the file.
    skvae.model_selection.top_items : Rank items for a matrix in one process.

    Notes
    -----
    The lists of a column are the rows of a CSR matrix. They are converted without a
    loop in Python.

    Examples
    --------
    >>> import os, tempfile
    >>> import pyarrow as pa
    >>> from skvae import LinearVAERecommender, make_batch_ranker, save_model
    >>> from skvae.datasets import make_interactions
    >>> X = make_interactions(200, 50, random_state=0).matrix
    >>> model = LinearVAERecommender(5, random_state=0).fit(X)
    >>> users = {"user": ["eva", "kim"], "history": [["i3", "i7", "unknown"], []]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     save_model(model, path, item_ids=[f"i{column}" for column in range(50)])
    ...     rank = make_batch_ranker(path, n_items=2)
    ...     (ranked,) = rank([pa.RecordBatch.from_pydict(users)])
    >>> ranked.schema.names, [len(items) for items in ranked["items"]]
    (['user', 'items', 'scores'], [2, 2])
    """
    check_choice("values", values, ("binary", "count"))
    if user in OUTPUT:
        raise ValueError(
            f"user={user!r} is the name of a column of the result; rename the column "
            "of user ids."
        )
    return partial(
        _rank,
        path=os.path.abspath(os.fsdecode(path)),
        n_items=check_positive_int("n_items", n_items),
        user=user,
        history=history,
        values=values,
        exclude_seen=exclude_seen,
        candidates=None if candidates is None else np.asarray(candidates),
        device=device,
    )


def _rank(
    batches, *, path, n_items, user, history, values, exclude_seen, candidates, device
):
    pa = _import_pyarrow()
    with _loading:  # the threads of a worker share one model
        file = os.stat(path)
        model, ids = _load(path, device, (file.st_ino, file.st_size, file.st_mtime_ns))
    if candidates is not None:
        candidates = _columns(pa.array(candidates), ids, "candidates")
        candidates = candidates.drop_null().to_numpy(zero_copy_only=False)
    for batch in batches:
        for name in (user, history):
            if name not in batch.schema.names:
                raise ValueError(
                    f"The batch has the columns {batch.schema.names} and no {name!r}; "
                    "pass the names of the columns as user=... and history=...."
                )
        X = _interactions(batch.column(history), ids, values)
        items = np.empty((0, n_items), np.int64)
        scores = np.empty((0, n_items), np.float32)
        if len(batch):
            items, scores = model.recommend(
                X,
                n_items,
                exclude_seen=exclude_seen,
                candidates=candidates,
                return_scores=True,
            )
        ranked = items >= 0  # -1 follows where no item is left
        offsets = pa.array(np.append(0, ranked.sum(axis=1).cumsum()), pa.int32())
        columns = (ids.take(pa.array(items[ranked])), pa.array(scores[ranked]))
        yield pa.RecordBatch.from_arrays(
            [
                batch.column(user),
                *(pa.ListArray.from_arrays(offsets, column) for column in columns),
            ],
            names=[user, *OUTPUT],
        )


def _import_pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError as error:
        raise ImportError(
            "Record batches are those of pyarrow, which is not installed; install it, "
            "for instance by pip install 'skvae[arrow]'."
        ) from error
    return pyarrow


@lru_cache(maxsize=1)
def _load(path, device, file):
    """Load a model and the ids of its columns; `file` changes if it is replaced."""
    pa = _import_pyarrow()
    model = load_model(path, **({} if device is None else {"device": device}))
    if not hasattr(model, "recommend"):
        raise TypeError(
            f"{path} holds a {type(model).__name__}, which ranks no items; pass the "
            "file of a recommender."
        )
    return model, pa.array(
        getattr(model, "item_ids_", np.arange(model.n_features_in_, dtype=np.int64))
    )


def _interactions(lists, ids, values):
    """Convert lists of item ids to a CSR array of shape (n_lists, n_ids)."""
    pa = _import_pyarrow()
    if pa.types.is_null(lists.type):  # a batch in which no user has a history
        lists = lists.cast(pa.list_(ids.type))
    if not any(
        is_list(lists.type)
        for is_list in (
            pa.types.is_list,
            pa.types.is_large_list,
            pa.types.is_fixed_size_list,
        )
    ):
        raise TypeError(
            f"The column of histories is of type {lists.type}; pass a list of item ids "
            "for each user."
        )
    lengths = pa.compute.fill_null(pa.compute.list_value_length(lists), 0)
    lengths = lengths.to_numpy(zero_copy_only=False)
    columns = _columns(lists.flatten(), ids, "the histories")
    known = columns.is_valid().to_numpy(zero_copy_only=False)
    ends = np.append(0, np.cumsum(lengths, dtype=np.int64))
    indptr = np.append(0, np.cumsum(known, dtype=np.int64))[ends]
    # A copy, as Arrow's memory is read-only and the duplicates are summed in place.
    indices = columns.drop_null().to_numpy(zero_copy_only=False).copy()
    ones = np.ones(len(indices), np.float32)
    X = sp.csr_array((ones, indices, indptr), shape=(len(lists), len(ids)))
    X.sum_duplicates()
    if values == "binary":
        X.data[:] = 1
    return X


def _columns(found, ids, name):
    """Look up the position of each id in `ids`; null for those that are not in it."""
    pa = _import_pyarrow()
    if pa.types.is_dictionary(found.type):
        found = found.cast(found.type.value_type)
    if not pa.types.is_null(found.type) and _is_text(found.type) != _is_text(ids.type):
        raise TypeError(
            f"The ids of {name} are of type {found.type} but those of the model are of "
            f"type {ids.type}; convert one of them, as otherwise no item can match."
        )
    with errors_naming(name, found):
        return pa.compute.index_in(found.cast(ids.type), value_set=ids, skip_nulls=True)


def _is_text(kind):
    return "string" in str(kind)
