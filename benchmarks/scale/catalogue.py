"""Memory and time of very large catalogues, and how the time grows with the items.

    OMP_NUM_THREADS=1 python -m benchmarks.scale.catalogue
    OMP_NUM_THREADS=1 python -m benchmarks.scale.catalogue --parts large --models linear
    python -m benchmarks.scale.catalogue --quick --output trial

Three parts, each of which replaces its results in the output and keeps the others:

- "large": 1,000,000 users x 1,000,000 items with 50,000,000 interactions. Each model has
  a process of its own, which fits, folds in 1,000 users and ranks 100 items for each of
  them. The peak above the matrix is that of the resident set, minus the resident set
  with the matrix in memory and after a fit of small data, so that imports do not count.
  The peak in total is that of the whole process.
- "growth": 100,000 users, 2,000,000 interactions, and 10,000 to 1,000,000 items. The
  exponent is the slope of the logarithm of the seconds over that of the items.
- "step": a step of `MultVAERecommender` with sampled items on 50,000 to 1,000,000 items,
  with the pass of the optimiser apart. The sizes take turns in one process.

Models that need many passes over the data do some of them; what the passes of their
defaults would take is extrapolated, and named so. Results of other models are kept, so
models can be run one by one. The matrices are drawn, and kept in `--folder` if given.

Interactions are drawn by power laws: every user has three tastes of 100, and a taste
draws its items with probabilities that fall with a power of their rank.
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
import scipy.sparse as sp
from skorch.callbacks import Callback

from benchmarks.environment import REPOSITORY, RESULTS, describe, environment
from benchmarks.memory.recommender import measure
from benchmarks.ranking.implicit_als import INSTALLED
from benchmarks.ranking.ml1m import aligned
from skvae import CollaborativeVAE, LinearVAERecommender, MultVAERecommender

N_COMPONENTS, N_SAMPLED_ITEMS = 64, 5000
N_RANKED = 100  # items for each user
PARTS = ("large", "growth", "step")
LIMIT = 12e9  # bytes in total, for "large"
MAX_STEP_EXPONENT = 0.2
SLOW_START = 5  # first steps that do not count

# Shape of the generated interactions.
N_TASTES, SHARES_OF_TASTES, EXPONENT = 100, (0.6, 0.3, 0.1), 0.8
BLOCK_USERS = 50_000


class Sizes(NamedTuple):
    """Numbers of users, items and interactions of all parts."""

    large: tuple
    growth: tuple  # users and interactions
    growth_items: tuple
    step_items: tuple
    folded_in: int
    rounds: int  # in which the sizes of "step" take turns


FULL = Sizes(
    large=(1_000_000, 1_000_000, 50_000_000),
    growth=(100_000, 2_000_000),
    growth_items=(10_000, 30_000, 100_000, 300_000, 1_000_000),
    step_items=(50_000, 100_000, 200_000, 500_000, 1_000_000),
    folded_in=1000,
    rounds=3,
)
QUICK = Sizes(
    large=(1500, 2000, 30_000),
    growth=(1000, 10_000),
    growth_items=(500, 1000),
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
    report = json.loads(path.read_text()) if path.exists() else {}
    with tempfile.TemporaryDirectory() as temporary:
        options.folder = options.folder or Path(temporary)
        for part, model, shape in tasks(options):
            result = run_apart(part, model, shape, options) | {"run": environment()}
            print(f"{part} {model} {shape}: {json.dumps(result)}", flush=True)
            key = "x".join(map(str, shape))
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
        yield "step", "mult-vae", sizes.growth


def run_apart(part, model, shape, options):
    """Run `run_here` in a new process, on a matrix that is drawn if it is missing."""
    if part != "step":
        keep_matrix(shape, options.folder)
    command = [sys.executable, "-m", "benchmarks.scale.catalogue", "--one", part]
    command += ["--models", model, "--shape", *map(str, shape)]
    command += ["--folder", str(options.folder)] + ["--quick"] * options.quick
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_here(options):
    """Measure one model on one matrix; a dict of numbers."""
    sizes = QUICK if options.quick else FULL
    if options.one == "step":
        return sampled_steps(*options.shape, sizes)
    return one_model(*options.models, options.shape, options.folder, sizes.folded_in)


# Models


class Clock(Callback):
    """Record the seconds of epochs, and of the parts of each step.

    The parts are those before the step, in which the batch is taken; until the
    gradients are there; and that of the optimiser.
    """

    def on_train_begin(self, net, **kwargs):
        """Start."""
        self.epochs, self.steps, self.columns = [], [], []

    def on_epoch_begin(self, net, **kwargs):
        """Start an epoch."""
        self.epoch_start = self.last = time.perf_counter()

    def on_batch_begin(self, net, batch=None, **kwargs):
        """Take the time at which the batch is there."""
        self.taken = time.perf_counter()
        self.columns.append(batch.n_columns)

    def on_grad_computed(self, net, **kwargs):
        """Take the time at which the gradients are there."""
        self.computed = time.perf_counter()

    def on_batch_end(self, net, **kwargs):
        """Record the step."""
        now = time.perf_counter()
        self.steps.append(np.diff([self.last, self.taken, self.computed, now]))
        self.last = now

    def on_epoch_end(self, net, **kwargs):
        """Record the epoch."""
        self.epochs.append(time.perf_counter() - self.epoch_start)

    def median_step(self):
        """Median seconds of the parts of a step: (3,)."""
        return np.median(self.steps[SLOW_START:], axis=0)


class ImplicitALS:
    """ALS of implicit, in one thread, with the methods of a recommender."""

    def __init__(self, n_iterations=1):
        self.n_iterations = n_iterations

    def fit(self, X):
        from implicit.cpu.als import AlternatingLeastSquares

        self.seconds = []
        self.model = AlternatingLeastSquares(
            N_COMPONENTS, iterations=self.n_iterations, num_threads=1, random_state=0
        )
        self.model.fit(
            sp.csr_matrix(X),
            show_progress=False,
            callback=lambda _, seconds, loss: self.seconds.append(seconds),
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


def one_model(name, shape, folder, n_folded_in):
    """Fit a model, fold users in and rank for them; a dict of seconds and bytes."""
    MODELS[name].make(Clock()).fit(draw_interactions(60, 40, 400)).recommend(
        draw_interactions(60, 40, 400), 5
    )  # imports are not counted
    X = read_matrix(shape, folder)
    clock = Clock()
    model = MODELS[name].make(clock)
    some = X[:n_folded_in]
    stages = {
        "fit": measure(lambda: model.fit(X)),
        "fold-in": measure(lambda: model.transform(some)),
        "rank": measure(lambda: model.recommend(some, N_RANKED)),
    }
    result = {"n_interactions": X.nnz, "n_folded_in": n_folded_in}
    for stage, found in stages.items():
        result[f"seconds to {stage}"] = found["seconds"]
        result[f"peak to {stage}"] = found["peak"]
    result["peak in total"] = max(f["level"] + f["peak"] for f in stages.values())
    passes = model.seconds if name == "implicit" else getattr(clock, "epochs", [])
    if passes:
        result["seconds of a pass"] = float(np.median(passes))
        missing = MODELS[name].n_default - MODELS[name].n_done
        result["extrapolated seconds to fit"] = (
            stages["fit"]["seconds"] + missing * result["seconds of a pass"]
        )
    if name == "mult-vae":
        result["seconds of a step"] = float(clock.median_step().sum())
    return result


def sampled_steps(n_users, n_interactions, sizes):
    """Median seconds of the parts of a sampled step, by number of items."""
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


# Interactions


def draw_interactions(n_users, n_items, n_interactions, seed=0):
    """Draw interactions with tastes, block by block: CSR of ones, in float32.

    The numbers of interactions of users are lognormal. Those of items follow power
    laws, in a random order of the columns.
    """
    rng = np.random.default_rng(seed)
    columns = rng.permutation(n_items).astype(np.int32)
    lengths = rng.lognormal(size=n_users)
    lengths *= n_interactions / lengths.sum()
    factor = 1.0  # as a user may draw an item more than once
    for _ in range(3):
        trial = _lengths(lengths[:BLOCK_USERS], factor, n_items)
        n_kept = len(_draw_block(trial, columns, rng)[0])
        factor *= lengths[:BLOCK_USERS].sum() / n_kept
    indices, counts = [], [[0]]
    for start in range(0, n_users, BLOCK_USERS):
        part = _lengths(lengths[start : start + BLOCK_USERS], factor, n_items)
        found = _draw_block(part, columns, rng)
        indices.append(found[0])
        counts.append(found[1])
    indices = np.concatenate(indices)
    indptr = np.concatenate(counts).cumsum().astype(np.int32)
    ones = np.ones(len(indices), dtype=np.float32)
    return sp.csr_array((ones, indices, indptr), shape=(n_users, n_items))


def _lengths(lengths, factor, n_items):
    return np.ceil(factor * lengths).clip(1, n_items // 4).astype(np.int64)


def _draw_block(lengths, columns, rng):
    """Draw the columns of some users, sorted, and the number of them by user."""
    n_items, n_tastes = len(columns), max(1, min(N_TASTES, len(columns) // 20))
    users = np.repeat(np.arange(len(lengths)), lengths)
    tastes = rng.integers(n_tastes, size=(len(lengths), len(SHARES_OF_TASTES)))
    which = np.searchsorted(np.cumsum(SHARES_OF_TASTES)[:-1], rng.random(len(users)))
    # The quantile function of a density that falls with a power of the rank.
    per_taste = n_items // n_tastes
    power = 1 - EXPONENT
    quantile = 1 + rng.random(len(users)) * ((per_taste + 1) ** power - 1)
    rank = np.minimum(quantile ** (1 / power), per_taste).astype(np.int64) - 1
    items = columns[rank * n_tastes + tastes[users, which]]
    cells = np.unique(users * n_items + items)
    counts = np.bincount(cells // n_items, minlength=len(lengths))
    return (cells % n_items).astype(np.int32), counts


def keep_matrix(shape, folder):
    """Draw the matrix of a shape into a folder, unless it is there."""
    path = _path(shape, folder)
    if path.exists():
        return
    X = draw_interactions(*shape)
    path.mkdir(parents=True)
    np.save(path / "indices.npy", X.indices)
    np.save(path / "indptr.npy", X.indptr)


def read_matrix(shape, folder):
    """Read a matrix that `keep_matrix` has drawn."""
    parts = [np.load(_path(shape, folder) / f"{n}.npy") for n in ("indices", "indptr")]
    ones = np.ones(len(parts[0]), dtype=np.float32)
    return sp.csr_array((ones, *parts), shape=tuple(shape[:2]))


def _path(shape, folder):
    return Path(folder, "x".join(map(str, shape)))


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
                "fit by default, s",
                "fold-in of users, s",
                "ranking for users, s",
                "fit, GB above",
                "ranking, GB above",
                "in total, GB",
            ]
        ]
        for name, found in rows:
            model = MODELS[name]
            done = f" ({model.n_done} {model.passes})" if model.passes else ""
            whole = found.get("extrapolated seconds to fit")
            table.append(
                [
                    model.title,
                    f"{found['seconds to fit']:,.0f}{done}",
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
            f"and ranking of {N_RANKED} items are for {n_folded_in:,} users. Memory is the peak "
            "above the level with the matrix in memory (for ranking also with the "
            "model), and in total that of the process. "
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
    table = [["model", "seconds of", *(f"{_n_items(s):,}" for s in shapes), "exponent"]]
    measured = {
        "linear": [("a fit", "seconds to fit")],
        "mult-vae": [("a step", "seconds of a step")],
        "collaborative": [("a round", "seconds of a pass")],
        "implicit": [("an iteration", "seconds of a pass")],
    }
    for name in [name for name in MODELS if name in results]:
        for what, key in [*measured[name], ("ranking", "seconds to rank")]:
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
        f"Medians of {min(found['n_steps'].values()):,} steps or more. The exponent of "
        f"both parts without the optimiser is {found['exponent']:.2f}, "
        f"{'within' if within else 'ABOVE'} {MAX_STEP_EXPONENT}.",
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
