"""The data of the demo: a table of the user, or generated interactions."""

import re
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from skvae.datasets import load_interactions, make_interactions
from skvae.datasets._readers import find_member

# Usual names of columns, in lower case and with letters and digits only.
KNOWN_NAMES = {
    "user": (
        "userid user uid customerid customer reviewerid memberid accountid visitorid "
        "profileid username personid"
    ).split(),
    "item": (
        "itemid item movieid productid product parentasin asin sku bookid isbn songid "
        "trackid artistid articleid gameid animeid businessid recipeid movie"
    ).split(),
    "rating": "rating ratings stars score overall userrating".split(),
}
TITLE_NAMES = ("title", "name", "itemname", "productname", "movietitle")
SEPARATORS = (",", "\t", ";", "|")
FEWEST_USERS = 20
# Chosen so that the demo shows a difference: with more items and the same number of
# interactions (1,000 items instead of 600), Mult-VAE and item-kNN were equally good.
GENERATED = {
    "n_users": 3000,
    "n_items": 600,
    "n_factors": 12,
    "n_interactions_per_user": 30,
    "taste_concentration": 0.05,
    "popularity_exponent": 0.6,
    "random_state": 0,
}
# Arguments of `load_interactions` that are flags of the demo.
FLAGS = (
    "user item rating timestamp sep member encoding decimal timestamp_format "
    "min_rating min_user_items min_item_users"
).split()
GARBLED = (
    RuntimeError,
    LookupError,
    ValueError,
    OSError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)


class DemoError(Exception):
    """An error that the caller can correct; its message says how."""


@dataclass
class DemoData:
    """Interactions, names of the items, and notes about them to print.

    `timestamps` is a CSR with the same structure as `matrix`, or None. `preferences` is
    a function that returns the true preferences of some rows of generated data; it is
    None for other data.
    """

    matrix: object
    item_names: np.ndarray
    notes: list = field(default_factory=list)
    timestamps: object = None
    preferences: object = None


def generate(**changes):
    """Generate interactions; the name of each item contains its main taste."""
    data = make_interactions(**(GENERATED | changes))
    taste = data.item_factors.argmax(axis=1)
    names = [f"item {item} (taste {taste[item]})" for item in range(len(taste))]
    return DemoData(
        data.matrix,
        np.array(names, dtype=object),
        [
            "Generated interactions of users with a mixture of "
            f"{data.item_factors.shape[1]} tastes, so that the true preferences are "
            "known.",
            "For your own data: make demo DATA=path/to/ratings.csv (or .csv.gz, .zip)",
        ],
        preferences=lambda rows: data.user_factors[rows] @ data.item_factors.T,
    )


def load(options):
    """Load the table that is given on the command line.

    Parameters
    ----------
    options : argparse.Namespace
        As `demo.parse` returns it.

    Returns
    -------
    data : DemoData

    Raises
    ------
    DemoError
        If the file does not exist, cannot be read or has too few interactions.
    """
    path = Path(options.data)
    if not path.is_file():
        raise DemoError(f"{path} is not a file; pass --data a .csv, .csv.gz or .zip.")
    try:
        return _load(path, options)
    except UnicodeError as error:
        raise DemoError(
            f"{path.name}: not all tables are text in {options.encoding or 'utf-8'} "
            f"({error}); pass --encoding, such as --encoding latin-1."
        ) from error
    except GARBLED as error:
        raise DemoError(f"{path.name}: {_with_flags(error)}") from error


def _load(path, options):
    layout = {"encoding": options.encoding, "member": options.member}
    sep, names = read_header(path, options.sep, **layout)
    given = {role: getattr(options, role) for role in (*KNOWN_NAMES, "timestamp")}
    columns, notes = choose_columns(names, given)
    min_rating = options.min_rating if "rating" in columns else None
    data = load_interactions(
        path,
        **columns,
        sep=sep,
        member=options.member,
        encoding=options.encoding or "utf-8",
        decimal=options.decimal,
        timestamp_format=options.timestamp_format,
        min_rating=min_rating,
        min_user_items=options.min_user_items,
        min_item_users=options.min_item_users,
    )
    titles, from_where = find_titles(
        path, columns["item"], options.item_names, options.encoding
    )
    item_names = [titles.get(str(item), f"item {item}") for item in data.item_ids]
    notes += [*_what_was_left_out(data, min_rating, options), *from_where]
    return DemoData(
        data.matrix,
        np.array(item_names, dtype=object),
        [f"{path.name}, {data.n_read:,} rows.", *notes],
        data.timestamps,
    )


def _what_was_left_out(data, min_rating, options):
    if min_rating is None:
        notes = ["No column of ratings: all rows are used."]
    else:
        kept = data.n_read - data.n_below_min_rating
        notes = [f"Rated {min_rating:g} or more: {kept:,} rows (--min-rating)."]
    if data.n_filtered:
        notes.append(
            f"Dropped {data.n_filtered:,} interactions of users with fewer than "
            f"{options.min_user_items} items or of items with fewer than "
            f"{options.min_item_users} users (--min-user-items, --min-item-users)."
        )
    if data.n_empty_users:
        notes.append(f"Dropped {data.n_empty_users:,} users without interactions left.")
    return notes


def read_header(path, sep=None, **layout):
    """Return the separator and the names in the first line of a table.

    If `sep` is None, the separator is the one of `SEPARATORS` that splits the line into
    the most parts.
    """
    sep = "\t" if sep == "\\t" else sep
    if sep is not None and len(sep) != 1:
        raise DemoError(f"--sep takes one character, not {sep!r}.")
    tried = [sep] if sep else SEPARATORS
    headers = {
        sep: list(_read_table(path, sep=sep, nrows=0, **layout)) for sep in tried
    }
    return max(headers.items(), key=lambda header: len(header[1]))


def choose_columns(names, given):
    """Take the columns that were given, and guess the others by their names.

    Parameters
    ----------
    names : list of str
        Columns of the table.
    given : dict of str to (str or None)
        Column of each role; None if it was not given. A timestamp is never guessed.

    Returns
    -------
    columns : dict of str to str
        Column of each role.
    notes : list of str
        Notes about the chosen columns, to print.

    Raises
    ------
    DemoError
        If a column is missing. The message lists the existing columns.
    """
    listed = ", ".join(map(str, names))
    columns, guessed = {}, []
    for role, column in given.items():
        if column is not None and column not in names:
            raise DemoError(
                f"there is no column {column!r} for --{role}; the columns are: {listed}"
            )
        if column is None and role in KNOWN_NAMES:
            column = _guess(names, KNOWN_NAMES[role])
            guessed += [role] if column is not None else []
        if column is not None:
            columns[role] = column
    missing = [role for role in ("user", "item") if role not in columns]
    if missing:
        asked = " and ".join(f"--{role} COLUMN" for role in missing)
        raise DemoError(
            f"no column looks like the {' or the '.join(missing)}; the columns are: "
            f"{listed}\nPass the column with {asked}. (The first line of the file must "
            "contain the names.)"
        )
    taken = ", ".join(f"{role} = {column}" for role, column in columns.items())
    how = f" (guessed by their names: {', '.join(guessed)})" if guessed else ""
    return columns, [f"Columns: {taken}{how}."]


def find_titles(path, item_column, item_names=None, encoding=None):
    """Find the names of the items, in `item_names` or in the zip with the ratings.

    Parameters
    ----------
    path : Path
        The table of interactions.
    item_column : str
        Its column of items.
    item_names : str, default=None
        Path of a table. The ids are in its column `item_column`, or else in its first
        column; the names are in a column with a name as in `TITLE_NAMES`, or else in
        the first of the other columns.
    encoding : str, default=None
        Encoding of the tables; None is UTF-8.

    Returns
    -------
    titles : dict of str to str
        Name of each item id.
    notes : list of str
        Notes about their source, to print.
    """
    if item_names is not None:
        if not Path(item_names).is_file():
            raise DemoError(f"--item-names {item_names} is not a file; pass a table.")
        sep, names = read_header(Path(item_names), encoding=encoding)
        if len(names) < 2:
            raise DemoError(
                f"--item-names {item_names} has one column, but needs two: one of ids "
                "and one of names."
            )
        item = item_column if item_column in names else names[0]
        title = _guess(names, TITLE_NAMES) or next(n for n in names if n != item)
        table = _read_table(
            Path(item_names),
            sep=sep,
            encoding=encoding,
            usecols=[item, title],
            dtype=str,
        )
        return _as_titles(table, item, title), [
            f"Names of items: {title} in {Path(item_names).name}."
        ]
    if path.suffix.lower() != ".zip":
        return {}, []
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if not member.lower().endswith(".csv"):
                continue
            with archive.open(member) as file:
                names = list(pd.read_csv(file, nrows=0, encoding=encoding))
            title = _guess(names, TITLE_NAMES)
            if item_column in names and title is not None:
                with archive.open(member) as file:
                    table = pd.read_csv(
                        file,
                        encoding=encoding,
                        usecols=[item_column, title],
                        dtype=str,
                    )
                titles = _as_titles(table, item_column, title)
                return titles, [f"Names of items: {title} in {member}."]
    return {}, []


def check_size(matrix):
    """Raise a `DemoError` if there are too few users or items for the demo."""
    n_users, n_items = matrix.shape
    if n_users < FEWEST_USERS or n_items < 2:
        raise DemoError(
            f"{n_users} users and {n_items} items are left, but the demo needs "
            f"{FEWEST_USERS} users and 2 items; lower --min-rating, --min-user-items "
            "or --min-item-users, or pass more data."
        )


def _with_flags(error):
    """Replace the arguments in a message of `load_interactions` by flags."""
    text = str(error).replace("pass timestamp=None", "leave out --timestamp")
    flags = "|".join(FLAGS)
    return re.sub(
        rf"\b({flags})=", lambda found: f"--{found[1].replace('_', '-')} ", text
    )


def _guess(names, known):
    """Return the first column with a known name, in any spelling; None if none."""
    plain = {"".join(filter(str.isalnum, str(name).lower())): name for name in names}
    return next((plain[name] for name in known if name in plain), None)


def _as_titles(table, item, title):
    table = table.dropna()
    return dict(zip(table[item], table[title], strict=True))


def _read_table(path, member=None, **options):
    """Read a CSV file, or the member of a zip that `load_interactions` would read."""
    if path.suffix.lower() != ".zip":
        if member is not None:
            raise DemoError(f"--member {member} was given, but {path} is not a .zip.")
        return pd.read_csv(path, **options)
    with zipfile.ZipFile(path) as archive:
        with archive.open(find_member(archive, member)) as file:
            return pd.read_csv(file, **options)
