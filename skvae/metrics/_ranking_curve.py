"""Plot of a ranking metric against the length of the list."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from skvae.metrics import _hits
from skvae.metrics._ranking import coverage_at_k
from skvae.metrics._scorer import PER_USER_METRICS, make_ranking_scorer, parse_metrics
from skvae.metrics._validation import check_one_ranking
from skvae.metrics._validation import ranked_items as first_items
from skvae.utils._plotting import line_style, make_panels, merge_style, metric_label
from skvae.utils._sparse import check_interactions
from skvae.utils._typing import ArrayLike, MatrixLike
from skvae.utils._validation import check_positive_int, errors_naming

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEFAULT_K = (1, 2, 5, 10, 20, 50, 100)


class RankingCurveDisplay:
    """Curves of a ranking metric against k, for one or several recommenders.

    Create it with :meth:`from_estimator` or :meth:`from_predictions`. All parameters
    are stored as attributes.

    Parameters
    ----------
    k : array-like of shape (n_k,), int
        Lengths of the list, in increasing order.

    scores : array-like of shape (n_k,) or dict of str to array-like
        The metric at each k. For several recommenders, a dict that maps the name of
        each to its scores.

    metric : str, default="ndcg"
        Name of the metric, as for :func:`make_ranking_scorer` but without k.

    name : str, default=None
        Name in the legend, if `scores` is not a dict. None shows no legend.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        One curve per recommender.

    line_ : matplotlib Line2D
        The first of them.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    make_ranking_scorer : How recommenders are scored, and the names of the metrics.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skvae import MultVAERecommender
    >>> from skvae.datasets import make_interactions
    >>> from skvae.metrics import RankingCurveDisplay
    >>> X = make_interactions(200, 60, random_state=0).matrix
    >>> narrow = MultVAERecommender(2, max_iter=5, random_state=0).fit(X[:150])
    >>> wide = MultVAERecommender(16, max_iter=5, random_state=0).fit(X[:150])
    >>> display = RankingCurveDisplay.from_estimator(
    ...     {"2 components": narrow, "16 components": wide}, X[150:], metric="recall"
    ... )
    >>> display.k.tolist()
    [1, 2, 5, 10, 20, 50]
    >>> plt.show()
    """

    def __init__(
        self,
        *,
        k: ArrayLike,
        scores: ArrayLike | Mapping[str, ArrayLike],
        metric: str = "ndcg",
        name: str | None = None,
    ) -> None:
        self.k = k
        self.scores = scores
        self.metric = metric
        self.name = name

    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        name: str | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> "RankingCurveDisplay":
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. Pass `ax_` of another display to add curves to it. None
            creates a figure.
        name : str, default=None
            Name in the legend, instead of the attribute `name`.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        display : RankingCurveDisplay
            The display itself.

        Raises
        ------
        ValueError
            If there is no curve, or if a curve does not have one score for each k.
        """
        k = np.asarray(self.k)
        name = self.name if name is None else name
        curves: Mapping[Any, Any] = (
            self.scores if isinstance(self.scores, Mapping) else {name: self.scores}
        )
        if not curves:
            raise ValueError("scores is empty; pass at least one curve.")
        for label, curve in curves.items():
            if k.ndim != 1 or np.shape(curve) != k.shape:
                raise ValueError(
                    f"k has shape {k.shape} but the scores of {label!r} have shape "
                    f"{np.shape(curve)}; pass one score for each k."
                )
        (self.ax_,) = make_panels(self, ax)
        from matplotlib.lines import Line2D

        self.figure_ = self.ax_.figure
        self.lines_ = []
        for label, curve in curves.items():
            style = {**line_style(len(self.ax_.get_lines())), "label": label}
            style = merge_style(style, line_kw, Line2D)
            self.lines_ += self.ax_.plot(k, curve, **style)
        self.line_ = self.lines_[0]
        if k.max() >= 10 * k.min():
            _set_log_scale(self.ax_.xaxis)
        self.ax_.set(xlabel="k (items recommended)")
        self.ax_.set_ylabel(f"{metric_label(self.metric)}@k")
        if any(label is not None for label in curves):
            self.ax_.legend()
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: MatrixLike,
        y: Any = None,
        *,
        metric: str = "ndcg",
        k: ArrayLike | None = None,
        held_out: float = 0.2,
        random_state: int = 0,
        exclude_seen: bool = True,
        name: str | None = None,
        ax: "Axes | None" = None,
        line_kw: dict[str, Any] | None = None,
    ) -> "RankingCurveDisplay":
        """Score rankings of fitted recommenders at several lengths of the list.

        Each estimator ranks once, up to the largest k, and is scored as by
        :func:`make_ranking_scorer`, all on the same held-out interactions.

        Parameters
        ----------
        estimator : object or dict of str to object
            A fitted recommender, or a dict that maps names for the legend to several
            of them: estimators that :func:`~skvae.model_selection.top_items` accepts.
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions of users who were not in the training data.
        y : sparse matrix of shape (n_users, n_items), default=None
            Later interactions of the same users, the ground truth. None holds out a
            part of each row of `X`.
        metric : str, default="ndcg"
            Name of the metric, as for :func:`make_ranking_scorer` but without k.
        k : array-like of shape (n_k,), int, default=None
            Lengths of the list, at most the number of items. None takes those of 1, 2,
            5, 10, 20, 50 and 100 that are not larger than the number of items.
        held_out : float or int, default=0.2
            How much to hold out if `y` is None: ``test_size`` of
            :func:`~skvae.model_selection.hold_out_interactions`.
        random_state : int, default=0
            Seed of the choice of held-out interactions.
        exclude_seen : bool, default=True
            Whether to exclude the items that the estimator is given from its ranking.
        name : str, default=None
            Name of a single estimator in the legend. None takes the name of its class.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        display : RankingCurveDisplay
            The display, with the curves drawn.

        Raises
        ------
        NotFittedError
            If an estimator is not fitted.
        TypeError
            If an estimator cannot rank items.
        ValueError
            If the metric is not known, k is out of range, or `y` does not match `X`.
        """
        if not isinstance(estimator, Mapping):
            estimator = {name or type(estimator).__name__: estimator}
        with errors_naming("X", X):
            n_items = np.shape(X)[1]
        k = _check_k(k, n_items)
        scorer: Any = make_ranking_scorer(
            _names(metric, k),
            held_out=held_out,
            random_state=random_state,
            exclude_seen=exclude_seen,
        )
        scores = {
            label: np.array(list(scorer(recommender, X, y).values()))
            for label, recommender in estimator.items()
        }
        return cls(k=k, scores=scores, metric=metric).plot(ax, line_kw=line_kw)

    @classmethod
    def from_predictions(
        cls,
        y_true: MatrixLike,
        *,
        y_score: ArrayLike | None = None,
        y_rank: ArrayLike | None = None,
        metric: str = "ndcg",
        k: ArrayLike | None = None,
        name: str | None = None,
        ax: "Axes | None" = None,
        line_kw: dict[str, Any] | None = None,
    ) -> "RankingCurveDisplay":
        """Score given rankings at several lengths of the list.

        Parameters
        ----------
        y_true : {array-like, sparse matrix} of shape (n_users, n_items)
            The ground truth: items with a value above 0 are relevant.
        y_score : array-like of shape (n_users, n_items), default=None
            Scores to rank by; items with minus infinity are not ranked. Pass either
            this or `y_rank`.
        y_rank : array-like of shape (n_users, >= largest k), int, default=None
            Ranked item indices, best first; -1 means no item. Pass either this or
            `y_score`.
        metric : str, default="ndcg"
            Name of the metric, as for :func:`make_ranking_scorer` but without k.
        k : array-like of shape (n_k,), int, default=None
            Lengths of the list, at most the number of ranked items. None takes those of
            1, 2, 5, 10, 20, 50 and 100 that are not larger than that number.
        name : str, default=None
            Name in the legend. None shows no legend.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        display : RankingCurveDisplay
            The display, with the curve drawn.

        Raises
        ------
        ValueError
            In the cases of :func:`ndcg_at_k`, or if the metric is not known or k is
            out of range.
        """
        check_one_ranking(y_score, y_rank)
        truth = _hits.relevant_only(check_interactions(y_true, "y_true"))
        ranking: Any = y_score if y_rank is None else y_rank
        with errors_naming("y_score" if y_rank is None else "y_rank", ranking):
            n_ranked = np.shape(ranking)[-1] if np.ndim(ranking) else 0
        lengths = _check_k(k, min(n_ranked, truth.shape[1]))
        _names(metric, lengths)
        items = first_items(y_score, y_rank, int(lengths.max()), truth.shape)
        hits = _hits.find_hits(truth, items)
        if metric == "coverage":
            scores = [
                coverage_at_k(y_rank=items, k=int(n), n_items=truth.shape[1])
                for n in lengths
            ]
        else:
            per_user = PER_USER_METRICS[metric]
            scores = [_hits.mean_over_users(per_user(hits, int(n))) for n in lengths]
        return cls(k=lengths, scores=np.array(scores), metric=metric, name=name).plot(
            ax, line_kw=line_kw
        )


def _names(metric, k):
    """Return the names for the scorer; raise a ValueError if the metric is unknown."""
    names = [f"{metric}@{n}" for n in k]
    parse_metrics(names)
    return names


def _check_k(k, n_items):
    """Return the lengths of the list in increasing order, each at most n_items."""
    if k is None:
        k = [n for n in DEFAULT_K if n <= n_items]
    with errors_naming("k", k):
        k = np.unique(np.asarray(k))
    if not k.size:
        raise ValueError(
            "k is empty, or no items are ranked; pass at least one length of the list, "
            "and a ranking with at least one item."
        )
    for n in k.tolist():
        check_positive_int("k", n)
    if k[-1] > n_items:
        raise ValueError(
            f"k goes up to {k[-1]} but {n_items} items are ranked; pass lengths of at "
            f"most {n_items}."
        )
    return k


def _set_log_scale(axis):
    """Make the axis of k logarithmic, with ticks at round numbers."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    axis.axes.set_xscale("log")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())
