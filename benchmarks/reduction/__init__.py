"""Accuracy of a classifier on low-dimensional codes, compared with other methods."""
