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
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from skorch.callbacks import Callback

from benchmarks.environment import REPOSITORY, RESULTS, describe, environment
from benchmarks.memory.recommender import measure
from benchmarks.ranking.implicit_als import INSTALLED
from benchmarks.ranking.ml1m import aligned
from benchmarks.scale.interactions import draw_interactions, keep_matrix, read_matrix
from skvae import CollaborativeVAE, LinearVAERecommender, MultVAERecommender

N_COMPONENTS, N_SAMPLED_ITEMS = 64, 5000
N_RANKED = 100  # items for each user
PARTS = ("large", "growth", "step")
LIMIT = 12e9  # bytes in total, for "large"
MAX_STEP_EXPONENT = 0.2
SLOW_START = 5  # first steps that do not count


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


# Models


class Clock(Callback):
    """Record the processor seconds of epochs, and of the parts of each step.

    The first part takes the batch, the second computes the gradients, and the third is
    that of the optimiser. After `max_steps` it interrupts the fit, which keeps what it
    has learned.
    """

    def __init__(self, max_steps=None):
        self.max_steps = max_steps
        self.epochs, self.interrupted = [], False

    def on_train_begin(self, net, **kwargs):
        """Start."""
        self.steps, self.columns = [], []

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        """Start an epoch."""
        self.steps_per_epoch = math.ceil(len(dataset_train) / net.batch_size)
        self.epoch_start = self.last = time.process_time()

    def on_batch_begin(self, net, batch=None, **kwargs):
        """Take the time at which the batch is there."""
        self.taken = time.process_time()
        self.columns.append(batch.n_columns)

    def on_grad_computed(self, net, **kwargs):
        """Take the time at which the gradients are there."""
        self.computed = time.process_time()

    def on_batch_end(self, net, **kwargs):
        """Record the step."""
        now = time.process_time()
        self.steps.append(np.diff([self.last, self.taken, self.computed, now]))
        self.last = now
        if len(self.steps) == self.max_steps:
            self.interrupted = True
            raise KeyboardInterrupt

    def on_epoch_end(self, net, **kwargs):
        """Record the epoch."""
        self.epochs.append(time.process_time() - self.epoch_start)

    def median_step(self):
        """Median seconds of the parts of a step: (3,)."""
        return np.median(self.steps[SLOW_START:], axis=0)


class ImplicitALS:
    """ALS of implicit, in one thread, with the methods of a recommender."""

    def __init__(self, n_iterations=1):
        self.n_iterations = n_iterations

    def fit(self, X):
        from implicit.cpu.als import AlternatingLeastSquares

        self.times = []
        self.model = AlternatingLeastSquares(
            N_COMPONENTS, iterations=self.n_iterations, num_threads=1, random_state=0
        )
        self.model.fit(
            sp.csr_matrix(X),
            show_progress=False,
            callback=lambda *_: self.times.append(time.process_time()),
        )
        return self

    def transform(self, X):
        users = np.arange(X.shape[0])
        return self.model.recalculate_user(users, sp.csr_matrix(X))

    def recommend(self, X, n_items):
        users = np.arange(X.shape[0])
        rows = sp.csr_matrix(X)
        return self.model.recommend(users, rows, n_items, recalculate_user=True)[0]


class Model(NamedTuple):
    """How to make and measure a model.

    A model that passes over the data `n_default` times by default does `n_done` here.
    """

    title: str
    make: object  # a function of a clock
    passes: str = ""
    n_done: int = 0
    n_default: int = 0


def linear(clock):
    return LinearVAERecommender(N_COMPONENTS, device="cpu", random_state=0)


def mult_vae(clock):
    return MultVAERecommender(
        N_COMPONENTS,
        n_sampled_items=N_SAMPLED_ITEMS,
        max_iter=MODELS["mult-vae"].n_done,
        callbacks=[clock],
        device="cpu",
        random_state=0,
    )


def collaborative(clock):
    return CollaborativeVAE(
        N_COMPONENTS,
        max_iter=MODELS["collaborative"].n_done,
        callbacks=[clock],
        device="cpu",
        random_state=0,
    )


def implicit(clock):
    return ImplicitALS(MODELS["implicit"].n_done)


MODELS = {
    "linear": Model("LinearVAERecommender", linear),
    "mult-vae": Model(
        f"MultVAERecommender, {N_SAMPLED_ITEMS:,} sampled items",
        mult_vae,
        "epochs",
        1,
        20,
    ),
    "collaborative": Model(
        "CollaborativeVAE without content", collaborative, "rounds", 2, 10
    ),
    "implicit": Model("ALS of implicit", implicit, "iterations", 3, 15),
}


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
    result = {"done": f"{n_done} {what}"}
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
            mult_vae(clock).fit(X)
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


def exponent(sizes, seconds):
    """Slope of the logarithm of the seconds over that of the sizes."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


# Report


def write(report, output):
    """Write the results as JSON and as Markdown."""
    lines = ["# Very large catalogues", ""]
    for part, table in (("large", large), ("growth", growth), ("step", step)):
        if part in report:
            lines += [*table(report[part]), *described(report[part])]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    output.with_suffix(".md").write_text("\n".join(lines).rstrip() + "\n")


def large(results):
    """Lines of the table of the largest catalogue."""
    lines, heads = [], {}
    for name in [name for name in MODELS if name in results]:
        for shape, found in results[name].items():
            heads.setdefault(shape, []).append((name, found))
    for shape, rows in heads.items():
        n_users, n_items, _ = map(int, shape.split("x"))
        n_interactions, n_folded_in = (
            rows[0][1][key] for key in ("n_interactions", "n_folded_in")
        )
        table = [
            [
                "model",
                "fit, s",
                "processor, s",
                "with default passes, s",
                "fold-in, s",
                "ranking, s",
                "fit, GB above",
                "ranking, GB above",
                "in total, GB",
            ]
        ]
        for name, found in rows:
            model = MODELS[name]
            done = f" ({found['done']})" if found["done"] else ""
            whole = found.get("extrapolated processor seconds to fit")
            table.append(
                [
                    model.title,
                    f"{found['seconds to fit']:,.0f}{done}",
                    f"{found['processor seconds to fit']:,.0f}",
                    f"{whole:,.0f} ({model.n_default}, extrapolated)" if whole else "",
                    f"{found['seconds to fold-in']:.2f}",
                    f"{found['seconds to rank']:.1f}",
                    f"{found['peak to fit'] / 1e9:.2f}",
                    f"{found['peak to rank'] / 1e9:.2f}",
                    f"{found['peak in total'] / 1e9:.2f}",
                ]
            )
        above = [n for n, f in rows if f["peak in total"] > LIMIT]
        lines += [
            f"## {n_users:,} users x {n_items:,} items",
            "",
            f"{n_interactions:,} interactions, {N_COMPONENTS} components. Fold-in "
            f"and ranking of {N_RANKED} items are for {n_folded_in:,} users. What the "
            "passes of the defaults would take is extrapolated from the seconds of the "
            "processor. Memory is the peak above the level with the matrix in memory "
            "(for ranking also with the model), and in total that of the process. "
            f"{'Above' if above else 'All within'} the limit of {LIMIT / 1e9:.0f} GB"
            f"{': ' + ', '.join(above) if above else ''}.",
            "",
            *aligned(table),
            "",
        ]
    return lines


def growth(results):
    """Lines of the table of the growth with the items."""
    shapes = sorted(
        {s for found in results.values() for s in found}, key=lambda s: _n_items(s)
    )
    n_users, _, n_interactions = map(int, shapes[0].split("x"))
    table = [
        [
            "model",
            "processor seconds of",
            *(f"{_n_items(s):,}" for s in shapes),
            "exponent",
        ]
    ]
    measured = {
        "linear": [("a fit", "processor seconds to fit")],
        "mult-vae": [("a step", "processor seconds of a step")],
        "collaborative": [("a round", "processor seconds of a pass")],
        "implicit": [("an iteration", "processor seconds of a pass")],
    }
    for name in [name for name in MODELS if name in results]:
        for what, key in [*measured[name], ("ranking", "processor seconds to rank")]:
            found = {s: results[name][s][key] for s in shapes if s in results[name]}
            cells = [f"{found[s]:.3g}" if s in found else "" for s in shapes]
            slope = ""
            if len(found) > 1:
                sizes = [_n_items(s) for s in found]
                slope = f"{exponent(sizes, list(found.values())):.2f}"
            table.append([MODELS[name].title, what, *cells, slope])
    n_folded_in = next(
        one["n_folded_in"] for found in results.values() for one in found.values()
    )
    return [
        "## Growth with the items",
        "",
        f"{n_users:,} users with about {n_interactions:,} interactions. Ranking of "
        f"{N_RANKED} items is for {n_folded_in:,} users.",
        "",
        *aligned(table),
        "",
    ]


def step(results):
    """Lines of the table of the parts of a sampled step."""
    (found,) = results["mult-vae"].values()
    table = [
        ["items", "columns visited", "batch, ms", "gradients, ms", "both, ms"]
        + ["optimiser, ms"]
    ]
    for n_items, parts in found["seconds of parts"].items():
        both = found["seconds without optimiser"][n_items]
        columns = found["columns"][n_items]
        table.append(
            [f"{int(n_items):,}", f"{columns:,.0f}"]
            + [f"{1000 * seconds:.1f}" for seconds in (*parts[:2], both, parts[2])]
        )
    within = found["exponent"] <= MAX_STEP_EXPONENT
    return [
        "## A sampled step of MultVAERecommender",
        "",
        f"Medians of {min(found['n_steps'].values()):,} steps or more, in milliseconds "
        "of the processor. The exponent of both parts without the optimiser is "
        f"{found['exponent']:.2f}, {'within' if within else 'ABOVE'} "
        f"{MAX_STEP_EXPONENT}.",
        "",
        *aligned(table),
        "",
    ]


def _n_items(shape):
    return int(shape.split("x")[1])


def described(results):
    """Machine, versions and command of each run, with the models that it measured."""
    runs = {}
    for name, found in results.items():
        for result in found.values():
            runs.setdefault(describe(result["run"]), {})[MODELS[name].title] = None
    if len(runs) == 1:
        return [*runs, ""]
    lines = [f"{', '.join(titles)}: {run}" for run, titles in runs.items()]
    return [line for run in lines for line in (run, "")]


if __name__ == "__main__":
    sys.exit(main())
