"""The direction of imports, and what an import must not bring along."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import skvae

ROOT = Path(skvae.__file__).parent

# What each part of the package may import from it, itself aside.
ALLOWED = {
    "nn": set(),
    "model_selection": set(),
    "datasets": set(),
    "_als": set(),
    "_plotting": set(),
    "metrics": {"model_selection", "_plotting"},
    "_training": {"nn", "metrics"},
    "inspection": {"metrics", "_plotting"},
    "utils": {"metrics", "datasets"},
    "_validation": {"model_selection"},
    "_version": set(),
    "_model_file": set(),
    "_saved_parameters": set(),
}
SHARED = {
    "_base",
    "_checkpoint",
    "_collaborative_fit",
    "_content_model",
    "_factor_training",
    "_inference",
    "_new_items",
    "_recommender",
    "_user_draws",
    "_vae_fit",
    "_vae_inference",
}
ESTIMATORS = SHARED | {"_collaborative_vae", "_mult_vae", "_vae"}
# What saves estimators stands above them: they do not know of it.
PERSISTENCE = {"_persistence", "_saved_state"}


def part_of(path):
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported_parts(path):
    """Top-level parts of skvae that a file imports."""
    package = ("skvae", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = [*base, *(node.module.split(".") if node.module else ())]
            names = [[*module, alias.name] for alias in node.names]
        else:
            continue
        yield from (name[1] for name in names if name[0] == "skvae" and len(name) > 1)


@pytest.mark.parametrize(
    "path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_imports_point_one_way(path):
    part = part_of(path)
    imported = set(imported_parts(path)) - {part}
    if part == "__init__":
        return
    if part in PERSISTENCE:
        allowed = set(ALLOWED) | ESTIMATORS | PERSISTENCE
    elif part in ESTIMATORS:
        allowed = set(ALLOWED) | ESTIMATORS
    else:
        allowed = ALLOWED[part]
    assert imported <= allowed, f"{part} must not import {sorted(imported - allowed)}"


def test_estimators_do_not_import_one_another():
    """Each estimator stands on the base, not on its siblings."""
    for name in ESTIMATORS - SHARED:
        imported = set(imported_parts(ROOT / f"{name}.py"))
        assert imported & ESTIMATORS <= SHARED | {name}


def test_import_brings_neither_matplotlib_nor_more_pandas_than_sklearn():
    code = (
        "import sys, sklearn.utils.estimator_checks, torch, skorch; "
        "before = set(sys.modules); import skvae, skvae.inspection, skvae.metrics; "
        "new = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new & {'matplotlib', 'pandas', 'polars', 'pytest'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
