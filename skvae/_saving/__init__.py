"""Saving fitted estimators to files whose loading runs no code."""

from skvae._saving._save_load import load_model, save_model

__all__ = ["load_model", "save_model"]
