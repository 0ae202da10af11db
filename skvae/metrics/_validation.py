"""Validation of the arguments of the ranking metrics."""

from numbers import Real

import numpy as np

from skvae.metrics import _hits
from skvae.model_selection._top_items import as_score_tensor, row_chunks
from skvae.utils._sparse import check_interactions
from skvae.utils._top_k import top_k
from skvae.utils._validation import check_positive_int, errors_naming


def hits_at_k(y_true, y_score, y_rank, k, relevance_threshold):
    """Check the arguments of a metric; return the hits, and k reduced to n_items."""
    check_one_ranking(y_score, y_rank)
    if not (isinstance(relevance_threshold, Real) and relevance_threshold >= 0):
        raise ValueError(
            f"relevance_threshold={relevance_threshold!r}: pass a number of at least "
            "0; below 0, items that y_true does not store would be relevant."
        )
    truth = check_interactions(y_true, "y_true")
    k = min(check_positive_int("k", k), truth.shape[1])
    items = ranked_items(y_score, y_rank, k, truth.shape)
    return _hits.find_hits(_hits.relevant_only(truth, relevance_threshold), items), k


def ranked_items(y_score, y_rank, k, shape):
    """Return the first k items of each user from ``y_score`` or ``y_rank``."""
    if y_score is not None:
        y_score = as_array("y_score", y_score)
        if y_score.shape != shape:
            raise ValueError(
                f"y_score has shape {y_score.shape}; pass a dense array of shape "
                f"{shape}, with one score per user and item."
            )
        items = np.empty((shape[0], k), dtype=np.int64)
        for rows in row_chunks(shape[0], bytes_per_row=8 * shape[1]):
            with errors_naming("y_score", y_score):
                scores = as_score_tensor(y_score[rows])
                items[rows] = top_k(scores, k)[0].numpy()
        return items
    y_rank = as_array("y_rank", y_rank)
    if y_rank.ndim != 2 or len(y_rank) != shape[0] or y_rank.shape[1] < k:
        raise ValueError(
            f"y_rank has shape {y_rank.shape}; pass one row for each of {shape[0]} "
            f"users with at least {k} columns, the first {k} items, or -1 for no item."
        )
    if y_rank.dtype.kind not in "iu":
        raise ValueError(
            f"y_rank has dtype {y_rank.dtype}; pass item indices as integers, or "
            "scores as y_score."
        )
    return y_rank[:, :k].astype(np.int64, copy=False)


def as_array(name, values):
    """Convert values to an array; errors name the argument."""
    with errors_naming(name, values):
        return np.asarray(values)


def check_one_ranking(y_score, y_rank):
    """Raise unless exactly one of y_score and y_rank is given."""
    if (y_score is None) == (y_rank is None):
        raise ValueError(
            "Pass y_score, the scores of all items, or y_rank, the indices of the "
            "ranked items, by keyword; exactly one of them."
        )
