"""Load, fetch and generate data sets of interactions."""

from skvae.datasets._amazon import fetch_amazon_reviews
from skvae.datasets._citeulike import fetch_citeulike
from skvae.datasets._convert import convert_interactions
from skvae.datasets._engines import DaskBlocks, SparkBlocks
from skvae.datasets._generators import make_checkerboard, make_interactions
from skvae.datasets._interactions import load_interactions
from skvae.datasets._movielens import fetch_movielens
from skvae.datasets._row_blocks import RowBlocks
from skvae.datasets._rows_on_disk import RowsOnDisk

__all__ = [
    "DaskBlocks",
    "RowBlocks",
    "RowsOnDisk",
    "SparkBlocks",
    "convert_interactions",
    "fetch_amazon_reviews",
    "fetch_citeulike",
    "fetch_movielens",
    "load_interactions",
    "make_checkerboard",
    "make_interactions",
]
