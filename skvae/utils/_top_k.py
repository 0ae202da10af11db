"""Functions to rank the best items of each row of scores, on their device."""

import numpy as np
import torch
from torch.nn.functional import pad

from skvae.utils._packed_sort import rank_float32
from skvae.utils._validation import check_positive_int, errors_naming

# Largest number of columns in the groups whose maxima bound the best scores.
GROUP_DEPTH = 16
# Rows that are ranked together on a CPU, few enough for its cache.
CPU_ROWS = 256


def top_k(scores, k, *, seen=None, candidates=None):
    """Rank the best items of each row; ties go to the item with the lowest index.

    Parameters
    ----------
    scores : Tensor of shape (n_users, n_items), floating
        Scores, on any device. They are **overwritten** at ``seen`` if it is given.

    k : int
        Number of items to rank, at most the number of items.

    seen : tuple of two Tensors of shape (n_seen,), int64, default=None
        Rows and columns of the scores that are not ranked.

    candidates : Tensor of shape (n_candidates,), int64, default=None
        The items to rank. None ranks all items.

    Returns
    -------
    items : Tensor of shape (n_users, k), int64
        Items, best first. Items with a score of minus infinity are not ranked; if
        fewer than k items remain, or candidates, the row ends with -1.

    scores : Tensor of shape (n_users, k)
        Scores of the items, minus infinity for -1.

    Raises
    ------
    ValueError
        If a score to be ranked is NaN, or if ``k`` is larger than the number of items.
    """
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(
            f"k={k} but there are {scores.shape[1]} items to rank; pass a k from 1 to "
            "that number."
        )
    if seen is not None:
        scores[seen] = -torch.inf
    if candidates is not None:
        candidates = torch.unique(candidates)  # sorted, for the rule on ties
        # Fill up to k columns with scores that are not ranked.
        filling = (0, max(0, k - len(candidates)))
        scores = pad(scores[:, candidates], filling, value=-torch.inf)
        candidates = pad(candidates, filling, value=-1)
    if scores.device.type == "cpu" and scores.dtype == torch.float32:
        parts = [_rank_on_cpu(part, k) for part in scores.split(CPU_ROWS)]
        items, best = map(torch.cat, zip(*parts, strict=True))
    else:
        items, best = _rank(scores, k)
    if candidates is not None:
        items = torch.where(items < 0, -1, candidates[items])
    return items, best


def check_candidates(candidates, n_catalogue):
    """Check the indices of the items to rank.

    Parameters
    ----------
    candidates : array-like of shape (n_candidates,), int, or None
        The value to check.

    n_catalogue : int
        Number of items in the catalogue.

    Returns
    -------
    candidates : ndarray, int64, or None
        Sorted, without duplicates. None for None.

    Raises
    ------
    ValueError
        If they are not a 1-D array of integers in ``[0, n_catalogue)``. It may be
        empty.
    """
    if candidates is None:
        return None
    return np.unique(check_items(candidates, n_catalogue, "candidates"))


def check_items(items, n_catalogue, name):
    """Check the columns of some items, and convert them to int64.

    Parameters
    ----------
    items : array-like of shape (n_items,), int
        The value to check.

    n_catalogue : int
        Number of items in the catalogue.

    name : str
        Name of the argument, for errors.

    Returns
    -------
    items : ndarray of shape (n_items,), int64

    Raises
    ------
    ValueError
        If they are not a 1-D array of integers in ``[0, n_catalogue)``. It may be
        empty.
    """
    with errors_naming(name, items):
        items = np.asarray(items)
    kinds = "iu" if items.size else "iuf"  # an empty list has no integers
    if items.ndim != 1 or items.dtype.kind not in kinds:
        raise ValueError(
            f"{name} has shape {items.shape} and dtype {items.dtype}; pass a 1-D array "
            "of item indices; convert a mask by np.flatnonzero(mask)."
        )
    if items.size and (items.min() < 0 or items.max() >= n_catalogue):
        raise ValueError(
            f"{name} range from {items.min()} to {items.max()} but there are "
            f"{n_catalogue} items; pass indices from 0 to {n_catalogue - 1}."
        )
    return items.astype(np.int64)


def check_n_items(n_items, n_catalogue):
    """Check the number of items to rank, and convert it to a Python int.

    Parameters
    ----------
    n_items : int
        Number of items to rank for each user.

    n_catalogue : int
        Number of items in the catalogue.

    Returns
    -------
    n_items : int
        The same number.

    Raises
    ------
    ValueError
        If ``n_items`` is not a positive integer, or larger than the number of items.
    """
    n_items = check_positive_int("n_items", n_items)
    if n_items > n_catalogue:
        raise ValueError(
            f"n_items={n_items} but there are {n_catalogue} items; pass at most "
            f"{n_catalogue}."
        )
    return n_items


def gather_scores(parts, shape):
    """Join the scores of all batches in one array of shape (n_users, n_items).

    Parameters
    ----------
    parts : iterable of (slice, SparseRows, Tensor)
        For each batch its slice of rows, the batch itself and its scores.
    shape : tuple of int
        Numbers of users and of items.
    """
    scores = np.empty(shape, dtype=np.float32)
    for rows, _, part in parts:
        scores[rows] = part.cpu().numpy()
    return scores


def rank_batches(
    parts,
    shape,
    n_items=10,
    *,
    exclude_seen=True,
    candidates=None,
    return_scores=False,
):
    """Rank the best items of each user, given the scores batch by batch.

    Parameters
    ----------
    parts : iterable of (slice, SparseRows, Tensor)
        For each batch its slice of rows, the batch itself and its scores, which are
        overwritten.
    shape : tuple of int
        Numbers of users and of items.
    n_items, exclude_seen, candidates, return_scores
        As for the method `recommend` of the recommenders.

    Returns
    -------
    items : ndarray of shape (n_users, n_items), int64
        Items, best first; -1 means no item.
    scores : ndarray of shape (n_users, n_items), float32
        Scores of the items, minus infinity for -1. Only if `return_scores` is True.
    """
    candidates = check_candidates(candidates, shape[1])
    n_items = check_n_items(n_items, shape[1])
    if candidates is not None:
        candidates = torch.from_numpy(candidates)
    items = np.empty((shape[0], n_items), dtype=np.int64)
    scores = np.empty((shape[0], n_items), dtype=np.float32)
    for rows, batch, part in parts:
        seen = (batch.row_index, batch.indices.long()) if exclude_seen else None
        if candidates is not None:
            candidates = candidates.to(part.device)
        best, best_scores = top_k(part, n_items, seen=seen, candidates=candidates)
        items[rows] = best.cpu().numpy()
        scores[rows] = best_scores.cpu().numpy()
    return (items, scores) if return_scores else items


# Both functions sort only the scores that reach a lower bound of the k-th highest.


def _rank_on_cpu(scores, k):
    least = _lower_bound(scores, k).numpy()
    items, best = rank_float32(scores.numpy(), k, least)
    return torch.from_numpy(items), torch.from_numpy(best)


def _rank(scores, k):
    found = (scores >= _lower_bound(scores, k)).view(-1).nonzero().squeeze(1)
    users = found // scores.shape[1]
    counts = torch.bincount(users, minlength=scores.shape[0])
    width = max(k, int(counts.max()) if counts.numel() else 0)
    first = counts.cumsum(0) - counts
    place = torch.arange(users.numel(), device=users.device)
    slots = width * users + place - first.index_select(0, users)
    values = scores.new_full((scores.shape[0], width), -torch.inf)
    values.view(-1)[slots] = scores.reshape(-1).index_select(0, found)
    items = found.new_full(values.shape, -1)
    items.view(-1)[slots] = found - scores.shape[1] * users
    # The columns ascend and the sort is stable, so ties go to the lowest index.
    values, order = values.sort(dim=1, descending=True, stable=True)
    return items.gather(1, order[:, :k]), values[:, :k].contiguous()


def _lower_bound(scores, k):
    """Compute a bound that at least k scores of each row reach, (n_users, 1).

    It is the k-th highest of the maxima of groups of columns, which are few. It is
    never minus infinity, so that such scores do not reach it.
    """
    n_items = scores.shape[1]
    depth = max(1, min(GROUP_DEPTH, n_items // (2 * k)))
    grouped, rest = scores.split([n_items - n_items % depth, n_items % depth], dim=1)
    maxima = torch.cat([grouped.unflatten(1, (depth, -1)).amax(dim=1), rest], dim=1)
    if torch.isnan(maxima).any():
        raise ValueError("Scores contain NaN, which cannot be ranked; pass numbers.")
    if scores.device.type == "cpu":
        # numpy's partition is vectorised and several times faster than torch.topk.
        kth = maxima.shape[1] - k
        least = torch.from_numpy(np.partition(maxima.numpy(), kth, axis=1)[:, [kth]])
    else:  # pragma: no cover - CUDA
        least = torch.topk(maxima, k, dim=1).values[:, -1:]
    return least.clamp(min=torch.finfo(least.dtype).min)
