"""Rows that a model has generated, as images."""

import numpy as np
from sklearn.utils import check_random_state

from skvae.inspection._fitted import final_estimator, require
from skvae.inspection._images import as_rows, check_image_shape, montage
from skvae.utils._plotting import make_panels, merge_style

RESPONSES = ("mean", "sample")


class GeneratedSamplesDisplay:
    """Rows as a grid of images: draws of a model, or whatever else it decodes.

    :meth:`from_estimator` draws from the prior. The constructor takes any rows, such
    as ``inverse_transform`` of a walk through the latent space. All parameters are
    kept as attributes.

    Parameters
    ----------
    samples : {array-like, sparse matrix} of shape (n_samples, n_features)
        A row for each image.

    image_shape : tuple of int, default=None
        (height, width) of an image, or (height, width, 3) in colours, which are cut at
        0 and 1. None takes squares.

    Attributes
    ----------
    image_ : matplotlib AxesImage
        The grid, as one image.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    ReconstructionDisplay : Rows beside what the model makes of them.

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

    def __init__(self, *, samples, image_shape=None):
        self.samples = samples
        self.image_shape = image_shape

    def plot(self, ax=None, *, n_columns=None, im_kw=None):
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.
        n_columns : int, default=None
            Images beside one another. None makes the grid about square.
        im_kw : dict, default=None
            Keywords of ``Axes.imshow``: ``vmin`` and ``vmax``, ``cmap``.

        Returns
        -------
        display : GeneratedSamplesDisplay
            The object itself.

        Raises
        ------
        ValueError
            If the rows are no images of such a shape, or `n_columns` is below 1.
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
        estimator,
        n_samples=25,
        *,
        image_shape=None,
        response="mean",
        random_state=None,
        ax=None,
        n_columns=None,
        im_kw=None,
    ):
        """Draw from the prior of a fitted VAE.

        Parameters
        ----------
        estimator : object
            Fitted, with ``sample`` and ``inverse_transform``, such as
            :class:`~skvae.VAETransformer`; or a search for one, of which the best
            draws. Not a pipeline, for its steps before the last one would have to be
            undone.
        n_samples : int, default=25
            Number of images.
        image_shape : tuple of int, default=None
            As for the class.
        response : {"mean", "sample"}, default="mean"
            "mean" decodes codes drawn from the prior to the mean of p(x given z),
            "sample" has the noise of the likelihood on top.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.
        n_columns : int, default=None
            As for :meth:`plot`.
        im_kw : dict, default=None
            Keywords of ``Axes.imshow``.

        Returns
        -------
        display : GeneratedSamplesDisplay
            The samples as drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If it cannot draw, or its rows are no images of such a shape.
        """
        if response not in RESPONSES:
            raise ValueError(
                f"response={response!r} is not known; pass one of {list(RESPONSES)}."
            )
        fitted = final_estimator(estimator)
        if hasattr(getattr(estimator, "best_estimator_", estimator), "steps"):
            raise ValueError(
                f"{cls.__name__} takes no pipeline: what its last step draws is not in "
                "the units of X. Undo the steps before, and pass the rows as "
                f"{cls.__name__}(samples=rows)."
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
