"""Plot of rows and their reconstructions."""

from typing import Any

import numpy as np

from skvae.inspection._fitted import final_estimator, require
from skvae.inspection._images import (
    as_rows,
    check_image_shape,
    image_centers,
    montage,
)
from skvae.utils._plotting import COLORS, LINE_STYLES, make_panels, merge_style
from skvae.utils._typing import ArrayLike, AxesLike, MatrixLike

NAMES = ("original", "reconstruction")


class ReconstructionDisplay:
    """Rows and their reconstructions, drawn as images or as lines.

    Create it with :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows.

    X_reconstructed : array-like of shape (n_samples, n_features)
        Reconstructions of the rows.

    image_shape : tuple of int, default=None
        (height, width) to draw each row as an image, or (height, width, 3) for colour
        images, whose values are clipped to the range from 0 to 1. None draws each row
        as a line over its features.

    Attributes
    ----------
    image_ : matplotlib AxesImage
        Originals above, reconstructions below. Only if rows are drawn as images.

    lines_ : list of tuple of two matplotlib Line2D
        Original and reconstruction of each row. Only if rows are drawn as lines.

    axes_ : ndarray of matplotlib Axes
        A single one for images, one per row for lines.

    ax_ : matplotlib Axes
        The first of ``axes_``.

    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    GeneratedSamplesDisplay : Plot rows that the model generates.

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

    def __init__(
        self,
        *,
        X: MatrixLike,
        X_reconstructed: ArrayLike,
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.X = X
        self.X_reconstructed = X_reconstructed
        self.image_shape = image_shape

    def plot(
        self,
        ax: AxesLike = None,
        *,
        im_kw: dict[str, Any] | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> "ReconstructionDisplay":
        """Draw the rows.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Axes to draw on: one for images; for lines, one per row, or a single one,
            which is divided. None creates a figure.
        im_kw : dict, default=None
            Keyword arguments for ``Axes.imshow``, used for images. By default the
            greys range from the smallest to the largest value of the originals.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``, used for both lines of a row.

        Returns
        -------
        display : ReconstructionDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the shapes of rows, reconstructions and images do not match.
        """
        X = as_rows("X", self.X)
        reconstructed = as_rows("X_reconstructed", self.X_reconstructed)
        if X.shape != reconstructed.shape:
            raise ValueError(
                f"X has shape {X.shape} but X_reconstructed has shape "
                f"{reconstructed.shape}; pass one reconstruction per row."
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
        cls,
        estimator: Any,
        X: MatrixLike,
        *,
        image_shape: tuple[int, ...] | None = None,
        ax: AxesLike = None,
        im_kw: dict[str, Any] | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> "ReconstructionDisplay":
        """Reconstruct rows by a fitted estimator and draw both.

        Parameters
        ----------
        estimator : object
            Fitted estimator with ``transform`` and ``inverse_transform``: a
            :class:`~skvae.VAETransformer`, a pipeline, or for comparison PCA.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows to draw. All of them are drawn, so pass only a few.
        image_shape : tuple of int, default=None
            As for the class.
        ax : matplotlib Axes or array-like of Axes, default=None
            As for :meth:`plot`.
        im_kw, line_kw : dict, default=None
            Keyword arguments for ``Axes.imshow`` or ``Axes.plot``.

        Returns
        -------
        display : ReconstructionDisplay
            The display, with the rows drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the estimator lacks one of the two methods, or if the rows do not have
            the length of such images.
        """
        final_estimator(estimator)  # raises if it is not fitted
        for method in ("transform", "inverse_transform"):
            require(estimator, method, cls.__name__)
        reconstructed = estimator.inverse_transform(estimator.transform(X))
        return cls(X=X, X_reconstructed=reconstructed, image_shape=image_shape).plot(
            ax, im_kw=im_kw, line_kw=line_kw
        )
