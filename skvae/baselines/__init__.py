"""Simple recommenders to compare with: popularity, item-kNN and EASE."""

from skvae.baselines._content_item_knn import ContentItemKNN, HybridItemKNN
from skvae.baselines._ease import EASE
from skvae.baselines._item_knn import ItemKNN
from skvae.baselines._popularity import Popularity

__all__ = ["EASE", "ContentItemKNN", "HybridItemKNN", "ItemKNN", "Popularity"]
