"""The k best columns of each row of a tensor of scores, on its own device."""

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

    # torch.topk promises no order among ties. One more value than asked shows a tie
    # across the boundary as well; only the rows with ties are done again.
    values, items = torch.topk(scores, min(k + 1, scores.shape[1]), dim=1)
    if torch.isnan(values[:, 0]).any():  # topk puts NaN first
        raise ValueError("Scores contain NaN; a ranking needs numbers.")
    tied = (values[:, 1:] == values[:, :-1]) & (values[:, 1:] > -torch.inf)
    values, items = values[:, :k].contiguous(), items[:, :k].contiguous()
    rows = tied.any(dim=1).nonzero().squeeze(1)
    if rows.numel():
        values[rows], items[rows] = _top_k_lowest_index(
            scores[rows], values[rows, -1:], k
        )

    if candidates is not None:
        items = candidates[items]
    return items.masked_fill_(values == -torch.inf, -1), values


def _top_k_lowest_index(scores, kth, k):
    """Top k of each row, given its k-th highest value, by index among equals."""
    above, equal = scores > kth, scores == kth
    n_wanted = k - above.sum(dim=1, keepdim=True)
    chosen = above | (equal & (equal.cumsum(dim=1) <= n_wanted))
    items = chosen.nonzero()[:, 1].view(-1, k)  # ascending within each row
    values, order = scores.gather(1, items).sort(dim=1, descending=True, stable=True)
    return values, items.gather(1, order)
