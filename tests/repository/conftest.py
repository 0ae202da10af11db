"""Fixture that builds the site, for the tests that read its pages."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXTENSIONS = ("sphinx", "sphinx_gallery", "pydata_sphinx_theme", "myst_parser")


@pytest.fixture(scope="session")
def site():
    """Build the site without warnings; return its folder."""
    for name in EXTENSIONS:
        pytest.importorskip(name, reason="the docs extra is not installed")
    target = ROOT / "docs" / "_build" / "html"
    build = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", target],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert build.returncode == 0, build.stderr
    return target
