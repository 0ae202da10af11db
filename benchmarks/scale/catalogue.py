"""Memory and time of very large catalogues, and how the time grows with the items.

    OMP_NUM_THREADS=1 python -m benchmarks.scale.catalogue
    OMP_NUM_THREADS=1 python -m benchmarks.scale.catalogue --parts large --models linear
    python -m benchmarks.scale.catalogue --quick --output trial

Three parts, each of which replaces its results in the output and keeps the others:

- "large": 1,000,000 users x 1,000,000 items with 50,000,000 interactions. Each model
  has a process of its own, which fits, folds in 1,000 users, and ranks 100 items for
  each of them. The peak above the matrix is that of the resident set, minus the
  resident set with the matrix in memory and after a fit of small data, so that imports
  do not count. The peak in total is that of the whole process.
- "growth": 100,000 users, 2,000,000 interactions, and 10,000 to 1,000,000 items. The
  exponent is the slope of the logarithm of the seconds over that of the items.
- "step": a step of `MultVAERecommender` with sampled items on 50,000 to 1,000,000
  items, with the pass of the optimiser apart. The sizes take turns in one process.

Growth and steps are measured in seconds of the processor, to which other processes of
the machine add little; with one thread and nothing else to do, they are seconds.

Models that need many passes over the data do some of them; what the passes of their
defaults would take is extrapolated, and named so. Results of other models are kept, so
models can be run one by one. The matrices are those of `benchmarks.scale.interactions`,
and are kept in `--folder` if it is given.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.environment import REPOSITORY, RESULTS, environment
from benchmarks.memory.recommender import measure
from benchmarks.ranking.implicit_als import INSTALLED
from benchmarks.scale.interactions import draw_interactions, keep_matrix, read_matrix
from benchmarks.scale.models import MODELS, SLOW_START, Clock
from benchmarks.scale.report import N_RANKED, exponent, write

PARTS = ("large", "growth", "step")


class Sizes(NamedTuple):
    """Numbers of users, items and interactions of all parts."""

    large: tuple
    growth: tuple  # users and interactions
    growth_items: tuple
    step: tuple  # users and interactions
    step_items: tuple
    folded_in: int
    rounds: int  # in which the sizes of "step" take turns


FULL = Sizes(
    large=(1_000_000, 1_000_000, 50_000_000),
    growth=(100_000, 2_000_000),
    growth_items=(10_000, 30_000, 100_000, 300_000, 1_000_000),
    step=(30_000, 600_000),
    step_items=(50_000, 100_000, 300_000, 1_000_000),
    folded_in=1000,
    rounds=3,
)
QUICK = Sizes(
    large=(1500, 2000, 30_000),
    growth=(1000, 10_000),
    growth_items=(500, 1000),
    step=(1000, 10_000),
    step_items=(6000, 12_000),
    folded_in=100,
    rounds=1,
)


def main(arguments=None):
    """Run the parts that are asked for, and write the report after each result."""
    options = parse(arguments)
    if options.one:
        print(json.dumps(run_here(options)))
        return 0
    path = options.output.with_suffix(".json")
    with tempfile.TemporaryDirectory() as temporary:
        options.folder = options.folder or Path(temporary)
        for part, model, shape in tasks(options):
            result = run_apart(part, model, shape, options) | {"run": environment()}
            print(f"{part} {model} {shape}: {json.dumps(result)}", flush=True)
            key = "x".join(map(str, shape))
            # Read again, as another run may have measured other models meanwhile.
            report = json.loads(path.read_text()) if path.exists() else {}
            report.setdefault(part, {}).setdefault(model, {})[key] = result
            write(report, options.output)
    return 0


def parse(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--quick", action="store_true", help="small sizes, for a trial")
    parser.add_argument("--folder", type=Path, help="where to keep the matrices")
    parser.add_argument(
        "--max-steps", type=int, help="end an epoch of the large catalogue after these"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "scale")
    parser.add_argument("--one", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--shape", type=int, nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def tasks(options):
    """Yield (part, model, shape) of the processes to run."""
    sizes = QUICK if options.quick else FULL
    models = [name for name in options.models if name != "implicit" or INSTALLED]
    if "large" in options.parts:
        yield from (("large", name, sizes.large) for name in models)
    if "growth" in options.parts:
        n_users, n_interactions = sizes.growth
        for n_items in sizes.growth_items:
            shape = (n_users, n_items, n_interactions)
            yield from (("growth", name, shape) for name in models)
    if "step" in options.parts and "mult-vae" in models:
        yield "step", "mult-vae", sizes.step


def run_apart(part, model, shape, options):
    """Run `run_here` in a new process, on a matrix that is drawn if it is missing."""
    if part != "step":
        keep_matrix(shape, options.folder)
    command = [sys.executable, "-m", "benchmarks.scale.catalogue", "--one", part]
    command += ["--models", model, "--shape", *map(str, shape)]
    command += ["--folder", str(options.folder)] + ["--quick"] * options.quick
    if options.max_steps is not None:
        command += ["--max-steps", str(options.max_steps)]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_here(options):
    """Measure one model on one matrix; a dict of numbers."""
    sizes = QUICK if options.quick else FULL
    if options.one == "step":
        return sampled_steps(*options.shape, sizes)
    return one_model(
        *options.models,
        options.shape,
        options.folder,
        sizes.folded_in,
        options.max_steps,
    )


def one_model(name, shape, folder, n_folded_in, max_steps):
    """Fit a model, fold users in and rank for them; a dict of seconds and bytes."""
    small = draw_interactions(60, 40, 400)
    MODELS[name].make(Clock()).fit(small).recommend(small, 5)  # imports do not count
    X = read_matrix(shape, folder)
    some = X[:n_folded_in]
    clock = Clock(max_steps)
    model = MODELS[name].make(clock)

    def fit():
        try:
            model.fit(X)
        except KeyboardInterrupt:
            if not clock.interrupted:
                raise

    stages = {
        "fit": measured(fit),
        "fold-in": measured(lambda: model.transform(some)),
        "rank": measured(lambda: model.recommend(some, N_RANKED)),
    }
    result = {"n_interactions": X.nnz, "n_folded_in": n_folded_in}
    for stage, found in stages.items():
        result[f"seconds to {stage}"] = found["seconds"]
        result[f"processor seconds to {stage}"] = found["processor seconds"]
        result[f"peak to {stage}"] = found["peak"]
    result["peak in total"] = max(f["level"] + f["peak"] for f in stages.values())
    return result | passes(name, model, clock, stages["fit"]["processor seconds"])


def passes(name, model, clock, seconds):
    """What was done, the seconds of a pass, and those of all passes extrapolated."""
    _, _, what, n_done, n_default = MODELS[name]
    if not what:
        return {"done": ""}
    result = {"done": f"{n_done} {what}", "default passes": n_default}
    times = np.diff(model.times) if name == "implicit" else clock.epochs
    if name == "mult-vae":
        step = clock.median_step().sum()
        result["processor seconds of a step"] = float(step)
        if clock.interrupted:
            n_done = len(clock.steps) / clock.steps_per_epoch
            times = [step * clock.steps_per_epoch]
            result["done"] = f"{len(clock.steps)} of {clock.steps_per_epoch} steps"
    result["processor seconds of a pass"] = float(np.median(times))
    rest = (n_default - n_done) * result["processor seconds of a pass"]
    return result | {"extrapolated processor seconds to fit": seconds + rest}


def measured(function):
    """Return what `measure` does, and the seconds of the processor."""
    start = time.process_time()
    found = measure(function)
    return found | {"processor seconds": time.process_time() - start}


def sampled_steps(n_users, n_interactions, sizes):
    """Median processor seconds of the parts of a sampled step, by number of items."""
    matrices = {
        n_items: draw_interactions(n_users, n_items, n_interactions)
        for n_items in sizes.step_items
    }
    steps = {n_items: [] for n_items in matrices}
    columns = {}
    for _ in range(sizes.rounds):
        for n_items, X in matrices.items():
            clock = Clock()
            MODELS["mult-vae"].make(clock).fit(X)
            steps[n_items] += clock.steps[SLOW_START:]
            columns[n_items] = float(np.median(clock.columns))
    parts = {n: np.median(found, axis=0).tolist() for n, found in steps.items()}
    before = {
        n: float(np.median(np.sum(np.array(s)[:, :2], 1))) for n, s in steps.items()
    }
    return {
        "n_steps": {str(n): len(found) for n, found in steps.items()},
        "columns": {str(n): found for n, found in columns.items()},
        "seconds of parts": {str(n): found for n, found in parts.items()},
        "seconds without optimiser": {str(n): found for n, found in before.items()},
        "exponent": exponent(list(before), list(before.values())),
    }


if __name__ == "__main__":
    sys.exit(main())
