"""Let the tests import the scripts of benchmarks/, which are in no package."""

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
for folder in map(str, (BENCHMARKS, BENCHMARKS / "speed")):
    if folder not in sys.path:
        sys.path.insert(0, folder)
