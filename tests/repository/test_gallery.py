"""Every example of the gallery runs as a script."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "examples").glob("*.py"))
SECONDS = 300  # a minute is the aim, but the machine may be busy


def test_there_are_examples():
    assert len(EXAMPLES) >= 11


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_has_a_title_and_cells_and_is_run_by_the_gallery(path):
    title, rule, *_ = ast.get_docstring(ast.parse(path.read_text())).splitlines()
    assert rule == "=" * len(title)
    assert "\n# %%\n" in path.read_text()
    assert path.name.startswith("plot_")  # otherwise sphinx-gallery does not run it


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path, tmp_path):
    script = (
        "import runpy, sys, warnings; warnings.simplefilter('error', FutureWarning); "
        "warnings.simplefilter('error', DeprecationWarning); "
        "runpy.run_path(sys.argv[1], run_name='__main__'); "
        "import matplotlib.pyplot as plt; assert plt.get_fignums()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())  # the example writes no files
