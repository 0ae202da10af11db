"""Which latent dimensions are in use."""

import numpy as np

from skvae.inspection._fitted import final_estimator
from skvae.utils._plotting import BLUE, GREY, LIGHT_GREY, make_panels, merge_style

IN_USE_KL = 0.01  # nats
MAX_TICKS = 30


class ActiveUnitsDisplay:
    """KL divergence of each latent dimension, the greatest first.

    A dimension whose posterior is the prior for every row tells rows apart no more: it
    has fallen out of use. Make the display by :meth:`from_estimator`. All parameters
    are kept as attributes.

    Parameters
    ----------
    component_kl : array-like of shape (n_components,)
        Mean KL divergence of each latent dimension, in nats.

    threshold : float, default=0.01
        KL from which a dimension counts as in use, in nats: that under which
        :class:`~skvae.VAETransformer` warns of collapse.

    Attributes
    ----------
    order_ : ndarray of shape (n_components,)
        Latent dimensions by falling KL, counted from 0 like columns of ``transform``.

    bars_ : matplotlib BarContainer
        A bar for each of them.

    unused_ : matplotlib PathCollection or None
        The marks of those that are not in use; None if all are.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    LatentSpaceDisplay : Codes of rows in two of the dimensions.

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

    def __init__(self, *, component_kl, threshold=IN_USE_KL):
        self.component_kl = component_kl
        self.threshold = threshold

    def plot(self, ax=None, *, bar_kw=None):
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.
        bar_kw : dict, default=None
            Keywords of ``Axes.bar``.

        Returns
        -------
        display : ActiveUnitsDisplay
            The object itself.

        Raises
        ------
        ValueError
            If `component_kl` is not one number for each dimension.
        """
        kl = np.asarray(self.component_kl, dtype=float)
        if kl.ndim != 1 or not kl.size:
            raise ValueError(
                f"component_kl has shape {kl.shape}; pass one number for each latent "
                "dimension."
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
    def from_estimator(cls, estimator, *, threshold=IN_USE_KL, ax=None, bar_kw=None):
        """Draw the latent dimensions of a fitted estimator.

        Parameters
        ----------
        estimator : object
            Fitted, with `component_kl_`: a :class:`~skvae.VAETransformer`, a pipeline
            that ends in one, or a search whose best one is drawn.
        threshold : float, default=0.01
            As for the class.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.
        bar_kw : dict, default=None
            Keywords of ``Axes.bar``.

        Returns
        -------
        display : ActiveUnitsDisplay
            The bars as drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If it has no `component_kl_`.
        """
        fitted = final_estimator(estimator)
        kl = getattr(fitted, "component_kl_", None)
        if kl is None:
            raise ValueError(
                f"This {type(fitted).__name__} has no component_kl_; pass a "
                "VAETransformer with variational=True."
            )
        return cls(component_kl=kl, threshold=threshold).plot(ax, bar_kw=bar_kw)
