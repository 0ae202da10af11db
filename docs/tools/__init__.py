"""Sphinx extensions and scripts for the documentation."""
