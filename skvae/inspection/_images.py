"""Helpers to draw rows as images, and many images as one."""

import math
from numbers import Integral

import numpy as np
from scipy.sparse import issparse

from skvae.utils._validation import check_sparse


def as_rows(name, values):
    """Convert rows to a dense array.

    Parameters
    ----------
    name : str
        Name of the argument in error messages.
    values : {array-like, sparse matrix}
        Rows.

    Returns
    -------
    rows : ndarray of shape (n_samples, n_features), float
        The same rows.

    Raises
    ------
    ValueError
        If they are not two-dimensional, if there are none, or if they are sparse with
        an index that is out of range.
    """
    values = check_sparse(values, name)
    rows = np.asarray(values.toarray() if issparse(values) else values, dtype=float)
    if rows.ndim != 2 or not len(rows):
        raise ValueError(
            f"{name} has shape {rows.shape}; pass one row per sample, at least one."
        )
    return rows


def check_image_shape(image_shape, n_features):
    """Check the shape of the images that rows represent.

    Parameters
    ----------
    image_shape : tuple of int or None
        Height and width, followed by 3 or 4 for colour images. None means square.
    n_features : int
        Length of a row.

    Returns
    -------
    image_shape : tuple of int
        (height, width) or (height, width, channels).

    Raises
    ------
    ValueError
        If a row and such an image differ in their number of values.
    """
    if image_shape is None:
        side = math.isqrt(n_features)
        if side * side != n_features:
            raise ValueError(
                f"Rows of {n_features} values are not square images; pass image_shape, "
                "(height, width) or (height, width, 3)."
            )
        return side, side
    shape = tuple(image_shape) if np.iterable(image_shape) else (image_shape,)
    whole = all(isinstance(width, Integral) and width > 0 for width in shape)
    if not whole or len(shape) not in (2, 3) or shape[2:] not in ((), (3,), (4,)):
        raise ValueError(
            f"image_shape={image_shape!r}: pass (height, width) or, for colours, "
            "(height, width, 3) or (height, width, 4)."
        )
    if math.prod(shape) != n_features:
        raise ValueError(
            f"image_shape={shape} has {math.prod(shape)} values but rows have "
            f"{n_features}; pass the shape that a row was made from."
        )
    return shape


def montage(rows, image_shape, n_columns):
    """Arrange images in a grid, with a margin of one pixel around each.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features)
        The images, arranged from left to right, then from top to bottom.
    image_shape : tuple of int
        As :func:`check_image_shape` returns it.
    n_columns : int
        Number of images in a row of the grid.

    Returns
    -------
    picture : ndarray of shape (height, width) or (height, width, channels)
        For ``Axes.imshow``. Margins and cells without an image are NaN, or white for
        colour images, whose values are clipped to the range from 0 to 1.
    """
    height, width, *channels = image_shape
    n_rows = -(-len(rows) // n_columns)
    cell = (height + 2, width + 2)
    cells = np.full((n_rows * n_columns, *cell, *channels), 1.0 if channels else np.nan)
    images = np.clip(rows, 0, 1) if channels else rows
    cells[: len(rows), 1:-1, 1:-1] = images.reshape(len(rows), *image_shape)
    grid = cells.reshape(n_rows, n_columns, *cell, *channels).swapaxes(1, 2)
    return grid.reshape(n_rows * cell[0], n_columns * cell[1], *channels)


def image_centers(n_images, length):
    """Compute the centers of the images of a montage along one side, in pixels.

    Parameters
    ----------
    n_images : int
        Number of images along the side.
    length : int
        Height or width of one image.

    Returns
    -------
    centers : ndarray of shape (n_images,)
        Positions for ticks.
    """
    return np.arange(n_images) * (length + 2) + (length + 1) / 2
