"""Look up the ids of ranked items."""

from typing import Any

import numpy as np

from skvae.utils._typing import ArrayLike
from skvae.utils._validation import errors_naming

# What stands for no item below the mask, by kind of dtype; for all others "".
NO_ID: dict[str, Any] = {"i": -1, "f": np.nan}


def look_up_ids(
    items: ArrayLike, item_ids: ArrayLike
) -> "np.ma.MaskedArray[Any, np.dtype[Any]]":
    """Look up the ids of ranked items.

    Rankings have -1 where there are no more items for a user. As an index of numpy,
    -1 is the last item, so ``item_ids[items]`` would recommend it to such users. Here
    these places are masked.

    Parameters
    ----------
    items : array-like of int
        Column indices of items in an array of any shape, as ``recommend``, ``predict``
        or :func:`top_items` return them; -1 means no item.

    item_ids : array-like of shape (n_items,)
        The id of every column, such as the ``item_ids`` of
        :func:`~skvae.datasets.load_interactions`, the ``item_ids_`` of a loaded model,
        or titles.

    Returns
    -------
    ids : masked array of the shape of ``items``
        The ids, masked where there is no item. ``tolist()`` has None there, and
        ``compressed()`` of a row leaves them out. Below the mask is an empty text, -1
        for integers or NaN for floats, and so in ``filled()``. Ids that are neither
        text, signed integers nor floats are returned as objects.

    Raises
    ------
    ValueError
        If ``items`` are not integers, or if one is neither -1 nor an index of
        ``item_ids``.

    See Also
    --------
    top_items : Rank the best items of each user.
    skvae.datasets.load_interactions : Assigns columns to the ids of items.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.baselines import Popularity
    >>> from skvae.model_selection import look_up_ids
    >>> X = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [1, 1, 1, 0]])
    >>> items = Popularity().fit(X).recommend(X, n_items=2)
    >>> items
    array([[ 2,  3],
           [ 0,  2],
           [ 3, -1]])
    >>> ids = look_up_ids(items, ["tea", "jam", "rye", "oats"])
    >>> ids.tolist()
    [['rye', 'oats'], ['tea', 'rye'], ['oats', None]]
    >>> ids[2].compressed()
    array(['oats'], dtype='<U4')
    """
    with errors_naming("items", items):
        items = np.asarray(items)
    with errors_naming("item_ids", item_ids):
        ids = np.asarray(item_ids)
    if ids.ndim != 1:
        raise ValueError(f"item_ids has shape {ids.shape}; pass one id per item.")
    if items.dtype.kind not in "iu":
        raise ValueError(
            f"items has dtype {items.dtype}; pass column indices as integers, as "
            "recommend returns them."
        )
    if items.size and (items.min() < -1 or items.max() >= len(ids)):
        raise ValueError(
            f"items range from {items.min()} to {items.max()} but item_ids has "
            f"{len(ids)} entries; pass the id of every column, and -1 for no item."
        )
    if ids.dtype.kind not in "ifUSO":
        ids = ids.astype(object)
    missing = np.array([NO_ID.get(ids.dtype.kind, "")], dtype=ids.dtype)
    # The index -1 selects what is appended.
    found = np.concatenate([ids, missing])[items.astype(np.int64)]
    return np.ma.masked_array(found, mask=items < 0, fill_value=missing[0])
