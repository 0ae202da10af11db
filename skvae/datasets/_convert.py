"""Convert tables of interactions, larger than memory, to rows of users on disk."""

import shutil
from collections.abc import Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from skvae.datasets._arrow import import_pyarrow
from skvae.datasets._encoding import (
    check_known_ids,
    check_timestamps,
    compact,
    encode_ids,
    is_text,
    plain_ids,
)
from skvae.datasets._interactions import check_combination, weights_of
from skvae.datasets._pairs import csr_from_sorted_pairs, merge_pairs
from skvae.datasets._readers import are_clear, distinct_numbers, open_table
from skvae.datasets._rows_on_disk import BLOCK_SIZE, RowsOnDisk, RowsWriter, cuts_of

# Interactions that are merged in memory at a time, and rows of a Parquet file that are
# read at a time.
PART_SIZE, BATCH_ROWS = 2**22, 2**20
# Distinct ids that are held before those of several chunks are merged.
PENDING_IDS = 2**22


@validate_params(
    {
        "source": "no_validation",
        "path": [str, PathLike],
        "user": [str, Interval(Integral, 0, None, closed="left")],
        "item": [str, Interval(Integral, 0, None, closed="left")],
        "rating": [str, Interval(Integral, 0, None, closed="left"), None],
        "timestamp": [str, Interval(Integral, 0, None, closed="left"), None],
        "values": [StrOptions({"binary", "rating", "count"})],
        "min_rating": [Interval(Real, None, None, closed="neither"), None],
        "min_user_items": [Interval(Integral, 1, None, closed="left")],
        "min_item_users": [Interval(Integral, 1, None, closed="left")],
        "item_ids": ["array-like", None],
        "form": [StrOptions({"parquet", "npy"})],
        "block_size": [Interval(Integral, 1, None, closed="left")],
        "sep": [str],
        "member": [str, None],
        "encoding": [str],
        "decimal": [StrOptions({".", ","})],
        "timestamp_format": [str, None],
    },
    prefer_skip_nested_validation=True,
)
def convert_interactions(
    source: str | PathLike[str] | Sequence[str | PathLike[str]],
    path: str | PathLike[str],
    *,
    user: str | int,
    item: str | int,
    rating: str | int | None = None,
    timestamp: str | int | None = None,
    values: Literal["binary", "rating", "count"] = "binary",
    min_rating: float | None = None,
    min_user_items: int = 1,
    min_item_users: int = 1,
    item_ids: ArrayLike | None = None,
    form: Literal["parquet", "npy"] = "parquet",
    block_size: int = BLOCK_SIZE,
    sep: str = ",",
    member: str | None = None,
    encoding: str = "utf-8",
    decimal: Literal[".", ","] = ".",
    timestamp_format: str | None = None,
) -> RowsOnDisk:
    r"""Convert tables of user-item interactions of any size to rows of users on disk.

    The rows are those of the matrix that :func:`load_interactions` makes of the same
    table, and are merged and filtered in the same way, but neither the table nor the
    matrix is ever in memory.

    Parameters
    ----------
    source : str, path-like or list of them
        Files with one row per interaction, which together are one table: delimited text
        as for :func:`load_interactions`, or Parquet files (``.parquet``), or folders of
        Parquet files.

    path : str or path-like
        The folder to write, which must not exist.

    user, item : str or int
        The columns of the user ids and of the item ids: names, or positions counted
        from 0 for files of text without a header line.

    rating : str or int, default=None
        The column of ratings, which must be positive if they become values.

    timestamp : str or int, default=None
        The column of the times of the interactions, by which ``values="rating"`` finds
        the latest one of a user with an item. Times are not written.

    values : {"binary", "rating", "count"}, default="binary"
        Values of the rows, and how several interactions of one user with one item
        are merged, as for :func:`load_interactions`.

    min_rating : float, default=None
        Keep only interactions with at least this rating.

    min_user_items, min_item_users : int, default=1
        Keep users with at least `min_user_items` distinct items, and items with at
        least `min_item_users` distinct users, repeated until both minima hold.

    item_ids : array-like of shape (n_items,), default=None
        The items of the columns, in this order, such as the `item_ids` of the data
        that a model was fitted on. Interactions with other items are dropped. All users
        keep a row, even if it is empty, unless `min_user_items` is above 1.

    form : {"parquet", "npy"}, default="parquet"
        Form of the files, as described for :class:`RowsOnDisk`. "parquet" needs
        pyarrow, is smaller, and is read by other programs; "npy" needs nothing and
        reads a few rows at random places faster.

    block_size : int, default=2**20
        Number of interactions of a block, at most: those in memory at a time. Only for
        the form "parquet".

    sep : str, default=","
        The separator of a file of text, one character.

    member : str, default=None
        The file to read in a ``.zip`` archive.

    encoding : str, default="utf-8"
        The encoding of a file of text.

    decimal : {".", ","}, default="."
        The decimal mark of the ratings and timestamps of a file of text.

    timestamp_format : str, default=None
        The form of timestamps that are text, as for :func:`load_interactions`.

    Returns
    -------
    rows : RowsOnDisk
        The rows, with `user_ids` and `item_ids`.

    Raises
    ------
    FileExistsError
        If `path` exists.
    FileNotFoundError
        If a file of `source` does not exist.
    ValueError
        If a file cannot be read, a column is missing, or ids, ratings or timestamps
        cannot be used, as for :func:`load_interactions`; or if no interactions are
        left.

    See Also
    --------
    load_interactions : Load a table that fits in memory.

    Notes
    -----
    The files are read twice: first for the ids and their numbers of interactions, then
    for the interactions, which are written to temporary parts with all interactions of
    some users each. The parts are merged one by one, and a pass over them finds users
    and items below a minimum. A third reading comes first if ids turn out to be text
    that was taken for numbers. Memory is needed for the distinct ids and for one part
    of 4 million interactions; on disk, the folder needs up to 24 bytes for each
    interaction until it is complete.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skvae.datasets import convert_interactions
    >>> folder = Path(tempfile.mkdtemp())
    >>> table = "who,what\neva,tea\nkim,tea\neva,jam\nkim,tea\n"
    >>> _ = (folder / "table.csv").write_text(table)
    >>> rows = convert_interactions(
    ...     folder / "table.csv", folder / "rows", user="who", item="what", form="npy"
    ... )
    >>> rows[:].toarray()
    array([[1., 1.],
           [0., 1.]], dtype=float32)
    >>> rows.user_ids.tolist(), rows.item_ids.tolist()
    (['eva', 'kim'], ['jam', 'tea'])
    """
    known = None if item_ids is None else check_known_ids(item_ids, "item")
    minima = {"user": int(min_user_items), "item": int(min_item_users)}
    check_combination(values, rating, min_rating, {"user": None, "item": known}, minima)
    if timestamp is not None and values != "rating":
        raise ValueError(
            f"timestamp={timestamp!r} finds the latest rating, but values={values!r} "
            "does not depend on time; pass timestamp=None."
        )
    if form == "parquet":
        import_pyarrow()  # before the work
    roles = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    roles = {
        role: name if isinstance(name, str) else int(name)
        for role, name in roles.items()
        if name is not None
    }
    if values == "binary" and min_rating is None:
        roles.pop("rating", None)  # not used
    tables = _Tables(source, (member, sep, encoding, decimal))
    with _unfinished(Path(path)) as folder:
        users, items = _find_ids(tables, roles, known)
        parts = _Parts(folder / "parts", users, len(items.ids), values)

        def take(chunk):
            liked_weights = weights_of(
                chunk.get("rating"), values, min_rating, len(chunk["user"])
            )
            times = None
            if timestamp is not None:
                times = check_timestamps(chunk["timestamp"], timestamp_format)
            codes = users.encode(chunk["user"]), items.encode(chunk["item"])
            parts.add(*codes, *liked_weights, times)

        texts = {ids.role for ids in (users, items) if ids.as_text}
        if timestamp_format is not None:
            texts.add("timestamp")
        tables.read(roles, texts, take)
        parts.merge()
        user_kept, item_kept, lengths = parts.core(minima["user"], minima["item"])
        if not lengths.any() and known is None:
            raise ValueError(
                f"No interactions are left of {tables.n_rows} rows; lower min_rating, "
                "min_user_items or min_item_users."
            )
        if known is not None:
            item_kept[:] = True
            if minima["user"] == 1:
                user_kept[:] = True
        writer = RowsWriter(
            folder,
            form,
            users.ids[user_kept],
            items.ids[item_kept],
            lengths[user_kept],
            weighted=values != "binary",
        )
        try:
            for rows in parts.rows(user_kept, item_kept):
                writer.write(rows, int(block_size))
        finally:
            writer.close()
        shutil.rmtree(folder / "parts")
    return RowsOnDisk(path)


@contextmanager
def _unfinished(path):
    """Yield a folder, which is renamed if the block succeeds and removed otherwise."""
    if path.exists():
        raise FileExistsError(
            f"{path} exists already; pass another path, or remove it."
        )
    folder = path.with_name(path.name + ".unfinished")
    if folder.exists():
        raise FileExistsError(
            f"{folder} exists: another process converts to {path}, or did so and was "
            "killed; remove the folder if none is running."
        )
    folder.mkdir(parents=True)
    try:
        yield folder
        folder.rename(path)
    except BaseException:
        shutil.rmtree(folder)
        raise


class _Tables:
    """Files that together are one table, read chunk by chunk."""

    def __init__(self, source, options):
        single = isinstance(source, (str, PathLike))
        self.files, self.options, self.n_rows = [], options, 0
        for path in map(Path, [source] if single else source):
            found = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
            if not found or not found[0].is_file():
                raise FileNotFoundError(
                    f"source={str(path)!r} is neither a file nor a folder of Parquet "
                    "files; pass paths of CSV, .csv.gz, .zip or .parquet files."
                )
            self.files += found
        self.are_text = self.files[0].suffix != ".parquet"
        if any((path.suffix != ".parquet") != self.are_text for path in self.files):
            raise ValueError(
                "source has files of text and Parquet files; pass files of one kind."
            )

    def read(self, roles, text_roles, take):
        """Call `take` with each chunk; whether numbers may have lost signs or zeros."""
        self.n_rows, is_padded = 0, False

        def counted(chunk):
            try:
                take(chunk)
            except ValueError as error:
                if self.n_rows == 0:
                    raise
                raise ValueError(
                    f"{error} (Rows are counted here from row {self.n_rows:,} on.)"
                ) from error
            self.n_rows += len(next(iter(chunk.values())))

        for path in self.files:
            if path.suffix == ".parquet":
                _read_parquet(path, roles, counted)
                continue
            with open_table(path, roles, *self.options) as parse:
                is_padded |= parse(text_roles & roles.keys(), counted)
        return is_padded


def _read_parquet(path, roles, take):
    """Call `take` with chunks of the columns of a Parquet file."""
    with import_pyarrow().parquet.ParquetFile(path) as file:
        names = file.schema_arrow.names
        for role, name in roles.items():
            if name not in names:
                raise ValueError(
                    f"{role}={name!r} is not a column of {path}; its columns are "
                    f"{names}."
                )
        for batch in file.iter_batches(BATCH_ROWS, columns=sorted(set(roles.values()))):
            take(
                {
                    role: batch.column(name).to_pandas().to_numpy()
                    for role, name in roles.items()
                }
            )


def _find_ids(tables, roles, known):
    """Read the ids of users and items, and number them: two `_Ids`."""
    roles = {role: roles[role] for role in ("user", "item")}
    counted = {role: _Ids(role) for role in roles}
    if known is not None:
        counted["item"] = _KnownIds(known)
    texts = {role for role, ids in counted.items() if ids.as_text}

    def take(chunk):
        for role, column in chunk.items():
            counted[role].add(column)

    is_padded = tables.read(roles, texts, take)
    if tables.are_text:
        unclear = {r for r, ids in counted.items() if not ids.are_clear(is_padded)}
        counted |= {role: _Ids(role, as_text=True) for role in unclear}
        if unclear:
            tables.read({role: roles[role] for role in unclear}, unclear, take)
    if tables.n_rows == 0:
        raise ValueError("The source has no rows; pass at least one interaction.")
    for ids in counted.values():
        ids.sort()
    return counted["user"], counted["item"]


class _Ids:
    """Distinct ids of a column, with the number of rows of each.

    Attributes
    ----------
    ids : ndarray of shape (n_ids,)
        The ids, sorted.
    counts : ndarray of shape (n_ids,), int64
        Number of rows of each.
    """

    def __init__(self, role, as_text=False):
        self.role, self.as_text = role, as_text
        self._firsts, self._keys, self._counts, self._n_merged = [], [], [], 0

    def add(self, column):
        """Count the ids of a chunk."""
        import pandas as pd

        values = plain_ids(column, self.role)
        self._firsts.append(values[:1].copy())
        codes, distinct = pd.factorize(values)
        self._keys.append(np.asarray(distinct))
        self._counts.append(np.bincount(codes))
        if sum(map(len, self._keys)) > 2 * self._n_merged + PENDING_IDS:
            self._merge()

    def _merge(self):
        import pandas as pd

        keys = np.concatenate(self._keys or [np.zeros(0, dtype=object)])
        codes, distinct = pd.factorize(keys)
        counts = np.concatenate(self._counts or [np.zeros(0, dtype=np.int64)])
        counts = np.bincount(codes, weights=counts).astype(np.int64)
        self._keys, self._counts = [np.asarray(distinct)], [counts]
        self._n_merged = len(distinct)

    def are_clear(self, is_padded):
        """Whether no distinct ids of a file of text became the same number."""
        return are_clear(self._firsts, is_padded)

    def sort(self):
        """Number the ids in sorted order."""
        import pandas as pd

        types = sorted({str(first.dtype) for first in self._firsts})
        if len(types) > 1:
            raise ValueError(
                f"The ids of {self.role} are of the types {types} in different files; "
                "convert them to one type."
            )
        self._merge()
        (keys,), (counts,) = self._keys, self._counts
        self._index = pd.Index(keys, dtype=keys.dtype)
        ids = distinct_numbers(keys) if self.as_text else keys
        order = np.argsort(ids, kind="stable")
        self.ids, self.counts = compact(ids[order]), counts[order]
        self._rank = np.empty(len(order), dtype=np.int64)
        self._rank[order] = np.arange(len(order))

    def encode(self, column):
        """Positions in `ids` of the ids of a chunk, int64."""
        values = plain_ids(column, self.role)
        return self._rank[self._index.get_indexer(values)]


class _KnownIds:
    """Ids that the caller gives."""

    role = "item"

    def __init__(self, ids):
        self.ids, self.as_text = ids, is_text(ids)

    def add(self, column):
        """Nothing is counted."""

    def are_clear(self, is_padded):
        """Ids are read as those that are known."""
        return True

    def sort(self):
        """Leave the ids in the order of the caller."""

    def encode(self, column):
        """Positions in `ids` of the ids of a chunk, int64; -1 for unknown ones."""
        return encode_ids(column, self.role, self.ids)[0]


class _Parts:
    """Interactions in temporary files, each with all interactions of some users.

    A pair of a user and an item is the number ``user * n_items + item``.

    Parameters
    ----------
    folder : Path
        A folder to make.
    users : _Ids
        The users, with the number of rows of each.
    n_items : int
        Number of items.
    values : {"binary", "rating", "count"}
        How to merge interactions of one pair.
    """

    def __init__(self, folder, users, n_items, values):
        folder.mkdir()
        self.folder, self.values = folder, values
        self.shape = len(users.ids), n_items
        self.cuts = np.array(cuts_of(np.append(0, np.cumsum(users.counts)), PART_SIZE))
        self.fields = [("pair", np.int64)]
        if values != "binary":
            self.fields.append(("weight", np.float64))
        self.is_moment = None

    def _file(self, number, kind):
        return self.folder / f"{number}.{kind}"

    def add(self, users, items, weights, liked, times):
        """Append the interactions of a chunk to the parts of their users."""
        kept = np.flatnonzero(liked & (items >= 0))
        if times is not None and ("whole", np.int64) not in self.fields:
            self.fields += [("whole", np.int64), ("fraction", np.float64)]
        records = np.empty(len(kept), dtype=self.fields)
        records["pair"] = users[kept] * self.shape[1] + items[kept]
        if self.values != "binary":
            records["weight"] = weights[kept]
        if times is not None:
            whole, fraction = self._split(*times)
            records["whole"], records["fraction"] = whole[kept], fraction[kept]
        numbers = np.searchsorted(self.cuts, users[kept], side="right") - 1
        order = np.argsort(numbers, kind="stable")
        ends = np.flatnonzero(np.diff(numbers[order])) + 1
        for rows in np.split(order, ends) if len(order) else []:
            with self._file(numbers[rows[0]], "added").open("ab") as file:
                records[rows].tofile(file)

    def _split(self, order, whole):
        """Times as whole numbers and fractions, both exact."""
        is_moment = order.dtype.kind == "M"
        if self.is_moment not in (None, is_moment):
            raise ValueError("Some timestamps are numbers, and others dates.")
        self.is_moment = is_moment
        if is_moment:
            seconds = order.astype("M8[s]")
            return whole, (order - seconds) / np.timedelta64(1, "s")
        return whole, np.asarray(order - whole, dtype=np.float64)

    def merge(self):
        """Merge the interactions of each pair, one part after the other."""
        for number in range(len(self.cuts) - 1):
            added, order = self._file(number, "added"), None
            records = np.zeros(0, dtype=self.fields)
            if added.exists():
                records = np.fromfile(added, dtype=self.fields)
                added.unlink()
            pairs = records["pair"]
            weights = None if self.values == "binary" else records["weight"]
            if "whole" in records.dtype.names:
                order = np.empty(len(pairs), dtype=np.int64)
                by_time = np.lexsort((records["fraction"], records["whole"]))
                order[by_time] = np.arange(len(pairs))
            if weights is None:
                np.unique(pairs).tofile(self._file(number, "pairs"))
                continue
            pairs, data, _ = merge_pairs(pairs, weights, order, self.values)
            if data.size and data.max() > np.finfo(np.float32).max:
                raise ValueError(
                    f"The ratings of one user and item add up to {data.max():.3g}, "
                    "beyond the range of float32; scale them, or use values='rating'."
                )
            pairs.tofile(self._file(number, "pairs"))
            data.astype(np.float32).tofile(self._file(number, "data"))

    def _pairs(self):
        """Iterate over the parts: number, users, items."""
        for number in range(len(self.cuts) - 1):
            pairs = np.fromfile(self._file(number, "pairs"), dtype=np.int64)
            yield number, *np.divmod(pairs, self.shape[1])

    def core(self, min_user_items, min_item_users):
        """Find the users and items to keep.

        Returns
        -------
        user_kept, item_kept : ndarray of bool
            Users and items with enough interactions, and with at least one.
        lengths : ndarray of shape (n_users,), int64
            Number of interactions of each user with items that are kept.
        """
        user_kept, item_kept = (np.ones(n, dtype=bool) for n in self.shape)
        while True:
            lengths, n_users = (np.zeros(n, dtype=np.int64) for n in self.shape)
            for _, users, items in self._pairs():
                kept = user_kept[users] & item_kept[items]
                first = users[0] if len(users) else 0
                counts = np.bincount(users[kept] - first)
                lengths[first : first + len(counts)] += counts
                n_users += np.bincount(items[kept], minlength=self.shape[1])
            enough = lengths >= min_user_items, n_users >= min_item_users
            if (enough[0] >= user_kept).all() and (enough[1] >= item_kept).all():
                return lengths > 0, n_users > 0, lengths
            user_kept &= enough[0]
            item_kept &= enough[1]

    def rows(self, user_kept, item_kept):
        """Iterate over the parts as CSR of the users and items to keep."""
        column = np.cumsum(item_kept) - 1
        for number, users, items in self._pairs():
            first, stop = self.cuts[number : number + 2]
            row = np.cumsum(user_kept[first:stop]) - 1
            kept = user_kept[users] & item_kept[items]
            data = np.ones(np.count_nonzero(kept), dtype=np.float32)
            if self.values != "binary":
                data = np.fromfile(self._file(number, "data"), dtype=np.float32)[kept]
            yield csr_from_sorted_pairs(
                row[users[kept] - first],
                column[items[kept]],
                data,
                (np.count_nonzero(user_kept[first:stop]), np.count_nonzero(item_kept)),
            )
