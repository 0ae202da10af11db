"""Rows beside what a model makes of them."""

import numpy as np

from skvae.inspection._fitted import final_estimator, require
from skvae.inspection._images import (
    as_rows,
    check_image_shape,
    image_centers,
    montage,
)
from skvae.utils._plotting import COLORS, LINE_STYLES, make_panels, merge_style

NAMES = ("original", "reconstruction")


class ReconstructionDisplay:
    """Rows and their reconstructions, as images or as lines.

    Make it by :meth:`from_estimator`. All parameters are kept as attributes.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows.

    X_reconstructed : array-like of shape (n_samples, n_features)
        What became of them.

    image_shape : tuple of int, default=None
        (height, width) of the image that a row is, or (height, width, 3) in colours,
        which are cut at 0 and 1. None draws each row as a line over its features.

    Attributes
    ----------
    image_ : matplotlib AxesImage
        Originals above, reconstructions below. Only of images.

    lines_ : list of tuple of two matplotlib Line2D
        Original and reconstruction of each row. Only of lines.

    axes_ : ndarray of matplotlib Axes
        One for the images; for lines, a panel for each row.

    ax_ : matplotlib Axes
        The first of them.

    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    GeneratedSamplesDisplay : Rows drawn from the model.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VAETransformer
    >>> from skvae.inspection import ReconstructionDisplay
    >>> X = load_digits().data / 16
    >>> vae = VAETransformer(max_iter=5, random_state=0).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(vae, X[:8], image_shape=(8, 8))
    >>> display.X_reconstructed.shape
    (8, 64)
    >>> plt.show()
    """

    def __init__(self, *, X, X_reconstructed, image_shape=None):
        self.X = X
        self.X_reconstructed = X_reconstructed
        self.image_shape = image_shape

    def plot(self, ax=None, *, im_kw=None, line_kw=None):
        """Draw the rows.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Where to draw: for lines, one Axes, which is divided, or one for each row.
            None makes a figure.
        im_kw : dict, default=None
            Keywords of ``Axes.imshow``. Only for images, whose grey values reach from
            the least to the greatest of the originals.
        line_kw : dict, default=None
            Keywords of ``Axes.plot`` for both lines. Only for lines.

        Returns
        -------
        display : ReconstructionDisplay
            The object itself.

        Raises
        ------
        ValueError
            If the shapes of rows, reconstructions and images do not agree.
        """
        X = as_rows("X", self.X)
        reconstructed = as_rows("X_reconstructed", self.X_reconstructed)
        if X.shape != reconstructed.shape:
            raise ValueError(
                f"X has shape {X.shape} but X_reconstructed {reconstructed.shape}; "
                "pass a reconstruction of each row."
            )
        if self.image_shape is None:
            self._plot_lines(X, reconstructed, ax, line_kw)
        else:
            shape = check_image_shape(self.image_shape, X.shape[1])
            self._plot_images(X, reconstructed, shape, ax, im_kw)
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        return self

    def _plot_images(self, X, reconstructed, shape, ax, im_kw):
        picture = montage(np.concatenate([X, reconstructed]), shape, len(X))
        aspect = picture.shape[0] / picture.shape[1]
        self.axes_ = make_panels(self, ax, aspect=aspect)
        from matplotlib.image import AxesImage

        (panel,) = self.axes_
        style = {"cmap": "gray_r", "vmin": X.min(), "vmax": X.max()}
        style = merge_style(style, im_kw, AxesImage)
        self.image_ = panel.imshow(picture, **style)
        panel.set_xticks([])
        panel.set_yticks(image_centers(2, shape[0]), NAMES)
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)

    def _plot_lines(self, X, reconstructed, ax, line_kw):
        self.axes_ = make_panels(self, ax, len(X))
        from matplotlib.lines import Line2D

        features = np.arange(X.shape[1])
        self.lines_ = []
        for panel, *pair in zip(self.axes_, X, reconstructed, strict=True):
            styles = [
                merge_style(
                    {"color": COLORS[i], "linestyle": LINE_STYLES[i], "label": name},
                    line_kw,
                    Line2D,
                )
                for i, name in enumerate(NAMES)
            ]
            drawn = [
                panel.plot(features, row, **style)[0]
                for row, style in zip(pair, styles, strict=True)
            ]
            self.lines_.append(tuple(drawn))
            panel.set_ylabel("value")
        self.axes_[0].legend(
            loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False
        )
        self.axes_[-1].set_xlabel("feature")

    @classmethod
    def from_estimator(
        cls, estimator, X, *, image_shape=None, ax=None, im_kw=None, line_kw=None
    ):
        """Reconstruct rows by a fitted estimator and draw both.

        Parameters
        ----------
        estimator : object
            Fitted, with ``transform`` and ``inverse_transform``: a
            :class:`~skvae.VAETransformer`, a pipeline, or PCA to compare with.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to draw: all of them, so pass a few.
        image_shape : tuple of int, default=None
            As for the class.
        ax : matplotlib Axes or array-like of Axes, default=None
            As for :meth:`plot`.
        im_kw, line_kw : dict, default=None
            Keywords of ``Axes.imshow`` or ``Axes.plot``.

        Returns
        -------
        display : ReconstructionDisplay
            The rows as drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If it cannot reconstruct, or if the rows are no images of such a shape.
        """
        final_estimator(estimator)  # raises where it is not fitted
        for method in ("transform", "inverse_transform"):
            require(estimator, method, cls.__name__)
        reconstructed = estimator.inverse_transform(estimator.transform(X))
        return cls(X=X, X_reconstructed=reconstructed, image_shape=image_shape).plot(
            ax, im_kw=im_kw, line_kw=line_kw
        )
