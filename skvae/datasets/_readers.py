"""Read columns of a table from a file, a data frame, a mapping or a tuple."""

import codecs
import csv
import io
import re
import zipfile
from collections.abc import Mapping
from contextlib import contextmanager
from numbers import Integral
from os import PathLike
from pathlib import Path, PurePosixPath

import numpy as np

# Rows parsed at a time. It limits the memory for columns that were not requested.
CHUNK_ROWS = 2_000_000

ID_ROLES = {"user", "item"}

# How files start that are not text.
PACKED = {
    b"\x1f\x8b": "compressed by gzip",
    b"BZh91AY&SY": "compressed by bzip2",
    b"\xfd7zXZ\0": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"PK\x03\x04": "a zip archive",
}


def read_columns(
    source,
    roles,
    *,
    sep=",",
    member=None,
    encoding="utf-8",
    decimal=".",
    text_roles=(),
):
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
    encoding : str, default="utf-8"
        Encoding of a file.
    decimal : str, default="."
        Decimal mark of the numbers of a file.
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
        columns = _read_file(path, roles, member, text_roles, sep, encoding, decimal)
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


def _read_file(path, roles, member, text_roles, sep, encoding, decimal):
    """Read the columns of a file; the ids as numbers if that keeps them distinct."""
    with open_table(path, roles, member, sep, encoding, decimal) as parse:
        texts, chunks = {role for role in text_roles if role in roles}, []
        is_padded = parse(texts, chunks.append)
        unclear = {
            role
            for role in ID_ROLES & roles.keys() - texts
            if not are_clear([chunk[role] for chunk in chunks], is_padded)
        }
        if unclear:
            chunks.clear()
            parse(texts | unclear, chunks.append)
    columns = {
        role: np.concatenate([chunk[role] for chunk in chunks]) for role in roles
    }
    return columns | {role: distinct_numbers(columns[role]) for role in unclear}


@contextmanager
def open_table(path, roles, member, sep, encoding, decimal):
    """Open the table in a file, to parse its columns chunk by chunk.

    Parameters
    ----------
    path : Path
        An existing file.
    roles, member, sep, encoding, decimal
        As for `read_columns`.

    Yields
    ------
    parse : callable
        Takes the roles to read as text, and a function that is called with each chunk,
        a dict of the column of each role. It returns whether a field may have started
        with a sign or zeros that a number would lose. The lines are checked.
    """
    import pandas as pd

    _check_layout(sep, encoding, decimal)
    positional = [isinstance(name, Integral) for name in roles.values()]
    if any(positional) and not all(positional):
        raise ValueError(
            f"The columns {roles} mix names and positions; pass names for a file with "
            "a header line, positions for a file without one."
        )
    with _readable(path, member, encoding) as open_binary:
        _check_content(path, open_binary)

        @contextmanager
        def open_text():
            with open_binary() as binary:
                yield _Table(binary, encoding, sep, has_header=not all(positional))

        with open_text() as table:
            _check_nul(path, table)
            positions = _find_columns(path, roles, table, sep)
            n_columns = len(table.first)

        def parse(text_roles, take):
            dtypes = dict.fromkeys(text_roles, object)
            with open_text() as table:
                n_rows, is_ragged = 0, False
                try:
                    for chunk, extra in _parse(table, positions, dtypes, sep, decimal):
                        n_rows += len(extra)
                        is_ragged |= bool(extra.any())
                        take(chunk)
                except pd.errors.ParserError:  # such as a quotation that never ends
                    with open_binary() as binary:
                        _check_lines(path, binary, encoding, sep, n_columns)
                    raise
                _check_nul(path, table)
                if is_ragged or (table.has_quote and table.n_lines > n_rows):
                    with open_binary() as binary:
                        _check_lines(path, binary, encoding, sep, n_columns)
                return table.has_padded_numbers

        yield parse


def _check_layout(sep, encoding, decimal):
    if len(sep) != 1:
        raise ValueError(
            f"sep={sep!r} has {len(sep)} characters; pass a single one. For '::' pass "
            "sep=':' and every second position, such as user=0, item=2."
        )
    if not sep.isascii() or sep in '\r\n"\0':
        raise ValueError(
            f"sep={sep!r} cannot separate the fields of a line; pass an ASCII "
            "character that is not a line break or a quotation mark, such as ',' or "
            "'\\t'."
        )
    if decimal == sep:
        raise ValueError(
            f"decimal={decimal!r} is the separator as well; pass the separator of the "
            "fields as sep=..., such as sep=';'."
        )
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    except (LookupError, ValueError):
        raise ValueError(
            f"encoding={encoding!r} is not an encoding of text that Python knows; pass "
            "for example 'utf-8', 'latin-1', 'cp1252' or 'utf-16'."
        ) from None


class _Table(io.TextIOWrapper):
    """The text of a delimited file, which is checked while pandas reads it.

    Parameters
    ----------
    binary : binary file
        The uncompressed file.
    encoding, sep : str
        Its encoding and its separator.
    has_header : bool
        Whether the first line holds the names of the columns.

    Attributes
    ----------
    first : list of str
        The fields of the first line.
    n_lines : int
        Number of lines read so far, without the header.
    has_quote, has_nul : bool
        Whether the character has occurred.
    has_padded_numbers : bool
        Whether a field may have started with a sign or zeros that a number would lose,
        as in 007.

    Notes
    -----
    pandas reads a header with the positions 0, 1, ... instead of the names, with one
    more column than the table has: a value in it shows that a row has too many fields.
    """

    def __init__(self, binary, encoding, sep, *, has_header):
        if codecs.lookup(encoding).name == "utf-8":
            encoding = "utf-8-sig"  # skips the mark at the start, if there is one
        super().__init__(binary, encoding=encoding, newline="")
        lines = []
        rows = csv.reader((lines.append(line) or line for line in self), delimiter=sep)
        self.first = next(filter(None, rows), None)
        if self.first is None:
            raise EOFError("it has no lines")
        self.is_headerless = not has_header
        self._header = sep.join(f'"{i}"' for i in range(len(self.first) + 1)) + "\n"
        self._first_lines = "" if has_header else "".join(lines)
        self._sep = ord(sep)
        self._starts = np.zeros(256, dtype=bool)
        self._starts[list(b'\n\r"' + sep.encode())] = True
        self._tail = "\n\n"
        self._n_breaks = np.zeros(2, dtype=np.int64)
        self.has_nul = any("\0" in line for line in lines)
        self.has_quote = self.has_padded_numbers = False

    @property
    def n_lines(self):
        return int(self._n_breaks.max()) + (self._tail[-1:] not in "\r\n")

    def read(self, size=-1, /):
        if self._header:
            header, text = self._header, self._first_lines
            self._header = ""
        else:
            header, text = "", super().read(size)
        if text:
            self._n_breaks += text.count("\n"), "\r" in text and text.count("\r")
            self.has_quote = self.has_quote or '"' in text
            self.has_nul = self.has_nul or "\0" in text
            text_and_before = self._tail + text
            if not self.has_padded_numbers:
                self.has_padded_numbers = self._find_padded_number(text_and_before)
            self._tail = text_and_before[-3:]
        return header + text

    def _find_padded_number(self, text):
        """Whether a field starts with 0 or + before a digit, or with - and such a 0."""
        codes = np.frombuffer(text.encode("ascii", "replace"), dtype=np.uint8)
        # Unsigned, so that lower codes wrap around. Most of a text ends here.
        is_digit = codes - ord("0") < 10
        before = codes[1:-2]
        possible = (codes[2:-1] == ord("0")) & is_digit[3:]
        possible &= ((before < ord("0")) & (before != ord("."))) | (before == self._sep)
        if "+" in text:
            possible |= (codes[2:-1] == ord("+")) & is_digit[3:]
        at = np.flatnonzero(possible) + 2
        before, further = codes[at - 1], codes[at - 2]
        shifted = np.isin(before, np.frombuffer(b"+- \t", dtype=np.uint8))
        return bool((self._starts[before] | shifted & self._starts[further]).any())


def _check_nul(path, table):
    if table.has_nul:
        raise ValueError(
            f"{path} could not be read as a table of text: it contains NUL characters. "
            "If its encoding is UTF-16, pass encoding='utf-16'; otherwise remove them."
        )


def _find_columns(path, roles, table, sep):
    """Return the position of each role; raise a ValueError if a column is missing."""
    names = list(range(len(table.first))) if table.is_headerless else table.first
    if len(names) == 1 and len(set(roles.values())) > 1:
        raise ValueError(
            f"Only one column was found in {path} with sep={sep!r}, starting with "
            f"{table.first[0]!r}; pass the separator of the file, such as sep='\\t' or "
            "sep=';'."
        )
    for role, name in roles.items():
        if name not in names:
            raise ValueError(
                _missing_column(role, name, path, names)
                + " For a file without a header line pass positions (0, 1, ...)."
            )
    return {role: names.index(name) for role, name in roles.items()}


def _parse(table, positions, dtypes, sep, decimal):
    """Yield chunks of the table: arrays by role, and which rows have extra fields."""
    import pandas as pd

    extra = str(len(table.first))
    frames = pd.read_csv(
        table,
        sep=sep,
        decimal=decimal,
        usecols=[*map(str, set(positions.values())), extra],
        dtype={str(positions[role]): dtype for role, dtype in dtypes.items()}
        | {extra: object},
        index_col=False,
        chunksize=CHUNK_ROWS,
        low_memory=False,
    )
    for frame in frames:
        columns = {
            role: np.asarray(frame[str(position)])
            for role, position in positions.items()
        }
        yield columns, pd.notna(frame[extra])


def are_clear(chunks, is_padded):
    """Whether the types of the chunks show that pandas kept all ids distinct."""
    firsts = [value for chunk in chunks for value in chunk[:1].tolist()]
    if all(isinstance(value, str) for value in firsts):
        return True
    return not is_padded and all(chunk.dtype == np.int64 for chunk in chunks)


def distinct_numbers(texts):
    """Convert text to numbers if each distinct text is a distinct number.

    Otherwise return it as it is: leading zeros and plus signs, and numbers that neither
    64 bits nor a float hold exactly, stay text.
    """
    import pandas as pd

    codes, distinct = pd.factorize(texts)
    stripped = list(map(str.strip, distinct.tolist()))
    if (codes < 0).any() or any(
        map(re.compile(r"\+|-?0[0-9]|-0$|.*_").match, stripped)
    ):
        return texts
    if all(map(re.compile("-?[0-9]+").fullmatch, stripped)):
        integers = list(map(int, stripped))
        for dtype in (np.int64, np.uint64):
            bounds = np.iinfo(dtype)
            if all(bounds.min <= end <= bounds.max for end in _ends(integers)):
                return np.array(integers, dtype=dtype)[codes]
        return texts
    try:
        floats = np.array(list(map(float, stripped)))
    except ValueError:
        return texts
    n_distinct = len(set(floats.tolist()))
    if (np.abs(floats) < 2.0**53).all() and n_distinct == len(set(stripped)):
        return floats[codes]
    return texts


def _ends(values):
    return (min(values), max(values)) if values else ()


def _check_lines(path, binary, encoding, sep, n_columns):
    """Raise a ValueError that names the first line that cannot be split into fields.

    This takes long, so it is called only if something is wrong with the file as a
    whole. A quotation that contains line breaks is accepted if it ends as it must,
    before a separator or at the end of a line.
    """
    reader = csv.reader(
        io.TextIOWrapper(binary, encoding=encoding, newline=""),
        delimiter=sep,
        strict=True,
    )
    line = 1
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if reader.line_num > line or "end of data" in str(error):
                raise ValueError(
                    f"{path} could not be read as a table of text: a field of line "
                    f'{line} starts with a quotation mark (") that is not closed '
                    "properly, so that the lines after it would become part of the "
                    'field. Remove the mark or double it, as in """Heroes"" (live)".'
                ) from None
            fields = []
        if any(fields[n_columns:]):
            raise ValueError(
                f"{path} could not be read as a table of text: line {line} has "
                f"{len(fields)} fields, but the first line has {n_columns}. A value "
                f"that contains the separator {sep!r} must be enclosed in quotation "
                'marks ("); correct that line.'
            )
        line = reader.line_num + 1


def _missing_column(role, name, where, names):
    return (
        f"{role}={name!r} is not a column of {where}; its columns are {names}. "
        f"Pass the name of the column that holds the {role}."
    )


@contextmanager
def _readable(path, member, encoding):
    """Yield a function that opens the table; raise a ValueError if it is damaged.

    The function returns a binary file of the uncompressed table.
    """
    import bz2
    import gzip
    import lzma
    import zlib

    import pandas as pd

    garbled = (
        EOFError,
        RuntimeError,  # an encrypted archive
        csv.Error,
        gzip.BadGzipFile,
        lzma.LZMAError,
        pd.errors.EmptyDataError,
        pd.errors.ParserError,
        zipfile.BadZipFile,
        zlib.error,
    )
    suffix = path.suffix.lower()
    if member is not None and suffix != ".zip":
        raise ValueError(
            f"member={member!r} was given, but {path} is not a .zip archive; leave "
            "member=None."
        )
    try:
        if suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                name = find_member(archive, member)
                yield lambda: archive.open(name)
        else:
            openers = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
            yield lambda: openers.get(suffix, open)(path, "rb")
    except UnicodeError as error:
        raise ValueError(
            f"{path} could not be read as a table of text in {encoding} ({error}); "
            "pass its encoding, such as encoding='latin-1', 'cp1252' or 'utf-16'."
        ) from error
    except (OSError, *garbled) as error:
        # For damaged data, bz2 raises an OSError without errno.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(
            f"{path} could not be read as a table of text ({error}). Check that the "
            "file is complete, not encrypted, and compressed as the end of its name "
            "says; or unpack it and pass the unpacked file."
        ) from error


def _check_content(path, open_binary):
    """Raise a ValueError if the file is empty, an archive or compressed once more."""
    with open_binary() as file:
        start = file.read(512)
    if not start:
        raise ValueError(
            f"{path} could not be read as a table of text: it is empty; pass a file "
            "with a line for each interaction."
        )
    kinds = [kind for mark, kind in PACKED.items() if start.startswith(mark)]
    if start[257:262] == b"ustar":
        kinds = ["a tar archive"]
    if kinds:
        raise ValueError(
            f"{path} could not be read as a table of text: its content is {kinds[0]}. "
            "Unpack it and pass the unpacked file; or, if its name lacks the ending "
            "(.gz, .bz2, .xz or .zip), rename it."
        )


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
