"""Ranking metrics for recommenders, and scorers for scikit-learn's searches."""

from skvae.metrics._ranking import (
    average_precision_at_k,
    coverage_at_k,
    hit_rate_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
    reciprocal_rank_at_k,
)
from skvae.metrics._ranking_curve import RankingCurveDisplay
from skvae.metrics._scorer import make_ranking_scorer

__all__ = [
    "RankingCurveDisplay",
    "average_precision_at_k",
    "coverage_at_k",
    "hit_rate_at_k",
    "make_ranking_scorer",
    "ndcg_at_k",
    "precision_at_k",
    "recall_at_k",
    "reciprocal_rank_at_k",
]
