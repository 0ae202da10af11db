"""Let the tests import the scripts of docs/_tools; build the site for some."""

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
if str(DOCS / "_tools") not in sys.path:
    sys.path.insert(0, str(DOCS / "_tools"))

# An archive of the source may come without the documentation.
collect_ignore_glob = [] if DOCS.exists() else ["test_*.py"]

EXTENSIONS = ("sphinx", "sphinx_gallery", "pydata_sphinx_theme", "myst_parser")


@pytest.fixture(scope="session")
def site():
    """Folder of the built site: every page, and no warning on the way."""
    for name in EXTENSIONS:
        pytest.importorskip(name, reason="the docs extra is not installed")
    target = DOCS / "_build" / "html"
    build = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", DOCS, target],
        capture_output=True,
        text=True,
    )
    assert build.returncode == 0, build.stderr
    return target
