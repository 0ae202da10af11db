"""Ranking metrics as scorers for searches, cross-validation and early stopping."""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from scipy.sparse import issparse

from skvae.metrics import _hits
from skvae.model_selection import hold_out_interactions
from skvae.model_selection._hold_out import check_test_size
from skvae.model_selection._top_items import iter_top_items
from skvae.utils._sparse import canonical_csr, check_interactions
from skvae.utils._typing import MatrixLike, NDArray
from skvae.utils._validation import check_sparse, errors_naming

# Functions that compute one number per user from the hits and k. Coverage is not among
# them, because it is one number for all users together.
PER_USER_METRICS: dict[str, Callable[..., NDArray[np.float64]]] = {
    "ndcg": _hits.ndcg,
    "ndcg_linear": partial(_hits.ndcg, gains="linear"),
    "ndcg_exponential": partial(_hits.ndcg, gains="exponential"),
    "recall": _hits.recall,
    "recall_relevant": partial(_hits.recall, denominator="relevant"),
    "precision": _hits.precision,
    "average_precision": _hits.average_precision,
    "reciprocal_rank": _hits.reciprocal_rank,
    "hit_rate": _hits.hit_rate,
}

# Other names of metrics, with the names here.
ALIASES = {
    "mrr": "reciprocal_rank",
    "rr": "reciprocal_rank",
    "map": "average_precision",
    "ap": "average_precision",
    "hr": "hit_rate",
    "hit": "hit_rate",
    "hits": "hit_rate",
    "dcg": "ndcg",
}


def make_ranking_scorer(
    metrics: str | Sequence[str] = "ndcg@100",
    *,
    held_out: float = 0.2,
    random_state: int = 0,
    exclude_seen: bool = True,
) -> "RankingScorer":
    """Make a scorer of recommenders for scikit-learn's searches and cross-validation.

    The scorer is called as ``scorer(estimator, X, y=None)``, where X holds the
    interactions of users who were not in the training data:

    - without ``y``, or with one-dimensional labels, which are ignored, a part of every
      row of X is held out as the ground truth, and the estimator ranks items given the
      rest [1]_; the seed is fixed, so that every candidate of a search is scored on
      the same held-out interactions;
    - with a sparse ``y`` of the shape of X, later interactions of the same users, the
      estimator ranks items given X, and ``y`` is the ground truth.

    scikit-learn does not know the names of these metrics: write
    ``GridSearchCV(..., scoring=make_ranking_scorer("ndcg@100"))``, because
    ``scoring="ndcg@100"`` raises an error there. The parameter ``scoring`` of the
    recommenders of skvae takes the name alone.

    Parameters
    ----------
    metrics : str or sequence of str, default="ndcg@100"
        Each name is a metric and the length of its list. With one name the scorer
        returns a float, with a sequence a dict, as functions that accept several
        metrics need; all metrics are then computed from one ranking.

        ========================== ===================================================
        name                       metric
        ========================== ===================================================
        ``"ndcg@k"``               :func:`ndcg_at_k` with binary gains
        ``"ndcg_linear@k"``        the same with linear gains
        ``"ndcg_exponential@k"``   the same with exponential gains
        ``"recall@k"``             :func:`recall_at_k`
        ``"recall_relevant@k"``    the same divided by the number of relevant items
        ``"precision@k"``          :func:`precision_at_k`
        ``"average_precision@k"``  :func:`average_precision_at_k`
        ``"reciprocal_rank@k"``    :func:`reciprocal_rank_at_k`
        ``"hit_rate@k"``           :func:`hit_rate_at_k`
        ``"coverage@k"``           :func:`coverage_at_k` over all users of X
        ========================== ===================================================

        A k above the number of items is reduced to the number of items.

    held_out : float or int, default=0.2
        How much to hold out if there is no ``y``: ``test_size`` of
        :func:`~skvae.model_selection.hold_out_interactions`.

    random_state : int, default=0
        Seed of the choice of held-out interactions.

    exclude_seen : bool, default=True
        Whether to exclude the items that the estimator is given from its ranking.

    Returns
    -------
    scorer : callable
        It can be pickled and deep-copied, and depends only on its arguments. All
        metrics but coverage are NaN if no user has a relevant item.

    Raises
    ------
    ValueError
        If a metric is unknown or an argument is out of range. The scorer itself raises
        it if ``y`` is two-dimensional but not sparse or of another shape than X, or if
        ``y`` repeats interactions of X while seen items are excluded.

    See Also
    --------
    skvae.model_selection.hold_out_interactions : Hold out part of every row.
    skvae.model_selection.top_items : Make the rankings that are scored.

    References
    ----------
    .. [1] D. Liang, R. G. Krishnan, M. D. Hoffman, T. Jebara. Variational
       Autoencoders for Collaborative Filtering. WWW 2018, section 4.3.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_validate
    >>> from skvae.baselines import Popularity
    >>> from skvae.metrics import make_ranking_scorer
    >>> X = np.random.default_rng(0).random((60, 8)) < np.linspace(0.1, 0.9, 8)
    >>> scorer = make_ranking_scorer(("ndcg@5", "recall@2"))
    >>> scores = cross_validate(Popularity(), X, scoring=scorer, cv=3)
    >>> scores["test_ndcg@5"].round(2), scores["test_recall@2"].round(2)
    (array([0.76, 0.77, 0.84]), array([0.74, 0.79, 0.84]))
    """
    parse_metrics(metrics)
    check_test_size(held_out, "held_out")
    if not isinstance(random_state, Integral):
        raise ValueError(
            f"random_state={random_state!r}: pass an int; with anything else, the "
            "candidates of a search would be scored on different interactions."
        )
    return RankingScorer(metrics, held_out, random_state, exclude_seen)


class RankingScorer:
    """Scorer that :func:`make_ranking_scorer` returns and documents."""

    def __init__(
        self,
        metrics: str | Sequence[str],
        held_out: float,
        random_state: int,
        exclude_seen: bool,
    ) -> None:
        self.metrics = metrics
        self.held_out = held_out
        self.random_state = random_state
        self.exclude_seen = exclude_seen

    @property
    def __name__(self) -> str:  # scikit-learn's displays use it to label an axis
        metrics = self.metrics
        return metrics if isinstance(metrics, str) else ", ".join(metrics)

    def __repr__(self) -> str:
        return (
            f"make_ranking_scorer({self.metrics!r}, held_out={self.held_out!r}, "
            f"random_state={self.random_state!r}, exclude_seen={self.exclude_seen!r})"
        )

    def __call__(
        self, estimator: Any, X: MatrixLike, y: Any = None
    ) -> float | dict[str, float]:
        """Score the estimator on the users of X."""
        X, y = check_sparse(X), check_sparse(y, "y")
        with errors_naming("y", y):
            n_dimensions = np.ndim(y)
        if issparse(y):
            with errors_naming("X", X):
                shape = np.shape(X)
            if y.shape != shape:
                raise ValueError(
                    f"y has shape {y.shape} but X has shape {shape}; pass later "
                    "interactions of the same users and items, in the shape of X."
                )
            fold_in, truth = X, y
        elif y is None or n_dimensions == 1:
            fold_in, truth = hold_out_interactions(
                X, self.held_out, random_state=self.random_state
            )
            fold_in = _in_container_of(X, fold_in)
        else:
            raise ValueError(
                f"y is a {type(y).__name__} of {n_dimensions} dimensions; pass later "
                "interactions as a sparse matrix of the shape of X, such as "
                "csr_array(y), or no y to hold out a part of X."
            )
        return ranking_scores(
            estimator, fold_in, truth, self.metrics, exclude_seen=self.exclude_seen
        )


def ranking_scores(
    estimator, fold_in, held_out, metrics="ndcg@100", *, exclude_seen=True
):
    """Rank items given one part of the interactions, and score by the other part.

    Parameters
    ----------
    estimator : object
        Any estimator that :func:`~skvae.model_selection.top_items` accepts.

    fold_in : {array-like, sparse matrix, sparse array, dataframe} of shape \
            (n_users, n_items)
        Interactions that are given to the estimator.

    held_out : csr_matrix or csr_array of shape (n_users, n_items)
        The ground truth: items with a value above 0 are relevant.

    metrics : str or sequence of str, default="ndcg@100"
        Names, as for :func:`make_ranking_scorer`.

    exclude_seen : bool, default=True
        Whether to exclude the items of ``fold_in`` from the rankings.

    Returns
    -------
    scores : float or dict of str to float
        A float for one name, a dict for a sequence.

    Raises
    ------
    ValueError
        If the two parts overlap while seen items are excluded.
    """
    parsed = parse_metrics(metrics)
    truth = _hits.relevant_only(check_interactions(held_out, "y"))
    if exclude_seen:
        _check_disjoint(fold_in, truth)
    n_users, n_items = truth.shape
    parsed = {name: (metric, min(k, n_items)) for name, (metric, k) in parsed.items()}
    deepest = max(k for _, k in parsed.values())

    # One number per user; for coverage one per item, 1 if it is in any list.
    values = {
        name: np.zeros(n_items if metric == "coverage" else n_users)
        for name, (metric, _) in parsed.items()
    }
    ranked = iter_top_items(estimator, fold_in, deepest, exclude_seen=exclude_seen)
    for rows, items in ranked:
        hits = _hits.find_hits(truth[rows], items)
        for name, (metric, k) in parsed.items():
            if metric == "coverage":
                listed = items[:, :k]
                values[name][listed[listed >= 0]] = 1
            else:
                values[name][rows] = PER_USER_METRICS[metric](hits, k)
    scores = {name: _hits.mean_over_users(array) for name, array in values.items()}
    return scores[metrics] if isinstance(metrics, str) else scores


def parse_metrics(metrics):
    """Parse names such as "ndcg@100".

    Parameters
    ----------
    metrics : str or sequence of str
        One name or several.

    Returns
    -------
    parsed : dict of str to tuple of (str, int)
        The metric and the k of every name.

    Raises
    ------
    ValueError
        If there is no name, or if a name is not known.
    """
    if not isinstance(metrics, Iterable):
        raise ValueError(
            f'metrics={metrics!r}: pass a name such as "ndcg@100" or a sequence of '
            "names."
        )
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    known = (*PER_USER_METRICS, "coverage")
    parsed = {}
    for name in names:
        match = re.fullmatch(r"(\w+)@([1-9][0-9]{0,17})", str(name))
        if match is None or match[1] not in known:
            raise ValueError(
                f"Metric {name!r} is not known; pass one of {', '.join(known)}, "
                'followed by @ and the length of the list, as in "ndcg@100".'
                f"{_hint(str(name), known)}"
            )
        parsed[name] = (match[1], int(match[2]))
    if not parsed:
        raise ValueError("metrics is empty; pass at least one name.")
    return parsed


def _hint(name, known):
    """Ask whether another name was meant; an empty text if none is similar."""
    match = re.fullmatch(r"([a-z_ -]+?)(?:_at_|@)?([0-9]{0,9})", name.strip().lower())
    if match is None:
        return ""
    metric = match[1].replace("-", "_").replace(" ", "_")
    similar = [ALIASES[metric]] if metric in ALIASES else []
    similar = similar or difflib.get_close_matches(metric, known, n=1)
    k = int(match[2] or 0) or 100
    return f' Did you mean "{similar[0]}@{k}"?' if similar else ""


def _check_disjoint(fold_in, truth):
    """Raise if a relevant item is also a seen item, which is never ranked."""
    with errors_naming("X", fold_in):
        if issparse(fold_in):
            shown = canonical_csr(check_sparse(fold_in).tocsr())
        else:
            shown = np.asarray(fold_in)
        n_seen = _hits.indicator(truth).multiply(shown).count_nonzero()
    if n_seen:
        raise ValueError(
            f"{n_seen} of {truth.nnz} interactions of y are in X as well. Seen items "
            "are excluded from the rankings, so these could never be found: pass "
            "exclude_seen=False, or remove the interactions of X from y with "
            "y - y.multiply(X != 0)."
        )


def _in_container_of(X, fold_in):
    """Convert the CSR ``fold_in`` to an array or dataframe if X is one."""
    if issparse(X):
        return fold_in
    fold_in = fold_in.toarray()
    if hasattr(X, "iloc"):  # pandas
        return type(X)(fold_in, index=X.index, columns=X.columns)
    if hasattr(X, "columns"):  # polars
        return type(X)(fold_in, schema=list(X.columns))
    return fold_in
