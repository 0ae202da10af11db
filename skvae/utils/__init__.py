"""Utilities: the contract of recommenders as checks."""
