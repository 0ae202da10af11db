"""Runnable comparisons: `python -m benchmarks.ranking.ml1m` and its like."""
