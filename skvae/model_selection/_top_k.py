"""The k best columns of each row of a tensor of scores, on its own device."""

import numpy as np
import torch


def top_k(scores, k, *, seen=None, candidates=None):
    """Rank the best items of each row; ties go to the item of lowest index.

    Parameters
    ----------
    scores : Tensor of shape (n_users, n_items), floating
        Scores, on any device. **Overwritten** at ``seen`` when that is given.

    k : int
        How many, at most the number of items or of distinct candidates.

    seen : tuple of two Tensors of shape (n_seen,), int64, default=None
        Rows and columns of what is not to be ranked.

    candidates : Tensor of shape (n_candidates,), int64, default=None
        The items to rank; all of them if None.

    Returns
    -------
    items : Tensor of shape (n_users, k), int64
        Best first. Items with a score of minus infinity are not ranked; what is
        missing for that reason is -1, at the end.

    scores : Tensor of shape (n_users, k)
        Their scores, minus infinity where there is no item.

    Raises
    ------
    ValueError
        If a score to be ranked is NaN, or ``k`` exceeds what there is to rank.
    """
    if seen is not None:
        scores[seen] = -torch.inf
    if candidates is not None:
        candidates = torch.unique(candidates)  # sorted, as the rule on ties needs it
        scores = scores[:, candidates]
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k={k} but there are {scores.shape[1]} items to rank.")

    kth = _highest(scores, k).amin(dim=1, keepdim=True)
    if torch.isnan(kth).any():  # NaN counts as highest, and as the least of any
        raise ValueError("Scores contain NaN; a ranking needs numbers.")
    chosen = scores >= kth
    places = _nonzero(chosen)
    if places.numel() > kth.numel() * k:
        rows = (chosen.sum(dim=1) > k).nonzero().squeeze(1)
        chosen[rows] = _lowest_index_among_equals(scores[rows], kth[rows], k)
        places = _nonzero(chosen)
    items = (places % scores.shape[1]).view(-1, k)  # ascending within each row
    values, order = scores.gather(1, items).sort(dim=1, descending=True, stable=True)
    items = items.gather(1, order)
    if candidates is not None:
        items = candidates[items]
    return items.masked_fill_(values == -torch.inf, -1), values


def _highest(scores, k):
    """Give the k highest values of each row, in any order; NaN counts as highest."""
    if scores.device.type != "cpu":
        return torch.topk(scores, k, dim=1, sorted=False).values
    # numpy selects with vector instructions, several times as fast as torch.
    first = scores.shape[1] - k
    return torch.from_numpy(np.partition(scores.numpy(), first, axis=1)[:, first:])


def _nonzero(mask):
    """Flat places of what is true, ascending."""
    if mask.device.type != "cpu":
        return mask.view(-1).nonzero().squeeze(1)
    return torch.from_numpy(np.flatnonzero(mask.numpy()))


def _lowest_index_among_equals(scores, kth, k):
    """Choose k items of each row where several share the k-th highest score."""
    above, equal = scores > kth, scores == kth
    n_wanted = k - above.sum(dim=1, keepdim=True)
    return above | (equal & (equal.cumsum(dim=1) <= n_wanted))
