"""Plot of the codes of rows in two latent dimensions."""

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_consistent_length

from skvae.inspection._fitted import final_estimator, require
from skvae.inspection._images import as_rows
from skvae.utils._plotting import BLUE, COLORS, MARKERS, make_panels, merge_style
from skvae.utils._typing import ArrayLike, MatrixLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_CLASSES = 20  # more cannot be distinguished


class LatentSpaceDisplay:
    """Scatter plot of the codes of rows in two latent dimensions.

    Create it with :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_components)
        Codes, with at least two components.

    y : array-like of shape (n_samples,), default=None
        Values that colour the points. Up to 20 different values are drawn as classes,
        each with a colour and marker of its own, and a legend; more are drawn as
        numbers, with a colour bar.

    components : tuple of two int, default=(0, 1)
        The latent dimensions to draw, numbered from 0 like the columns of `Z`.

    component_kl : array-like of shape (n_components,), default=None
        KL divergence of each dimension in nats, for the labels of the axes.

    Attributes
    ----------
    scatter_ : list of matplotlib PathCollection
        The points: one collection per class, in the order of ``numpy.unique``, or one
        for all points.

    colorbar_ : matplotlib Colorbar or None
        The colour bar, if the values of `y` are drawn as numbers.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    ActiveUnitsDisplay : Plot the KL divergence of all latent dimensions.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VAETransformer
    >>> from skvae.inspection import LatentSpaceDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> vae = VAETransformer(2, max_iter=5, random_state=0).fit(X / 16)
    >>> display = LatentSpaceDisplay.from_estimator(vae, X / 16, y)
    >>> len(display.scatter_)
    10
    >>> plt.show()
    """

    def __init__(
        self,
        *,
        Z: ArrayLike,
        y: ArrayLike | None = None,
        components: tuple[int, int] = (0, 1),
        component_kl: ArrayLike | None = None,
    ) -> None:
        self.Z = Z
        self.y = y
        self.components = components
        self.component_kl = component_kl

    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        y_name: str | None = None,
        scatter_kw: dict[str, Any] | None = None,
    ) -> "LatentSpaceDisplay":
        """Draw the points.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure.
        y_name : str, default=None
            Title of the legend, or label of the colour bar.
        scatter_kw : dict, default=None
            Keyword arguments for ``Axes.scatter``.

        Returns
        -------
        display : LatentSpaceDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `Z` has fewer than two components or lacks one of `components`, or if
            `y` is not one finite value per row, or has too many classes.
        """
        Z = as_rows("Z", self.Z)
        first, second = _check_components(self.components, Z.shape[1])
        y, classes = _check_y(self.y, Z)
        (self.ax_,) = make_panels(self, ax)
        self.figure_ = self.ax_.figure
        self.scatter_, self.colorbar_ = [], None
        default = {"s": 14, "linewidths": 0.3, "edgecolors": "white"}
        if classes is None:
            colour = {"facecolor": BLUE} if y is None else {"c": y, "cmap": "cividis"}
            style = _scatter_style({**default, **colour}, scatter_kw)
            self.scatter_.append(self.ax_.scatter(Z[:, first], Z[:, second], **style))
            if y is not None:
                self.colorbar_ = self.figure_.colorbar(
                    self.scatter_[0], ax=self.ax_, label=y_name
                )
        else:
            self._plot_classes(Z[:, [first, second]], y, classes, default, scatter_kw)
            self._add_legend(y_name, outside=ax is None)
        self.ax_.set_xlabel(self._label(first))
        self.ax_.set_ylabel(self._label(second))
        return self

    def _plot_classes(self, points, y, classes, default, scatter_kw):
        for i, value in enumerate(classes):
            again, colour = divmod(i, len(COLORS))
            style = {
                **default,
                "facecolors": COLORS[colour],
                "marker": MARKERS[i % len(MARKERS)],
                "label": str(value),
            }
            if again:  # the colour was used before: draw a hollow marker
                style |= {"facecolors": "none", "edgecolors": COLORS[colour]}
                style |= {"linewidths": 0.8}
            style = _scatter_style(style, scatter_kw)
            self.scatter_.append(self.ax_.scatter(*points[y == value].T, **style))

    def _add_legend(self, y_name, outside):
        place = {"loc": "upper right"}
        if outside:
            place = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "frameon": False}
        self.ax_.legend(title=y_name, markerscale=1.5, **place)

    def _label(self, component):
        label = f"latent dimension {component}"
        if self.component_kl is None:
            return label
        return f"{label} (KL {self.component_kl[component]:.2f} nats)"

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: MatrixLike,
        y: ArrayLike | None = None,
        *,
        components: tuple[int, int] | None = None,
        y_name: str | None = None,
        ax: "Axes | None" = None,
        scatter_kw: dict[str, Any] | None = None,
    ) -> "LatentSpaceDisplay":
        """Encode rows by a fitted estimator and draw their codes.

        Parameters
        ----------
        estimator : object
            Fitted estimator with ``transform``: any estimator of this package, a
            pipeline, or for comparison PCA.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Values that colour the points, as for the class.
        components : tuple of two int, default=None
            The latent dimensions to draw. None takes the two with the greatest
            `component_kl_`, in decreasing order; if the estimator has no
            `component_kl_`, the two with the greatest variance over `X`. If there are
            only two dimensions, they are drawn in their own order.
        y_name : str, default=None
            Title of the legend, or label of the colour bar.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure.
        scatter_kw : dict, default=None
            Keyword arguments for ``Axes.scatter``.

        Returns
        -------
        display : LatentSpaceDisplay
            The display, with the codes drawn; `Z` holds all components.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the codes have fewer than two components, or if `y` is not one finite
            value per row, or has too many classes.
        """
        fitted = final_estimator(estimator)
        require(estimator, "transform", cls.__name__)
        Z = as_rows("Z", estimator.transform(X))
        kl = getattr(fitted, "component_kl_", None)
        if components is None and Z.shape[1] <= 2:
            components = (0, 1)
        elif components is None:
            spread = Z.var(axis=0) if kl is None else np.asarray(kl)
            components = tuple(np.argsort(-spread, kind="stable")[:2].tolist())
        return cls(Z=Z, y=y, components=components, component_kl=kl).plot(
            ax, y_name=y_name, scatter_kw=scatter_kw
        )


def _scatter_style(default, given):
    """Update the default keywords; `c` and `color` replace the default face colour."""
    from matplotlib.collections import PathCollection

    style = merge_style(default, given, PathCollection)
    if {"c", "color"} & style.keys():
        style.pop("facecolor", None)
    return style


def _check_components(components, n_components):
    if n_components < 2:
        raise ValueError(
            f"The codes have {n_components} component but two are needed; fit with "
            "n_components=2 or more."
        )
    chosen = np.asarray(components)
    inside = chosen.dtype.kind in "iu" and ((0 <= chosen) & (chosen < n_components))
    if chosen.shape != (2,) or not np.all(inside):
        raise ValueError(
            f"components={components!r}: pass the numbers of two latent dimensions, "
            f"from 0 to {n_components - 1}."
        )
    return chosen.tolist()


def _check_y(y, Z):
    """Return y as an array, and its classes or None if it is numeric or missing."""
    if y is None:
        return None, None
    y = np.asarray(y)
    if y.ndim != 1:
        raise ValueError(f"y has shape {y.shape}; pass one value per row of X.")
    check_consistent_length(Z, y)
    is_number = y.dtype.kind in "iuf"
    if is_number and not np.isfinite(y).all():
        raise ValueError("y holds values that are not finite; remove these rows.")
    classes = np.unique(y)
    if len(classes) <= MAX_CLASSES:
        return y, classes
    if not is_number:
        raise ValueError(
            f"y has {len(classes)} different values of dtype {y.dtype}; pass at most "
            f"{MAX_CLASSES} classes, or numbers."
        )
    return y, None
