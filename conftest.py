"""For doctests and tests alike: pictures without a screen, and none left open."""

import importlib.util
import os
import sys

import pytest

# Doctests are looked for in every file, and this one is a program that needs Ray.
collect_ignore = []
if importlib.util.find_spec("ray") is None:
    collect_ignore.append("tests/distributed/ranks/ray_train.py")

os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
