"""Hold out interactions and rank items, for any estimator that scores them."""

from ._hold_out import hold_out_interactions
from ._top_items import top_items

__all__ = ["hold_out_interactions", "top_items"]
