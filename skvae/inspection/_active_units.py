"""Plot of the latent dimensions that are in use."""

from typing import TYPE_CHECKING, Any

import numpy as np

from skvae.inspection._fitted import final_estimator
from skvae.utils._plotting import BLUE, GREY, LIGHT_GREY, make_panels, merge_style
from skvae.utils._typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

IN_USE_KL = 0.01  # nats
MAX_TICKS = 30


class ActiveUnitsDisplay:
    """Bars of the KL divergence of each latent dimension, in decreasing order.

    If the posterior of a dimension equals the prior for every row, the dimension holds
    no information: it is not in use. Create the display with :meth:`from_estimator`.
    All parameters are stored as attributes.

    Parameters
    ----------
    component_kl : array-like of shape (n_components,)
        Mean KL divergence of each latent dimension, in nats.

    threshold : float, default=0.01
        Smallest KL divergence, in nats, with which a dimension counts as in use. If
        all are below the default, :class:`~skvae.VAETransformer` warns of collapse.

    Attributes
    ----------
    order_ : ndarray of shape (n_components,)
        Latent dimensions by decreasing KL divergence, numbered from 0 like the columns
        of ``transform``.

    bars_ : matplotlib BarContainer
        One bar per dimension, in this order.

    unused_ : matplotlib PathCollection or None
        The marks of the dimensions that are not in use; None if all are in use.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    LatentSpaceDisplay : Plot codes of rows in two of the dimensions.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VAETransformer
    >>> from skvae.inspection import ActiveUnitsDisplay
    >>> X = load_digits().data / 16
    >>> vae = VAETransformer(8, max_iter=5, random_state=0).fit(X)
    >>> display = ActiveUnitsDisplay.from_estimator(vae)
    >>> len(display.bars_)
    8
    >>> plt.show()
    """

    def __init__(
        self, *, component_kl: ArrayLike, threshold: float = IN_USE_KL
    ) -> None:
        self.component_kl = component_kl
        self.threshold = threshold

    def plot(
        self, ax: "Axes | None" = None, *, bar_kw: dict[str, Any] | None = None
    ) -> "ActiveUnitsDisplay":
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure.
        bar_kw : dict, default=None
            Keyword arguments for ``Axes.bar``.

        Returns
        -------
        display : ActiveUnitsDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `component_kl` is not a one-dimensional array.
        """
        kl = np.asarray(self.component_kl, dtype=float)
        if kl.ndim != 1 or not kl.size:
            raise ValueError(
                f"component_kl has shape {kl.shape}; pass an array with one number per "
                "latent dimension."
            )
        (self.ax_,) = make_panels(self, ax)
        from matplotlib.patches import Rectangle

        self.figure_ = self.ax_.figure
        self.order_ = np.argsort(-kl, kind="stable")
        place, kl = np.arange(len(kl)), kl[self.order_]
        in_use = kl >= self.threshold
        label = f"in use: {in_use.sum()} of {len(kl)}"
        style = merge_style({"color": BLUE, "label": label}, bar_kw, Rectangle)
        self.bars_ = self.ax_.bar(place, kl, **style)
        for bar, used in zip(self.bars_, in_use, strict=True):
            if not used:
                bar.set_facecolor(LIGHT_GREY)
        self.unused_ = None
        if not in_use.all():
            self.unused_ = self.ax_.scatter(
                place[~in_use],
                kl[~in_use],
                marker="x",
                color=GREY,
                zorder=3,
                clip_on=False,
                label=f"not in use (KL under {self.threshold:g} nats)",
            )
        self.ax_.set(
            xlabel="latent dimension, by falling KL", ylabel="KL (nats per row)"
        )
        step = -(-len(kl) // MAX_TICKS)
        self.ax_.set_xticks(place[::step], self.order_[::step])
        self.ax_.legend(loc="upper right")
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        threshold: float = IN_USE_KL,
        ax: "Axes | None" = None,
        bar_kw: dict[str, Any] | None = None,
    ) -> "ActiveUnitsDisplay":
        """Draw the latent dimensions of a fitted estimator.

        Parameters
        ----------
        estimator : object
            Fitted estimator with the attribute `component_kl_`:
            a :class:`~skvae.VAETransformer`, a pipeline that ends in one, or a search,
            whose best estimator is used.
        threshold : float, default=0.01
            As for the class.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure.
        bar_kw : dict, default=None
            Keyword arguments for ``Axes.bar``.

        Returns
        -------
        display : ActiveUnitsDisplay
            The display, with the bars drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the estimator has no attribute `component_kl_`.
        """
        fitted = final_estimator(estimator)
        kl = getattr(fitted, "component_kl_", None)
        if kl is None:
            raise ValueError(
                f"This {type(fitted).__name__} has no component_kl_; pass a "
                "VAETransformer with variational=True."
            )
        return cls(component_kl=kl, threshold=threshold).plot(ax, bar_kw=bar_kw)
