"""Every dependency has a reason, and every lower bound is tested."""

import ast
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import skvae

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # which pytest brings there

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
RUNTIME = [Requirement(line) for line in PROJECT["dependencies"]]
EVERY = RUNTIME + [Requirement(line) for lines in EXTRAS.values() for line in lines]

# One release of torch is pinned for all of development.
NOT_PINNED = {"torch"}
# Needed by the oldest releases because of functions that later ones removed.
HELD_BACK = {"pyparsing"}
TESTED = [
    requirement
    for requirement in RUNTIME + [Requirement(x) for x in EXTRAS["test"]]
    if requirement.name not in NOT_PINNED
]


def by_name(requirements):
    return [pytest.param(each, id=each.name) for each in requirements]


def oldest():
    """Version of each package on which `make test-oldest` runs."""
    lines = (ROOT / "constraints-oldest.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {pin.name: Version(str(pin.specifier).removeprefix("==")) for pin in pins}


def lower_bound(requirement):
    (specifier,) = requirement.specifier
    assert specifier.operator == ">="
    return Version(specifier.version)


@pytest.mark.parametrize("requirement", by_name(TESTED))
def test_the_lower_bound_is_what_the_oldest_environment_pins(requirement):
    bound, pinned = lower_bound(requirement), oldest()[requirement.name]
    # >=1.24 is tested by any 1.24.x.
    assert pinned.release[: len(bound.release)] == bound.release


def test_the_conda_recipe_asks_for_the_same_versions():
    recipe = (ROOT / "conda" / "meta.yaml").read_text()
    run = recipe.partition("  run:\n")[2].partition("\ntest:")[0]
    asked = {
        line.strip().removeprefix("- ").replace(" ", "") for line in run.split("\n")
    }
    expected = {str(each).replace("torch", "pytorch", 1) for each in RUNTIME}
    assert asked - {""} == expected | {f"python{PROJECT['requires-python']}"}


def test_every_pinned_package_is_a_dependency():
    pinned = set(oldest()) - HELD_BACK
    assert pinned <= {requirement.name for requirement in EVERY}


@pytest.mark.parametrize("name", sorted({each.name for each in EVERY}))
def test_every_dependency_has_its_reason(name):
    rows = [
        line.split("|")[1:-1]
        for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines()
        if line.startswith("|")
    ]
    reasons = [row[-1] for row in rows if name in row[0].replace(",", " ").split()]
    assert reasons, f"{name} is not in CONTRIBUTING.md; say there what it is for"
    assert all(reason.strip() for reason in reasons)


def test_the_package_imports_exactly_what_it_declares():
    imported = set()
    for path in Path(skvae.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.partition(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"skvae"}
    declared = {each.name.replace("scikit-learn", "sklearn") for each in RUNTIME}
    assert declared <= foreign
    # Imported only for data frames of polars, for pictures, for checks as tests, for
    # record batches, for Parquet files, and for blocks of Dask or Spark.
    optional = {"polars", "matplotlib", "pytest", "pyarrow"}
    assert foreign - declared <= optional | {"dask", "distributed", "pyspark"}
