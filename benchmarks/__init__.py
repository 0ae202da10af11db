"""Benchmarks, run by commands such as `python -m benchmarks.ranking.ml1m`."""
