"""Reviews of Amazon products: the 5-core files of McAuley et al., 2014."""

import ast
import gzip
import json
import re
import zlib
from array import array
from numbers import Integral, Real
from os import PathLike
from typing import Literal

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from skvae.datasets._fetch import cached_file
from skvae.datasets._interactions import load_interactions

_URL = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles/"

# Well above the sizes of all files, and the number of characters of their lines.
_MAX_BYTES = 2**33
_MAX_LINE = 2**24

_CATEGORIES = (
    "Amazon_Instant_Video",
    "Apps_for_Android",
    "Automotive",
    "Baby",
    "Beauty",
    "Books",
    "CDs_and_Vinyl",
    "Cell_Phones_and_Accessories",
    "Clothing_Shoes_and_Jewelry",
    "Digital_Music",
    "Electronics",
    "Grocery_and_Gourmet_Food",
    "Health_and_Personal_Care",
    "Home_and_Kitchen",
    "Kindle_Store",
    "Movies_and_TV",
    "Musical_Instruments",
    "Office_Products",
    "Patio_Lawn_and_Garden",
    "Pet_Supplies",
    "Sports_and_Outdoors",
    "Tools_and_Home_Improvement",
    "Toys_and_Games",
    "Video_Games",
)

_TERMS = """\
Reviews of 1996 to 2014, collected by Julian McAuley and others and offered for
research; the texts belong to Amazon and the reviewers. Publications cite J. McAuley,
C. Targett, Q. Shi and A. van den Hengel, "Image-based Recommendations on Styles and
Substitutes", SIGIR 2015.
"""


@validate_params(
    {
        "category": [StrOptions(set(_CATEGORIES))],
        "data_home": [str, PathLike, None],
        "download_if_missing": ["boolean"],
        "titles": ["boolean"],
        "values": [StrOptions({"binary", "rating", "count"})],
        "min_rating": [Interval(Real, None, None, closed="neither"), None],
        "min_user_items": [Interval(Integral, 1, None, closed="left")],
        "min_item_users": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def fetch_amazon_reviews(
    category: str = "Movies_and_TV",
    *,
    data_home: str | PathLike[str] | None = None,
    download_if_missing: bool = True,
    titles: bool = False,
    values: Literal["binary", "rating", "count"] = "binary",
    min_rating: float | None = None,
    min_user_items: int = 1,
    min_item_users: int = 1,
) -> Bunch:
    """Load Amazon reviews of one category, downloading them if necessary.

    These are the 5-core files of the 2014 release [1]_: every user and every product
    has at least five reviews. Movies_and_TV has 1,697,533 reviews by 123,960 users of
    50,052 products.

    Parameters
    ----------
    category : str, default="Movies_and_TV"
        One of "Amazon_Instant_Video", "Apps_for_Android", "Automotive", "Baby",
        "Beauty", "Books", "CDs_and_Vinyl", "Cell_Phones_and_Accessories",
        "Clothing_Shoes_and_Jewelry", "Digital_Music", "Electronics",
        "Grocery_and_Gourmet_Food", "Health_and_Personal_Care", "Home_and_Kitchen",
        "Kindle_Store", "Movies_and_TV", "Musical_Instruments", "Office_Products",
        "Patio_Lawn_and_Garden", "Pet_Supplies", "Sports_and_Outdoors",
        "Tools_and_Home_Improvement", "Toys_and_Games", "Video_Games".

    data_home : str or path-like, default=None
        Folder of all data sets. None stands for the folder of scikit-learn, by default
        '~/scikit_learn_data'. The files are kept there in ``amazon_reviews``.

    download_if_missing : bool, default=True
        If False, raise an OSError if a file is missing, instead of downloading it.

    titles : bool, default=False
        Whether to load the titles of the products as well. They are in a separate
        file, which is large (hundreds of MB for some categories) and slow to read.

    values : {"binary", "rating", "count"}, default="binary"
        Values of the matrix, as in :func:`load_interactions`.

    min_rating : float, default=None
        Keep only reviews with at least this many stars (1 to 5).

    min_user_items, min_item_users : int, default=1
        Keep users and items with at least this many interactions, as in
        :func:`load_interactions`. If `min_rating` is set, the data are no longer 5-core
        unless both are 5.

    Returns
    -------
    :class:`~sklearn.utils.Bunch`
        The attributes that :func:`load_interactions` returns, including ``timestamps``
        (seconds since 1970-01-01 UTC, whole days), and

        item_names : ndarray of object of shape (n_items,), or None
            The title of each product, "" if it has none; None if `titles` is False.

    Raises
    ------
    OSError
        If a file is missing and `download_if_missing` is False, or cannot be
        downloaded.
    ValueError
        If a file is damaged, or no interactions are left.

    See Also
    --------
    load_interactions : Load any table of interactions.
    fetch_movielens : Load ratings of movies.

    Notes
    -----
    A file that is already in the folder is used as it is, without network access. No
    checksum is published, so downloads are not checked. Reviews are read line by line,
    so that their texts are never all in memory at once.

    The data are for research use.

    References
    ----------
    .. [1] J. McAuley, C. Targett, Q. Shi and A. van den Hengel, "Image-based
       Recommendations on Styles and Substitutes", SIGIR 2015.
       https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html

    Examples
    --------
    >>> from skvae.datasets import fetch_amazon_reviews
    >>> music = fetch_amazon_reviews("Digital_Music")  # doctest: +SKIP
    >>> music.matrix.shape  # doctest: +SKIP
    (5541, 3568)
    """
    where = {
        "folder": "amazon_reviews",
        "data_home": data_home,
        "download_if_missing": download_if_missing,
        "max_bytes": _MAX_BYTES,
    }
    # Get both files first, so that a missing one is reported before the long reading.
    reviews = cached_file(f"{_URL}reviews_{category}_5.json.gz", **where)
    meta = cached_file(f"{_URL}meta_{category}.json.gz", **where) if titles else None
    dataset = load_interactions(
        _read_reviews(reviews),
        user="user",
        item="item",
        rating="rating",
        timestamp="timestamp",
        values=values,
        min_rating=min_rating,
        min_user_items=min_user_items,
        min_item_users=min_item_users,
    )
    dataset.item_names = None
    if titles:
        names = _read_titles(meta, set(dataset.item_ids.tolist()))
        dataset.item_names = np.array(
            [names.get(item, "") for item in dataset.item_ids.tolist()], dtype=object
        )
    dataset.DESCR = f"Amazon reviews, {category}\n\n{dataset.DESCR}\n{_TERMS}"
    return dataset


def _read_reviews(path):
    """Read the columns of a file of reviews, with one JSON object per line."""
    user_numbers, item_numbers = {}, {}
    users, items = array("q"), array("q")
    ratings, timestamps = array("d"), array("q")
    for number, line in _lines(path):
        try:
            review = json.loads(line)
            user = user_numbers.setdefault(review["reviewerID"], len(user_numbers))
            item = item_numbers.setdefault(review["asin"], len(item_numbers))
            ratings.append(review["overall"])
            timestamps.append(review["unixReviewTime"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise ValueError(
                f"Line {number} of {path} is not a review with reviewerID, asin, "
                f"overall and unixReviewTime ({error!r}); delete the file to download "
                "it again."
            ) from error
        users.append(user)
        items.append(item)
    # All rows with the same id share one string.
    return {
        "user": np.array(list(user_numbers), dtype=object)[np.asarray(users)],
        "item": np.array(list(item_numbers), dtype=object)[np.asarray(items)],
        "rating": np.asarray(ratings),
        "timestamp": np.asarray(timestamps),
    }


def _read_titles(path, wanted):
    """Read the titles of the products in `wanted`: a dict from product id to title.

    Each line of the file is a Python literal.
    """
    titles = {}
    for number, line in _lines(path):
        # Parsing takes a millisecond per line, and most products are not wanted.
        asin = re.search(r"""['"]asin['"]: ['"](\w+)['"]""", line)
        if asin is not None and asin[1] not in wanted:
            continue
        try:
            product = ast.literal_eval(line)
            titles[product["asin"]] = product.get("title", "")
        except (ValueError, SyntaxError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"Line {number} of {path} is not a product with its asin ({error!r}); "
                "delete the file to download it again."
            ) from error
    return titles


def _lines(path):
    """Yield the number, from 1, and the text of each non-empty line of a gzip file."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            lines = iter(lambda: file.readline(_MAX_LINE), "")
            for number, line in enumerate(lines, start=1):
                if len(line) == _MAX_LINE:
                    raise ValueError(
                        f"Line {number} of {path} has more than {_MAX_LINE:,} "
                        "characters; delete the file to download it again."
                    )
                if line.strip():
                    yield number, line
    except (EOFError, UnicodeDecodeError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is not a complete gzip file of UTF-8 text ({error}); delete it to "
            "download it again."
        ) from error
