"""What the ranking metrics are given, checked and brought to one form."""

from numbers import Real

import numpy as np

from skvae.metrics import _hits
from skvae.model_selection._top_items import as_score_tensor, row_chunks
from skvae.utils._sparse import check_interactions
from skvae.utils._top_k import top_k
from skvae.utils._validation import check_positive_int, errors_naming


def hits_at_k(y_true, y_score, y_rank, k, relevance_threshold):
    """Check what a metric was given; return the hits and the k that counts."""
    check_one_ranking(y_score, y_rank)
    if not (isinstance(relevance_threshold, Real) and relevance_threshold >= 0):
        raise ValueError(
            f"relevance_threshold={relevance_threshold!r}: pass a number of at least "
            "0, or all that y_true does not store would be relevant."
        )
    truth = check_interactions(y_true, "y_true")
    check_positive_int("k", k)
    k = min(k, truth.shape[1])
    items = ranked_items(y_score, y_rank, k, truth.shape)
    return _hits.find_hits(_hits.relevant_only(truth, relevance_threshold), items), k


def ranked_items(y_score, y_rank, k, shape):
    """Give the first k items of each of ``shape[0]`` users, from what was given."""
    if y_score is not None:
        y_score = as_array("y_score", y_score)
        if y_score.shape != shape:
            raise ValueError(
                f"y_score has shape {y_score.shape}; pass a dense array of one score "
                f"per user and item, {shape}."
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
            f"users and at least {k} columns, the first {k} items, -1 for none."
        )
    if y_rank.dtype.kind not in "iu":
        raise ValueError(
            f"y_rank has dtype {y_rank.dtype}; pass item indices as integers, or "
            "scores as y_score."
        )
    return y_rank[:, :k].astype(np.int64, copy=False)


def as_array(name, values):
    """Give an array of values; errors name the argument they are."""
    with errors_naming(name, values):
        return np.asarray(values)


def check_one_ranking(y_score, y_rank):
    """Raise unless exactly one of the two is there."""
    if (y_score is None) == (y_rank is None):
        raise ValueError(
            "Pass either y_score, the scores of all items, or y_rank, the indices of "
            "the ranked items, by keyword; exactly one of them."
        )
