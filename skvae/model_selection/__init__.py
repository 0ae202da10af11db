"""Tools to hold out interactions or items, and to rank items by any estimator."""

from skvae.model_selection._hold_out import hold_out_interactions
from skvae.model_selection._hold_out_items import hold_out_items
from skvae.model_selection._top_items import top_items

__all__ = ["hold_out_interactions", "hold_out_items", "top_items"]
