"""Interactions to recommend from: loaded, fetched or generated."""

from ._amazon import fetch_amazon_reviews
from ._generators import make_checkerboard, make_interactions
from ._interactions import load_interactions
from ._movielens import fetch_movielens

__all__ = [
    "fetch_amazon_reviews",
    "fetch_movielens",
    "load_interactions",
    "make_checkerboard",
    "make_interactions",
]
