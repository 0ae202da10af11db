"""Hold out interactions and rank items, for any estimator that scores them."""

from skvae.model_selection._hold_out import hold_out_interactions
from skvae.model_selection._top_items import top_items

__all__ = ["hold_out_interactions", "top_items"]
