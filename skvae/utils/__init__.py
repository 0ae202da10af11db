"""Utilities: input validation, ranking, and checks for recommenders."""
