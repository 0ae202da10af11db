"""Recipes of hostile input that users may pass by mistake or on purpose.

Tests draw a recipe, not the object, so that a failing example prints what to build.
"""

import tempfile
from dataclasses import dataclass

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
import torch
from hypothesis import strategies as st

# Values of a matrix, as a function of a generator and a shape.
VALUES = {
    "binary": lambda rng, shape: rng.integers(0, 2, shape),
    "counts": lambda rng, shape: rng.poisson(1.0, shape),
    "shares": lambda rng, shape: rng.random(shape),
    "normal": lambda rng, shape: rng.normal(size=shape),
    "ones": lambda rng, shape: np.ones(shape),
    "zeros": lambda rng, shape: np.zeros(shape),
    "minus zero": lambda rng, shape: -np.zeros(shape),
    "negative": lambda rng, shape: -rng.poisson(1.0, shape) - 1,
    "1e10": lambda rng, shape: 1e10 * rng.integers(0, 3, shape),
    "1e30": lambda rng, shape: 1e30 * rng.integers(0, 3, shape),
    "1e38": lambda rng, shape: 1e38 * rng.integers(0, 4, shape),
    "-1e38": lambda rng, shape: 1e38 * rng.integers(-3, 4, shape),
    "past float32": lambda rng, shape: 3.5e38 * rng.integers(0, 2, shape),
    "1e300": lambda rng, shape: 1e300 * rng.integers(0, 2, shape),
    "denormal": lambda rng, shape: 1e-40 * rng.integers(0, 2, shape),
    "denormal float64": lambda rng, shape: 1e-310 * rng.integers(0, 2, shape),
    "1e-30": lambda rng, shape: 1e-30 * rng.random(shape),
    "far apart": lambda rng, shape: 10.0 ** rng.uniform(-45, 38, shape),
    "far from 0": lambda rng, shape: 1e8 + rng.random(shape),
    "nan": lambda rng, shape: np.where(rng.random(shape) < 0.3, np.nan, 1.0),
    "inf": lambda rng, shape: np.where(rng.random(shape) < 0.3, np.inf, 1.0),
    "-inf": lambda rng, shape: np.where(rng.random(shape) < 0.3, -np.inf, 0.0),
}
TAME = ("binary", "counts", "shares", "ones", "zeros")

NUMBERS = (
    *("float64", "float32", "int64", "bool", "int8", "int16", "int32"),
    *("uint8", "uint16", "uint32", "uint64", "longdouble", "complex128"),
)
DTYPES = (*NUMBERS, "float16", "object", "str", "bytes", "datetime64[s]")
SPARSE_FORMATS = ("csr", "csc", "coo", "lil", "dok", "dia", "bsr")


def _fortran(X):
    return np.asfortranarray(X)


def _backwards(X):
    return X[::-1, ::-1].copy()[::-1, ::-1]


def _every_other(X):
    wide = np.zeros((2 * X.shape[0], 2 * X.shape[1]), dtype=X.dtype)
    wide[::2, ::2] = X
    return wide[::2, ::2]


def _read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def _memmap(X):
    if X.size == 0 or X.dtype == object:
        return X
    with tempfile.TemporaryFile() as file:
        file.write(X.tobytes())
        file.flush()
        return np.memmap(file, dtype=X.dtype, mode="r", shape=X.shape)


def _swapped(X):
    return X.astype(X.dtype.newbyteorder())


def _masked(X):
    mask = np.zeros(X.shape, dtype=bool)
    mask[:1, :1] = True
    return np.ma.masked_array(X, mask)


def _pandas(X):
    return pd.DataFrame(X, columns=[f"item{i}" for i in range(X.shape[1])])


def _pandas_sparse(X):
    dtype = pd.SparseDtype(np.float64, 0.0)
    return pd.DataFrame(np.asarray(X, dtype=np.float64)).astype(dtype)


def _pandas_nullable(X):
    frame = pd.DataFrame(X).convert_dtypes()
    if frame.size:
        frame.iloc[0, 0] = pd.NA
    return frame


def _pandas_whole_nullable(X):
    return pd.DataFrame(X).convert_dtypes()


def _pandas_strings(X):
    return pd.DataFrame(X).astype("string")


def _pandas_named_twice(X):
    return pd.DataFrame(X, columns=["item"] * X.shape[1])


def _pandas_mixed_names(X):
    names = [i if i % 2 else f"item{i}" for i in range(X.shape[1])]
    return pd.DataFrame(X, columns=names)


def _polars(X):
    return pl.DataFrame(X, schema=[f"item{i}" for i in range(X.shape[1])])


def _torch(X):
    return torch.from_numpy(np.ascontiguousarray(X).copy())


def _torch_with_gradient(X):
    return _torch(X.astype(np.float64)).requires_grad_()


def _torch_sparse(X):
    return _torch(X.astype(np.float64)).to_sparse()


DENSE = {
    "ndarray": np.array,
    "Fortran order": _fortran,
    "negative strides": _backwards,
    "every other": _every_other,
    "read-only": _read_only,
    "memmap": _memmap,
    "swapped bytes": _swapped,
    "matrix": np.asmatrix,
    "masked": _masked,
    "list": np.ndarray.tolist,
    "tuples": lambda X: tuple(map(tuple, X.tolist())),
    "list of arrays": list,
    "pandas": _pandas,
    "pandas nullable": _pandas_whole_nullable,
    "pandas with NA": _pandas_nullable,
    "pandas strings": _pandas_strings,
    "pandas named twice": _pandas_named_twice,
    "pandas mixed names": _pandas_mixed_names,
}
# Containers that hold only numbers.
NUMERIC = {
    "pandas sparse": _pandas_sparse,
    "polars": _polars,
    "torch": _torch,
    "torch with gradient": _torch_with_gradient,
    "torch sparse": _torch_sparse,
}


def _unsorted(X):
    X = sp.csr_array(X)
    backwards = np.concatenate(
        [np.arange(stop - 1, start - 1, -1) for start, stop in _row_ends(X)] or [[]]
    ).astype(int)
    return sp.csr_array(
        (X.data[backwards], X.indices[backwards], X.indptr), shape=X.shape
    )


def _duplicated(X):
    X = sp.csr_array(X)
    twice = np.concatenate(
        [np.tile(np.arange(start, stop), 2) for start, stop in _row_ends(X)] or [[]]
    ).astype(int)
    return sp.csr_array((X.data[twice], X.indices[twice], 2 * X.indptr), shape=X.shape)


def _duplicated_coo(X):
    X = sp.coo_array(X)
    places = np.tile(X.row, 2), np.tile(X.col, 2)
    return sp.coo_array((np.tile(X.data, 2), places), shape=X.shape)


def _row_ends(X):
    return zip(X.indptr[:-1].tolist(), X.indptr[1:].tolist(), strict=True)


def _explicit_zeros(X):
    X = sp.csr_array(X)
    data = X.data.copy()
    data[::2] = 0
    return sp.csr_array((data, X.indices, X.indptr), shape=X.shape)


def _long_indices(X):
    X = sp.csr_matrix(X)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def _frozen(X):
    X = _duplicated(X)
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    return X


SPARSE = {
    **{
        f"{name}_{kind}": getattr(sp, f"{name}_{kind}")
        for name in SPARSE_FORMATS
        for kind in ("array", "matrix")
    },
    "csr unsorted": _unsorted,
    "csr duplicated": _duplicated,
    "coo duplicated": _duplicated_coo,
    "csr with zeros": _explicit_zeros,
    "csr with int64": _long_indices,
    "csr read-only": _frozen,
    "csc with int64": lambda X: _long_indices(X).tocsc(),
}


def _with_indices(change):
    """Make a container whose CSR has changed indices or ends of rows, if it has any."""

    def corrupt(X):
        X = sp.csr_array(X)
        if X.nnz:
            change(X)
        return X

    return corrupt


def _count_from_one(X):
    X.indices += 1


def _below_zero(X):
    X.indices[-1] = -1


def _far_away(X):
    X.indices[X.nnz // 2] = 2**31 - 1


def _end_late(X):
    X.indptr[-1] += 7


def _decrease(X):
    X.indptr[:-1] = X.indptr[-1]


def _start_late(X):
    X.indptr[0] = 1


def _corrupt_coo(X):
    X = sp.coo_array(X)
    if X.nnz:
        X.row[0] = X.shape[0]
    return X


def _corrupt_csc(X):
    X = sp.csc_matrix(X)
    X.indices -= 1
    return X


# Sparse matrices that scipy does not check; whether a matrix without entries is
# corrupt depends on the change.
CORRUPT = {
    "csr counted from 1": _with_indices(_count_from_one),
    "csr below 0": _with_indices(_below_zero),
    "csr far away": _with_indices(_far_away),
    "csr ends late": _with_indices(_end_late),
    "csr starts late": _with_indices(_start_late),
    "csr decreases": _with_indices(_decrease),
    "corrupt coo": _corrupt_coo,
    "corrupt csc": _corrupt_csc,
}
SPARSE |= CORRUPT
CONTAINERS = {**DENSE, **NUMERIC, **SPARSE}
NOT_TAME = {"pandas with NA", "torch sparse", *CORRUPT}
NOT_FOR_SPARSE = ("float16", "object", "str", "bytes", "datetime64[s]")
TORCH_LACKS = ("longdouble", *NOT_FOR_SPARSE)
POLARS_LACKS = ("complex128", *TORCH_LACKS)


@dataclass(frozen=True)
class Matrix:
    """Recipe of a matrix: its container, values, shape and dtype."""

    container: str
    values: str
    shape: tuple
    dtype: str = "float64"
    seed: int = 0

    def build(self):
        rng = np.random.default_rng(self.seed)
        with np.errstate(all="ignore"):
            X = np.asarray(VALUES[self.values](rng, self.shape), dtype=np.float64)
            X[rng.random(self.shape[0]) < 0.2] *= 0  # empty rows
            if self.dtype == "datetime64[s]":
                X = np.nan_to_num(X).astype(np.int64)
            elif self.dtype == "complex128":
                X = X + 1j * X
            return CONTAINERS[self.container](X.astype(self.dtype))

    def n_rows(self):
        return self.shape[0]


@dataclass(frozen=True)
class Oddity:
    """Recipe of an object that is not a matrix of numbers: its name in `ODDITIES`."""

    name: str

    def build(self):
        return ODDITIES[self.name]()

    def n_rows(self):
        return len(self.build())


ODDITIES = {
    "None": lambda: None,
    "number": lambda: 3.0,
    "text": lambda: "abc",
    "bytes": lambda: b"abc",
    "object": object,
    "class": lambda: np.ndarray,
    "empty list": list,
    "list of empty lists": lambda: [[], []],
    "dict": lambda: {"a": [1.0, 2.0]},
    "set": lambda: {1.0, 2.0},
    "generator": lambda: (row for row in [[1.0] * 5]),
    "0-D": lambda: np.array(1.0),
    "1-D": lambda: np.ones(5),
    "3-D": lambda: np.ones((2, 5, 1)),
    "list of numbers": lambda: [1.0, 2.0],
    "ragged": lambda: [[1.0, 2.0], [3.0]],
    "ragged object": lambda: np.array([[1.0, 2.0], [3.0]], dtype=object),
    "words": lambda: [["a", "b"], ["c", "d"]],
    "dicts inside": lambda: np.array([[{}, {}]] * 5, dtype=object).T,
    "None inside": lambda: [[None, 1.0, 1.0, 1.0, 1.0]],
    "structured": lambda: np.zeros(3, dtype=[("a", float), ("b", float)]),
    "series": lambda: pd.Series([1.0, 2.0]),
    "polars series": lambda: pl.Series([1.0, 2.0]),
    "lazy": lambda: pl.LazyFrame({"a": [1.0]}),
    "tensor 1-D": lambda: torch.ones(5),
    "tensor 3-D": lambda: torch.ones(2, 5, 1),
    "coo 1-D": lambda: sp.coo_array(np.ones(5)),
    "csr 1-D": lambda: sp.csr_array(np.ones(5)),
    "categorical frame": lambda: pd.DataFrame({"a": pd.Categorical(["x", "y"])}),
    "empty frame": pd.DataFrame,
    "huge integers": lambda: [[10**400, 1, 1, 1, 1]],
}


@st.composite
def matrices(draw, *, n_columns=(5, 5, 5, 4, 0, 1, 8), n_rows=(6, 4, 1, 2, 0, 8)):
    """Draw recipes of matrices of any container, dtype and values."""
    container = draw(st.sampled_from(sorted(CONTAINERS)))
    lacks = ()
    if container in SPARSE:
        lacks = NOT_FOR_SPARSE
    elif container in NUMERIC:
        lacks = POLARS_LACKS if container == "polars" else TORCH_LACKS
    dtypes = [name for name in DTYPES if name not in lacks]
    return Matrix(
        container,
        draw(st.sampled_from(list(VALUES))),
        (draw(st.sampled_from(n_rows)), draw(st.sampled_from(n_columns))),
        # At least half are float64, so that not every input is refused for its dtype.
        draw(st.one_of(st.just("float64"), st.sampled_from(dtypes))),
        draw(st.integers(0, 2**16)),
    )


oddities = st.sampled_from(sorted(ODDITIES)).map(Oddity)


def anything(**options):
    """Draw recipes of matrices, and in one case of eight of something else."""
    return one_in(8, oddities, matrices(**options))


def tame(shape, values=TAME):
    """Draw recipes of matrices that most functions accept, in any container."""
    return st.builds(
        Matrix,
        st.sampled_from(sorted(set(CONTAINERS) - NOT_TAME)),
        st.sampled_from(values),
        st.just(shape),
        st.just("float64"),
        st.integers(0, 2**16),
    )


def mostly(usual, values):
    """Draw from `usual` in three cases of four, else from `values`."""
    values = list(values)  # draw their indices, because not all can be compared
    rare = st.sampled_from(range(len(values))).map(values.__getitem__)
    return one_in(4, rare, st.sampled_from(usual))


def one_in(n, rare, usual):
    """Draw from `rare` in one case of n, else from `usual`."""
    # st.one_of would count a repeated strategy only once.
    return st.sampled_from(range(n)).flatmap(lambda i: rare if i == n - 1 else usual)


# Values at the edges of parameters, each valid for some of them.
WRONG_TYPES = (None, "abc", "", b"1", object(), [1], (), {}, {1}, 1j, np.ones(2))
INTEGERS = (1, 2, 0, -1, np.int8(1), np.int64(2), np.array(1), 1.0, 1.5, True)
FLOATS = (
    *(0, 0.0, 1, 1.0, 0.5, 0.999, 1e-30, -1e-9, -1, 1.5, np.float32(0.5)),
    *(np.float64(0.25), np.array(0.5), float("nan"), float("inf"), -float("inf")),
    *(np.nan, True, False, np.bool_(True)),
)
FLAGS = (True, False, np.bool_(True), 0, 1, "yes", None)


def random_states():
    """Make valid and invalid values for `random_state`."""
    return (
        *(0, 1, 2**32 - 1, 2**32, -1, 1.0, "0", True, np.int64(3), None, [0]),
        *(np.random.RandomState(0), np.random.default_rng(0), np.random, object()),
    )
