"""Ranking quality of the recommenders, compared with other models."""
