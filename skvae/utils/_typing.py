"""Types of the arguments that many public functions share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class DataFrame(Protocol):
    """A data frame of pandas or polars."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""


# What scikit-learn calls {array-like, sparse matrix}.
MatrixLike: TypeAlias = (
    ArrayLike | sp.spmatrix | sp.csr_array | sp.csc_array | sp.coo_array | DataFrame
)
CSR: TypeAlias = sp.csr_matrix | sp.csr_array
RandomState: TypeAlias = int | np.random.RandomState | None
# Ranked items, or with `return_scores` a tuple of items and scores.
Ranking: TypeAlias = Any
# What a display of several panels can be drawn on.
AxesLike: TypeAlias = "Axes | Sequence[Axes] | NDArray[np.object_] | None"

__all__ = [
    "CSR",
    "ArrayLike",
    "AxesLike",
    "DataFrame",
    "MatrixLike",
    "NDArray",
    "RandomState",
    "Ranking",
]
