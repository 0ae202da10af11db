"""Read columns of a table from a file, a data frame, a mapping or a tuple."""

import zipfile
from collections.abc import Mapping
from contextlib import contextmanager
from numbers import Integral
from os import PathLike
from pathlib import Path, PurePosixPath

import numpy as np

# Rows parsed at a time. It limits the memory for columns that were not requested.
CHUNK_ROWS = 2_000_000


def read_columns(source, roles, *, sep=",", member=None, text_roles=()):
    """Read only the requested columns of a table.

    Parameters
    ----------
    source : str, path-like, DataFrame, mapping or tuple of arrays
        The table; see :func:`skvae.datasets.load_interactions`.
    roles : dict
        Maps the role of a column, such as "user", to its name or position in `source`.
    sep : str, default=","
        Field separator of a file.
    member : str, default=None
        File to read inside a zip archive.
    text_roles : collection of str, default=()
        Roles whose column is read from a file as text, without turning digits into
        numbers.

    Returns
    -------
    columns : dict
        Maps each role to a 1-D array or series. All have the same length.
    """
    if isinstance(source, (str, PathLike)):
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(
                f"source={str(path)!r} is not a file; pass the path of a CSV, .csv.gz "
                "or .zip file, a DataFrame, or arrays."
            )
        columns = _read_file(path, roles, sep, member, text_roles)
    else:
        columns = {
            role: _take_column(source, role, name) for role, name in roles.items()
        }
    lengths = {role: len(column) for role, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"The columns differ in length: {lengths}; each row of the source is one "
            "interaction, so pass arrays of the same length."
        )
    return columns


def _take_column(source, role, name):
    """Return one column of a DataFrame, a mapping or a tuple of arrays."""
    if hasattr(source, "collect"):
        raise TypeError(
            f"source is a lazy {type(source).__name__}; collect it into a pandas or "
            "polars DataFrame first."
        )
    if hasattr(source, "columns") or isinstance(source, Mapping):
        names = list(source.columns if hasattr(source, "columns") else source)
        if name not in names:
            raise ValueError(_missing_column(role, name, "source", names))
        column = source[name]
    elif isinstance(source, (tuple, list)):
        if not isinstance(name, Integral) or name >= len(source):
            raise ValueError(
                f"{role}={name!r}, but source is a tuple of {len(source)} arrays; pass "
                f"the position of the {role} array (0 to {len(source) - 1}), or name "
                "the arrays in a dict."
            )
        column = source[name]
    else:
        raise TypeError(
            f"source is a {type(source).__name__}; pass the path of a file, a pandas "
            "or polars DataFrame, a dict of arrays or a tuple of arrays."
        )
    if type(column).__module__.partition(".")[0] == "polars":
        import polars as pl

        try:
            column = column.to_numpy()
        except pl.exceptions.PolarsError:  # 128-bit numbers, which numpy lacks
            column = np.asarray(column.to_list(), dtype=object)
    elif not hasattr(column, "dtype"):
        # Keep the elements as they are: numpy would make a text of the 1 in [1, "a"],
        # a float in [1, 2**63], an integer of the True in [1, True].
        column = np.asarray(column, dtype=object)
    if len(np.shape(column)) != 1:
        raise ValueError(
            f"The {role} column {name!r} has shape {np.shape(column)}; pass one value "
            "per interaction, and give every column a unique name."
        )
    return column


def _read_file(path, roles, sep, member, text_roles):
    if len(sep) != 1:
        raise ValueError(
            f"sep={sep!r} has {len(sep)} characters; pass a single one. For '::' pass "
            "sep=':' and every second position, such as user=0, item=2."
        )
    if not sep.isascii() or sep in "\r\n":
        raise ValueError(
            f"sep={sep!r} cannot separate the fields of a line; pass an ASCII "
            "character that is not a line break, such as ',' or '\\t'."
        )
    positional = [isinstance(name, Integral) for name in roles.values()]
    if any(positional) and not all(positional):
        raise ValueError(
            f"The columns {roles} mix names and positions; pass names for a file with "
            "a header line, positions for a file without one."
        )
    options = {"sep": sep, "header": None if all(positional) else 0}
    with _readable(path, member) as open_file:
        _check_columns(path, roles, open_file, options)
        names = list(dict.fromkeys(roles.values()))
        as_text = {roles[role]: str for role in text_roles if role in roles}
        chunks = _parse(open_file, names, as_text, options)
        mixed = {
            name: str
            for name in names
            if len({chunk[name].dtype.kind in "OU" for chunk in chunks}) > 1
        }
        if mixed:  # numbers in one chunk, text in another: read the column as text
            chunks = _parse(open_file, names, as_text | mixed, options)
    return {
        role: np.concatenate([chunk[name] for chunk in chunks])
        for role, name in roles.items()
    }


def _parse(open_file, names, dtype, options):
    """Parse the columns `names` into a list of chunks, each a dict of arrays."""
    import pandas as pd

    with open_file() as file:
        frames = pd.read_csv(
            **file,
            **options,
            usecols=names,
            dtype=dtype,
            index_col=False,
            chunksize=CHUNK_ROWS,
            low_memory=False,
        )
        return [{name: np.asarray(frame[name]) for name in names} for frame in frames]


def _check_columns(path, roles, open_file, options):
    """Raise a ValueError that lists the columns of the file if one is missing."""
    import pandas as pd

    with open_file() as file:
        head = pd.read_csv(**file, **options, nrows=1, dtype=str, index_col=False)
    names = list(head.columns)
    if len(names) == 1 and len(set(roles.values())) > 1:
        seen = names[0] if options["header"] == 0 else head.iloc[0, 0]
        raise ValueError(
            f"Only one column was found in {path} with sep={options['sep']!r}, "
            f"starting with {seen!r}; pass the separator of the file, such as "
            "sep='\\t' or sep=';'."
        )
    for role, name in roles.items():
        if name not in names:
            raise ValueError(
                _missing_column(role, name, path, names)
                + " For a file without a header line pass positions (0, 1, ...)."
            )


def _missing_column(role, name, where, names):
    return (
        f"{role}={name!r} is not a column of {where}; its columns are {names}. "
        f"Pass the name of the column that holds the {role}."
    )


@contextmanager
def _readable(path, member):
    """Yield a function that opens the table; raise a ValueError if it is damaged.

    The function returns a context manager of keyword arguments for `pandas.read_csv`.
    """
    import gzip
    import lzma
    import tarfile
    import zlib

    import pandas as pd

    garbled = (
        EOFError,
        UnicodeDecodeError,
        gzip.BadGzipFile,
        lzma.LZMAError,
        pd.errors.EmptyDataError,
        pd.errors.ParserError,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
    )
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                name = find_member(archive, member)

                @contextmanager
                def open_file():
                    with archive.open(name) as file:
                        yield {"filepath_or_buffer": file}

                yield open_file
        else:
            if member is not None:
                raise ValueError(
                    f"member={member!r} was given, but {path} is not a .zip archive; "
                    "leave member=None."
                )

            @contextmanager
            def open_file():
                yield {"filepath_or_buffer": path}

            yield open_file
    except (OSError, *garbled) as error:
        # For damaged data, bz2 raises an OSError without errno.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(
            f"{path} could not be read as a table of text ({error}). Check that the "
            "file is complete, that it is compressed as the end of its name says, and "
            "that its encoding is UTF-8; or read it yourself and pass a DataFrame."
        ) from error


def find_member(archive, member=None):
    """Return the name of the file to read in a zip archive.

    Parameters
    ----------
    archive : zipfile.ZipFile
        The open archive.
    member : str, default=None
        Path in the archive, or the file name alone. None means the only CSV file, or
        the one called ratings.csv if there are several.

    Returns
    -------
    name : str
        Full name of the member.
    """
    names = [
        info.filename
        for info in archive.infolist()
        if not info.is_dir() and not info.filename.startswith("__MACOSX/")
    ]
    if member is None:
        found = [name for name in names if name.lower().endswith((".csv", ".tsv"))]
        if len(found) != 1:
            found = [
                name for name in found if PurePosixPath(name).name == "ratings.csv"
            ]
    else:
        found = [name for name in names if name == member] or [
            name for name in names if PurePosixPath(name).name == member
        ]
    if len(found) != 1:
        asked = "exactly one CSV file" if member is None else f"exactly one {member!r}"
        raise ValueError(
            f"{archive.filename} does not contain {asked}; its files are {names}. Pass "
            "the path of the file to read as member=..."
        )
    return found[0]
