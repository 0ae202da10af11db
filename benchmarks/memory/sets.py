"""Peak memory of the fits that `benchmarks.ranking.sets` compares, by model and set.

    python -m benchmarks.memory.sets
    python -m benchmarks.memory.sets --sets ml-1m

Every fit has a process of its own, in which nothing was fitted before. The peak is that
of the resident set above its level with the package imported and the training matrix in
memory. Settings are those before any choice; neural models train two epochs, which need
as much as more.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from sklearn.base import clone

from benchmarks.environment import DATA, REPOSITORY, RESULTS, describe, environment
from benchmarks.memory.recommender import measure
from benchmarks.ranking import sets
from benchmarks.ranking.implicit_als import INSTALLED, ImplicitALS
from benchmarks.ranking.ml1m import aligned
from skvae import LinearVAERecommender, MultVAERecommender
from skvae.baselines import EASE

DEFAULT_SETS = ("ml-1m", "yelp2018-part")


def main(arguments=None):
    """Measure all models on the sets, each in a process, and write a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--sets", nargs="+", choices=sets.SETS, default=DEFAULT_SETS)
    parser.add_argument("--models", nargs="+", choices=sets.MODELS, default=sets.MODELS)
    parser.add_argument("--output", type=Path, default=RESULTS / "memory.md")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(peak(*options.models, *options.sets, options.data)))
        return
    rows = [["model", *(f"{name}, MiB" for name in options.sets)]]
    for model in options.models:
        peaks = [run(model, name, options.data) for name in options.sets]
        rows.append([sets.MODELS[model][0], *peaks])
        print(rows[-1], flush=True)
    lines = ["# Peak memory of a fit, beyond the training matrix", "", *aligned(rows)]
    lines += ["", describe(environment())]
    options.output.write_text("\n".join(lines) + "\n")


def run(model, name, folder):
    """Run `peak` in a new process; text for the table."""
    command = [sys.executable, "-m", "benchmarks.memory.sets", "--one"]
    command += ["--models", model, "--sets", name, "--data", str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return "" if found is None else f"{found / 2**20:,.0f}"


def peak(model, name, folder):
    """Peak of the memory of a fit in bytes; None if it does not fit or is missing."""
    fold = next(sets.SETS[name](SimpleNamespace(data=folder, folds=1)))
    _, estimator, _ = sets.MODELS[model]
    if isinstance(estimator, EASE) and not sets.fits(estimator, fold["train"]):
        return None
    if isinstance(estimator, ImplicitALS) and not INSTALLED:
        return None
    if isinstance(estimator, MultVAERecommender):
        estimator = clone(estimator).set_params(max_iter=2)
    LinearVAERecommender(1).fit(fold["train"][:100])  # imports are not counted
    return measure(lambda: estimator.fit(fold["train"]))["peak"]


if __name__ == "__main__":
    sys.exit(main())
