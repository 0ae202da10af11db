"""Plot of losses, beta and validation score by epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skvae.inspection._fitted import final_estimator
from skvae.utils._plotting import (
    count_from_one,
    line_style,
    make_panels,
    merge_style,
    metric_label,
)
from skvae.utils._typing import AxesLike, NDArray

# Curves in the order in which they are drawn, and the attributes that hold them.
ATTRIBUTES = {
    "objective": "objective_curve_",
    "loss": "loss_curve_",
    "reconstruction": "reconstruction_curve_",
    "kl": "kl_curve_",
    "beta": "beta_curve_",
    "validation": "validation_scores_",
}
OF_THE_PRIOR = ("kl", "beta")  # curves of variational models only
ON_REQUEST = ("reconstruction",)  # curves that are not drawn by default


class TrainingCurveDisplay:
    """Curves of loss, KL divergence, beta and validation score by epoch.

    Create it with :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    curves : dict of str to array-like of shape (n_epochs,)
        Curves by name. Each is drawn on its own axes, and their lengths may differ.

    labels : dict of str to str, default=None
        Label of the y axis for each curve, with the unit. None takes the names.

    best_iter : int, default=None
        Epoch whose weights were kept, counted from 1. It is marked on the curve named
        "validation".

    time_unit : str, default="epoch"
        Unit of the x axis: "epoch" or "round".

    name : str, default=None
        Name in the legend. None shows no legend.

    Attributes
    ----------
    axes_ : ndarray of shape (n_curves,) of matplotlib Axes
        The axes, from top to bottom.

    ax_ : matplotlib Axes
        The first of ``axes_``.

    figure_ : matplotlib Figure
        The figure.

    lines_ : dict of str to matplotlib Line2D
        The line of each curve.

    best_ : matplotlib PathCollection or None
        The mark of the best epoch, if there is one.

    See Also
    --------
    BetaSearchDisplay : Plot the search for beta that precedes the training.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skvae import MultVAERecommender
    >>> from skvae.datasets import make_interactions
    >>> from skvae.inspection import TrainingCurveDisplay
    >>> X = make_interactions(100, 50, random_state=0).matrix
    >>> model = MultVAERecommender(8, max_iter=5, early_stopping=True, random_state=0)
    >>> display = TrainingCurveDisplay.from_estimator(model.fit(X))
    >>> sorted(display.lines_)
    ['beta', 'kl', 'loss', 'validation']
    >>> plt.show()
    """

    def __init__(
        self,
        *,
        curves: Mapping[str, Sequence[float] | NDArray[np.floating]],
        labels: Mapping[str, str] | None = None,
        best_iter: int | None = None,
        time_unit: str = "epoch",
        name: str | None = None,
    ) -> None:
        self.curves = curves
        self.labels = labels
        self.best_iter = best_iter
        self.time_unit = time_unit
        self.name = name

    def plot(
        self,
        ax: AxesLike = None,
        *,
        name: str | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> "TrainingCurveDisplay":
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Axes to draw on: one per curve, such as `axes_` of the display of another
            estimator, or a single one, which is divided among the curves. None creates
            a figure.
        name : str, default=None
            Name in the legend, instead of the attribute `name`.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        display : TrainingCurveDisplay
            The display itself.

        Raises
        ------
        ValueError
            If there is no curve, or if the number of axes does not match.
        """
        if not self.curves:
            raise ValueError("curves is empty; pass at least one curve.")
        name = self.name if name is None else name
        self.axes_ = make_panels(self, ax, len(self.curves))
        from matplotlib.lines import Line2D

        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        self.lines_, self.best_ = {}, None
        labels = self.labels or {}
        for panel, (curve, values) in zip(self.axes_, self.curves.items(), strict=True):
            style = line_style(len(panel.get_lines()), len(values))
            style = merge_style({**style, "label": name}, line_kw, Line2D)
            epochs = np.arange(1, len(values) + 1)
            (self.lines_[curve],) = panel.plot(epochs, values, **style)
            panel.set_ylabel(labels.get(curve, curve))
        if self.best_iter is not None and "validation" in self.curves:
            self._mark_best(name)
        count_from_one(self.axes_, self.time_unit)
        self._add_legends()
        self.figure_.align_ylabels(self.axes_)
        return self

    def _mark_best(self, name):
        line = self.lines_["validation"]
        score = self.curves["validation"][self.best_iter - 1]
        label = f"best {self.time_unit}: {self.best_iter}"
        self.best_ = line.axes.scatter(
            self.best_iter,
            score,
            s=90,
            facecolors="none",
            edgecolors=line.get_color(),
            linewidths=1.5,
            zorder=3,
            label=label if name is None else f"{name}, {label}",
        )

    def _add_legends(self):
        """Add names to the first axes, and best epochs where they are marked."""
        for panel in self.axes_:
            lines, marks = panel.get_lines(), panel.collections
            if marks and len(marks) == len(lines):
                handles = list(zip(lines, marks, strict=True))
                panel.legend(handles, [mark.get_label() for mark in marks])
            elif panel is self.ax_ and not lines[-1].get_label().startswith("_"):
                panel.legend()

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        curves: str | Sequence[str] | None = None,
        name: str | None = None,
        ax: AxesLike = None,
        line_kw: dict[str, Any] | None = None,
    ) -> "TrainingCurveDisplay":
        """Draw the curves of a fitted estimator.

        Parameters
        ----------
        estimator : object
            Fitted estimator of this package, pipeline that ends in one, or search,
            whose best estimator is used.
        curves : str or sequence of str, default=None
            Curves to draw: "objective", "loss", "reconstruction", "kl", "beta",
            "validation". None draws all that the estimator has, except
            "reconstruction".
        name : str, default=None
            Name in the legend. None shows no legend.
        ax : matplotlib Axes or array-like of Axes, default=None
            As for :meth:`plot`.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        display : TrainingCurveDisplay
            The display, with the curves drawn. With ``refit=True`` the losses are those
            of the last training, and the validation scores those of the one before it.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If a curve is unknown, or if the estimator does not have it.
        """
        fitted = final_estimator(estimator)
        found = _curves_of(fitted)
        if curves is None:
            wanted = [curve for curve in found if curve not in ON_REQUEST]
        else:
            wanted = [curves] if isinstance(curves, str) else list(curves)
        if not wanted:
            raise ValueError(
                f"{type(fitted).__name__} has no training curves; pass an estimator of "
                "skvae that is trained in epochs or rounds."
            )
        for curve in wanted:
            _check_curve(curve, found, fitted)
        rounds = hasattr(fitted, "objective_curve_")
        return cls(
            curves={curve: found[curve] for curve in wanted},
            labels=_labels(fitted, "item" if rounds else "row"),
            best_iter=getattr(fitted, "best_iter_", None),
            time_unit="round" if rounds else "epoch",
            name=name,
        ).plot(ax, line_kw=line_kw)


def _curves_of(estimator):
    """Return the curves of an estimator, without KL and beta if it has no prior."""
    found = {}
    for curve, attribute in ATTRIBUTES.items():
        values = np.asarray(getattr(estimator, attribute, []), dtype=float)
        without = curve in OF_THE_PRIOR and not getattr(estimator, "variational", True)
        if values.size and not without:
            found[curve] = values
    return found


def _check_curve(curve, found, estimator):
    if curve not in ATTRIBUTES:
        raise ValueError(f"curves holds {curve!r}; pass names from {list(ATTRIBUTES)}.")
    if curve in found:
        return
    name = type(estimator).__name__
    if curve in OF_THE_PRIOR and not getattr(estimator, "variational", True):
        why = "with variational=False there is no KL divergence"
    elif curve == "validation":
        why = "fit with early_stopping=True, or pass X_val to fit"
    else:
        why = f"its {ATTRIBUTES[curve]} is empty or missing"
    raise ValueError(
        f"{name} has no curve {curve!r}: {why}. It has the curves {list(found)}."
    )


def _labels(estimator, row):
    scoring = getattr(estimator, "scoring", None)
    if isinstance(scoring, str):
        validation = f"validation\n{metric_label(scoring)}"
    elif getattr(estimator, "variational", True):
        validation = f"validation bound\n(nats per {row})"
    else:
        validation = f"validation\nlog-likelihood\n(nats per {row})"
    return {
        "objective": "objective",
        "loss": f"loss\n(nats per {row})",
        "reconstruction": f"reconstruction\n(nats per {row})",
        "kl": f"KL\n(nats per {row})",
        "beta": "beta\n(weight of KL)",
        "validation": validation,
    }
