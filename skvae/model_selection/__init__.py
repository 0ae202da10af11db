"""Tools to hold out interactions or items, to rank items, and to look up their ids."""

from skvae.model_selection._hold_out import hold_out_interactions
from skvae.model_selection._hold_out_items import hold_out_items
from skvae.model_selection._look_up_ids import look_up_ids
from skvae.model_selection._top_items import top_items

__all__ = ["hold_out_interactions", "hold_out_items", "look_up_ids", "top_items"]
