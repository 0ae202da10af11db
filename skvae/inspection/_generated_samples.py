"""Plot of generated rows as images."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.utils import check_random_state

from skvae.inspection._fitted import final_estimator, require
from skvae.inspection._images import as_rows, check_image_shape, montage
from skvae.utils._plotting import make_panels, merge_style
from skvae.utils._typing import MatrixLike, RandomState

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESPONSES = ("mean", "sample")


class GeneratedSamplesDisplay:
    """Grid of generated rows, drawn as images.

    :meth:`from_estimator` generates rows from the prior. The constructor accepts any
    rows, such as the result of ``inverse_transform`` for a walk through the latent
    space. All parameters are stored as attributes.

    Parameters
    ----------
    samples : {array-like, sparse matrix} of shape (n_samples, n_features)
        One row per image.

    image_shape : tuple of int, default=None
        (height, width) of an image, or (height, width, 3) of a colour image, whose
        values are clipped to the range from 0 to 1. None means square images.

    Attributes
    ----------
    image_ : matplotlib AxesImage
        The grid, drawn as one image.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    ReconstructionDisplay : Plot rows and their reconstructions.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VAETransformer
    >>> from skvae.inspection import GeneratedSamplesDisplay
    >>> X = load_digits().data / 16
    >>> vae = VAETransformer(max_iter=5, random_state=0).fit(X)
    >>> display = GeneratedSamplesDisplay.from_estimator(vae, 12, random_state=0)
    >>> display.samples.shape
    (12, 64)
    >>> plt.show()
    """

    def __init__(
        self, *, samples: MatrixLike, image_shape: tuple[int, ...] | None = None
    ) -> None:
        self.samples = samples
        self.image_shape = image_shape

    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        n_columns: int | None = None,
        im_kw: dict[str, Any] | None = None,
    ) -> "GeneratedSamplesDisplay":
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure.
        n_columns : int, default=None
            Number of images in a row of the grid. None makes the grid about square.
        im_kw : dict, default=None
            Keyword arguments for ``Axes.imshow``, such as ``vmin`` or ``cmap``.

        Returns
        -------
        display : GeneratedSamplesDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the rows do not have the length of such images, or if `n_columns` is
            below 1.
        """
        rows = as_rows("samples", self.samples)
        shape = check_image_shape(self.image_shape, rows.shape[1])
        if n_columns is None:
            n_columns = int(np.ceil(np.sqrt(len(rows))))
        if n_columns < 1:
            raise ValueError(f"n_columns={n_columns}: pass an integer of at least 1.")
        n_columns = min(n_columns, len(rows))
        picture = montage(rows, shape, n_columns)
        aspect = picture.shape[0] / picture.shape[1]
        (self.ax_,) = make_panels(self, ax, aspect=aspect)
        from matplotlib.image import AxesImage

        self.figure_ = self.ax_.figure
        style = merge_style({"cmap": "gray_r"}, im_kw, AxesImage)
        self.image_ = self.ax_.imshow(picture, **style)
        self.ax_.set_axis_off()
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        n_samples: int = 25,
        *,
        image_shape: tuple[int, ...] | None = None,
        response: Literal["mean", "sample"] = "mean",
        random_state: RandomState = None,
        ax: "Axes | None" = None,
        n_columns: int | None = None,
        im_kw: dict[str, Any] | None = None,
    ) -> "GeneratedSamplesDisplay":
        """Generate rows from the prior of a fitted VAE and draw them as images.

        Parameters
        ----------
        estimator : object
            Fitted estimator with ``sample`` and ``inverse_transform``, such as
            :class:`~skvae.VAETransformer`; or a search, whose best estimator is used.
            Pipelines are not accepted, because the steps before the last one would have
            to be inverted.
        n_samples : int, default=25
            Number of images.
        image_shape : tuple of int, default=None
            As for the class.
        response : {"mean", "sample"}, default="mean"
            "mean" draws codes from the prior and decodes them to the mean of
            p(x given z); "sample" draws rows from p(x given z), with its noise.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.
        ax : matplotlib Axes, default=None
            Axes to draw on. None creates a figure.
        n_columns : int, default=None
            As for :meth:`plot`.
        im_kw : dict, default=None
            Keyword arguments for ``Axes.imshow``.

        Returns
        -------
        display : GeneratedSamplesDisplay
            The display, with the samples drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the estimator has no method ``sample``, or if its rows do not have the
            length of such images.
        """
        if response not in RESPONSES:
            raise ValueError(
                f"response={response!r} is not known; pass one of {list(RESPONSES)}."
            )
        fitted = final_estimator(estimator)
        if hasattr(getattr(estimator, "best_estimator_", estimator), "steps"):
            raise ValueError(
                f"{cls.__name__} does not accept a pipeline, because its last step "
                "generates rows that are not in the units of X. Invert the other steps "
                f"yourself and pass the rows as {cls.__name__}(samples=rows)."
            )
        require(fitted, "sample", cls.__name__)
        if response == "sample":
            samples = fitted.sample(n_samples, random_state=random_state)
        else:
            rng = check_random_state(random_state)
            n_components = len(fitted.get_feature_names_out())
            codes = rng.standard_normal((n_samples, n_components))
            samples = fitted.inverse_transform(codes)
        return cls(samples=samples, image_shape=image_shape).plot(
            ax, n_columns=n_columns, im_kw=im_kw
        )
