"""Plot of the search for beta."""

from typing import Any

import numpy as np

from skvae.inspection._fitted import final_estimator
from skvae.utils._plotting import (
    BLACK,
    GREY,
    VERMILLION,
    count_from_one,
    line_style,
    make_panels,
    merge_style,
    metric_label,
)
from skvae.utils._typing import ArrayLike, AxesLike


class BetaSearchDisplay:
    """Curves of beta and of the validation score by epoch of the search for beta.

    With ``beta="auto"`` a first training anneals beta from 0 to 1 while the validation
    score is tracked, and the beta of its best epoch is chosen (Liang et al. 2018,
    section 2.2.2). Create the display with :meth:`from_estimator`. All parameters are
    stored as attributes.

    Parameters
    ----------
    beta : array-like of shape (n_epochs,)
        Weight of the KL divergence at the end of each epoch.

    score : array-like of shape (n_epochs,)
        Validation score after each epoch; greater is better.

    best_iter : int, default=None
        The best epoch, counted from 1. None takes the epoch with the greatest score.

    score_name : str, default="validation score"
        Label of the y axis of the score.

    Attributes
    ----------
    axes_ : ndarray of shape (2,) of matplotlib Axes
        The axes of the score and of beta.

    ax_ : matplotlib Axes
        The first of ``axes_``.

    figure_ : matplotlib Figure
        The figure.

    score_line_, beta_line_ : matplotlib Line2D
        The two curves.

    best_ : list of matplotlib PathCollection
        The marks of the best epoch, one on each curve.

    See Also
    --------
    TrainingCurveDisplay : Plot curves of the training after the search.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skvae import MultVAERecommender
    >>> from skvae.datasets import make_interactions
    >>> from skvae.inspection import BetaSearchDisplay
    >>> X = make_interactions(100, 50, random_state=0).matrix
    >>> model = MultVAERecommender(8, beta="auto", label_smoothing=0, random_state=0)
    >>> display = BetaSearchDisplay.from_estimator(model.fit(X))
    >>> bool(display.beta[display.best_iter - 1] == model.beta_)
    True
    >>> plt.show()
    """

    def __init__(
        self,
        *,
        beta: ArrayLike,
        score: ArrayLike,
        best_iter: int | None = None,
        score_name: str = "validation score",
    ) -> None:
        self.beta = beta
        self.score = score
        self.best_iter = best_iter
        self.score_name = score_name

    def plot(
        self, ax: AxesLike = None, *, line_kw: dict[str, Any] | None = None
    ) -> "BetaSearchDisplay":
        """Draw both curves and mark the best epoch on them.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of two Axes, default=None
            Axes to draw on: one for the score and one for beta, or a single one, which
            is divided. None creates a figure.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        display : BetaSearchDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the curves differ in length or are empty, or if `best_iter` is out of
            range.
        """
        beta, score = np.asarray(self.beta), np.asarray(self.score)
        if beta.ndim != 1 or beta.shape != score.shape or not beta.size:
            raise ValueError(
                f"beta has shape {beta.shape} and score {score.shape}; pass one beta "
                "and one score for each epoch."
            )
        best_iter = self.best_iter
        if best_iter is None:
            best_iter = int(np.nanargmax(score)) + 1
        if not 1 <= best_iter <= len(score):
            raise ValueError(
                f"best_iter={best_iter}: pass one of the epochs, 1 to {len(score)}."
            )
        self.axes_ = make_panels(self, ax, 2)
        from matplotlib.lines import Line2D

        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        epochs = np.arange(1, len(score) + 1)
        lines, self.best_ = [], []
        labels = [f"best epoch: {best_iter}", f"beta = {beta[best_iter - 1]:.3g}"]
        for i, (panel, values) in enumerate(
            zip(self.axes_, (score, beta), strict=True)
        ):
            style = merge_style(line_style(i, len(values)), line_kw, Line2D)
            lines += panel.plot(epochs, values, **style)
            panel.axvline(best_iter, color=GREY, linewidth=1, linestyle=":", zorder=1)
            self.best_.append(
                panel.scatter(
                    best_iter,
                    values[best_iter - 1],
                    s=110,
                    marker="*",
                    color=VERMILLION if i == 0 else BLACK,
                    zorder=3,
                    label=labels[i],
                )
            )
            panel.legend(handles=self.best_[-1:], loc="best")
        self.score_line_, self.beta_line_ = lines
        self.axes_[0].set_ylabel(self.score_name)
        self.axes_[1].set_ylabel("beta\n(weight of KL)")
        count_from_one(self.axes_, "epoch of the search")
        self.figure_.align_ylabels(self.axes_)
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        ax: AxesLike = None,
        line_kw: dict[str, Any] | None = None,
    ) -> "BetaSearchDisplay":
        """Draw the search of an estimator that was fitted with ``beta="auto"``.

        Parameters
        ----------
        estimator : object
            Fitted estimator, pipeline that ends in one, or search, whose best
            estimator is used.
        ax : matplotlib Axes or array-like of two Axes, default=None
            As for :meth:`plot`.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        display : BetaSearchDisplay
            The display, with the search drawn. If several epochs have the chosen beta,
            the one with the greatest score is marked.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the estimator has not searched for beta.
        """
        fitted = final_estimator(estimator)
        path = getattr(fitted, "beta_path_", None)
        if path is None:
            raise ValueError(
                f"{type(fitted).__name__} has not searched for beta: it has no "
                'beta_path_. Fit a MultVAERecommender with beta="auto".'
            )
        beta, score = path["beta"], path["score"]
        taken = np.where(beta == fitted.beta_, score, -np.inf)
        return cls(
            beta=beta,
            score=score,
            best_iter=int(np.nanargmax(taken)) + 1,
            score_name=f"validation\n{metric_label(fitted.scoring)}",
        ).plot(ax, line_kw=line_kw)
