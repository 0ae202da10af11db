"""The graph of imports between the parts of the package, and what an import loads."""

import ast
import subprocess
import sys
from pathlib import Path

import skvae

ROOT = Path(skvae.__file__).parent

# Part -> the parts that it imports. Parts are folders and files at the top of the
# package; each one imports only parts that are listed above it.
GRAPH = {
    "_version": set(),
    "_nn": set(),
    "datasets": set(),
    "utils": {"datasets"},
    "model_selection": {"utils"},
    "metrics": {"model_selection", "utils"},
    "inspection": {"utils"},
    "_training": {"_nn", "_version", "datasets", "utils"},
    "_base": {
        "_nn",
        "_training",
        "_version",
        "datasets",
        "metrics",
        "model_selection",
        "utils",
    },
    "baselines": {"_base", "_nn", "_training", "utils"},
    "_collaborative": {"_nn", "_training", "metrics", "utils"},
    "_vae_transformer": {"_base", "_nn", "_training", "utils"},
    "_linear_vae": {"_base", "_nn", "_training", "datasets", "metrics", "utils"},
    "_mult_vae": {
        "_base",
        "_linear_vae",
        "_nn",
        "_training",
        "datasets",
        "metrics",
        "utils",
    },
    "_blend": {"_base", "_training", "metrics", "model_selection", "utils"},
    "_collaborative_vae": {
        "_base",
        "_collaborative",
        "_nn",
        "_training",
        "metrics",
        "model_selection",
        "utils",
    },
    "_saving": {
        "_base",
        "_collaborative_vae",
        "_linear_vae",
        "_mult_vae",
        "_training",
        "_vae_transformer",
        "_version",
        "datasets",
        "utils",
    },
    "_batch_ranker": {"_saving", "utils"},
    "__init__": {
        "_batch_ranker",
        "_blend",
        "_collaborative_vae",
        "_linear_vae",
        "_mult_vae",
        "_saving",
        "_vae_transformer",
        "_version",
        "utils",
    },
}


def part_of(path):
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported_parts(path):
    """Top-level parts of skvae that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [[*node.module.split("."), alias.name] for alias in node.names]
        else:
            continue
        yield from (name[1] for name in names if name[0] == "skvae" and len(name) > 1)


def imports_between_parts():
    graph = {}
    for path in ROOT.rglob("*.py"):
        part = part_of(path)
        imported = {name.removesuffix("__version__") for name in imported_parts(path)}
        graph.setdefault(part, set()).update(imported - {part, ""})
    return graph


def test_the_graph_of_imports_is_as_listed_here():
    assert imports_between_parts() == GRAPH


def test_imports_point_one_way():
    seen = set()
    for part, imported in GRAPH.items():
        assert imported <= seen, f"{part} imports parts that are not below it"
        seen.add(part)


def test_import_brings_neither_matplotlib_nor_more_pandas_than_sklearn():
    code = (
        "import sys, sklearn.utils.estimator_checks, torch, skorch; "
        "before = set(sys.modules); import skvae, skvae.inspection, skvae.metrics; "
        "new = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new & {'matplotlib', 'pandas', 'polars', 'pyarrow', "
        "'pyspark', 'pytest'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
