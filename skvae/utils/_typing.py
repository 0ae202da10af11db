"""Types of the arguments that many public functions share."""

from typing import Any, Protocol, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray


class DataFrame(Protocol):
    """A data frame of pandas or polars."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""


# What scikit-learn calls {array-like, sparse matrix}.
MatrixLike: TypeAlias = ArrayLike | sp.spmatrix | sp.sparray | DataFrame
CSR: TypeAlias = sp.csr_matrix | sp.csr_array
RandomState: TypeAlias = int | np.random.RandomState | None
# Ranked items, or with `return_scores` a tuple of items and scores.
Ranking: TypeAlias = Any

__all__ = [
    "CSR",
    "ArrayLike",
    "DataFrame",
    "MatrixLike",
    "NDArray",
    "RandomState",
    "Ranking",
]
