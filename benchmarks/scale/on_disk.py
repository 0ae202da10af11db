"""200 million interactions with 3 GB of memory: convert, fit two models, and rank.

    OMP_NUM_THREADS=1 python -m benchmarks.scale.on_disk
    OMP_NUM_THREADS=1 python -m benchmarks.scale.on_disk --scale 0.05 --output trial.md

A table with a line for each interaction is generated, in which the lines of a user are
spread over the whole file. Each further step has a process of its own, in a cgroup with
the limit of memory, which counts the cache of files too:

- "convert": `convert_interactions` writes the rows of users;
- "linear": `LinearVAERecommender` is fitted on them, with its defaults;
- "mult-vae": `MultVAERecommender` trains one epoch on them with sampled items.

Each model then ranks 100 items for 1 % of the users, read from the rows on disk. The
peak of a step is the largest resident set of its process, all of Python included. If
there is no cgroup, the limit is that of the data segment (RLIMIT_DATA), which counts
memory that was reserved and not used too.

Users have one of 50 tastes, with 2,000 items each, of which they draw four fifths of
their interactions. Popularity follows a power law. The scores of the rankings are those
of users of the training data, a fifth of whose interactions are hidden from the ranking
but not from training: they show that the models have learned something, no more.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.environment import REPOSITORY, RESULTS, describe, environment
from benchmarks.memory.recommender import recorded_peak
from benchmarks.ranking.ml1m import aligned

N_USERS, N_ITEMS, N_TASTES = 2_000_000, 100_000, 50
# Draws of a user on average. Some are repeated, and become one interaction.
N_DRAWS = 116
# Parts of the table, each with lines of all users, and users drawn at a time.
N_ROUNDS, CHUNK_USERS = 4, 50_000
N_RANKED_ITEMS = 100
GIGABYTE = 1e9


def main(arguments=None):
    """Run all steps, and write a table."""
    options = parse(arguments)
    if options.step:
        run_here(options)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        group, results = make_group(options.memory), []
        try:
            for step in STEPS:
                results.append(run(step, options, folder, group))
                if len(results) > 1:
                    write(results, options, group)
        finally:
            if group:
                group.rmdir()


def parse(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the users")
    parser.add_argument("--memory", type=float, default=3.0, help="limit in GB")
    parser.add_argument("--components", type=int, default=64)
    parser.add_argument("--sampled-items", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=125)
    parser.add_argument("--form", choices=("parquet", "npy"), default="parquet")
    parser.add_argument("--table", choices=("csv", "parquet"), default="csv")
    parser.add_argument("--folder", help="where to make the folder of the data")
    parser.add_argument("--output", type=Path, default=RESULTS / "on_disk.md")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--group", default="", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def make_group(gigabytes):
    """Make a cgroup with a limit of memory below that of this process; None if not."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for root, known, limit in (
            ("/sys/fs/cgroup/memory", "memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "", "memory.max"),
        ):
            group = Path(root + path.rstrip("/"), f"on_disk_{os.getpid()}")
            if known not in controllers.split(","):
                continue
            try:
                group.mkdir()
            except OSError:
                continue
            try:
                (group / limit).write_text(str(int(gigabytes * GIGABYTE)))
            except OSError:
                group.rmdir()
            else:
                return group
    return None


def run(step, options, folder, group):
    """Run a step in a new process; its results."""
    given = {**vars(options), "step": step, "folder": folder, "group": group or ""}
    command = [sys.executable, "-m", "benchmarks.scale.on_disk"]
    command += [f"--{name.replace('_', '-')}={given[name]}" for name in given]
    subprocess.run(command, check=True, cwd=REPOSITORY)
    result = json.loads(Path(folder, f"{step}.json").read_text())
    print(json.dumps(result), flush=True)
    return result


def run_here(options):
    """Run a step in this process, with the limit of memory."""
    if options.step != "generate":
        if options.group:
            Path(options.group, "cgroup.procs").write_text(str(os.getpid()))
        else:
            limit = int(options.memory * GIGABYTE)
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    start = time.perf_counter()
    found = STEPS[options.step](options)
    result = {"step": options.step, "seconds": time.perf_counter() - start, **found}
    result["peak"] = recorded_peak()
    Path(options.folder, f"{options.step}.json").write_text(json.dumps(result))


# Steps


def generate(options):
    """Write the table."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    rng = np.random.default_rng(0)
    n_users = int(N_USERS * options.scale)
    user_ids = 1_000_000 + 7 * rng.permutation(n_users)
    item_ids = 10 + 3 * rng.permutation(N_ITEMS)
    activity = rng.exponential(N_DRAWS, n_users)
    taste = rng.integers(N_TASTES, size=n_users)
    of_taste = cumulated(N_ITEMS // N_TASTES)
    of_all = cumulated(N_ITEMS)
    path = Path(options.folder, f"table.{options.table}")
    schema = pa.schema([("user", pa.int64()), ("item", pa.int64())])
    make = csv.CSVWriter if options.table == "csv" else parquet.ParquetWriter
    n_lines = 0
    with make(path, schema) as writer:
        for _ in range(N_ROUNDS):
            for first in range(0, n_users, CHUNK_USERS):
                part = slice(first, first + CHUNK_USERS)
                lengths = 1 + rng.poisson(activity[part] / N_ROUNDS)
                users = np.repeat(np.arange(first, first + len(lengths)), lengths)
                rng.shuffle(users)
                place = rng.random(len(users))
                own = rng.random(len(users)) < 0.8
                items = np.searchsorted(of_all, place)
                ranks = np.searchsorted(of_taste, place[own])
                items[own] = taste[users[own]] + N_TASTES * ranks
                columns = [user_ids[users], item_ids[items]]
                writer.write_table(pa.table(columns, schema=schema))
                n_lines += len(users)
    return {"n_lines": n_lines, "bytes": path.stat().st_size}


def cumulated(n):
    """Cumulated probabilities that fall with a power of the rank."""
    weights = np.arange(1, n + 1) ** -0.7
    return weights.cumsum()[:-1] / weights.sum()


def convert(options):
    """Convert the table to rows of users."""
    from skvae.datasets import convert_interactions

    table = Path(options.folder, f"table.{options.table}")
    rows = convert_interactions(
        table,
        Path(options.folder, "rows"),
        user="user",
        item="item",
        form=options.form,
    )
    table.unlink()
    size = sum(file.stat().st_size for file in rows.path.iterdir())
    return {"shape": rows.shape, "nnz": rows.nnz, "bytes": size}


def linear(options):
    """Fit and rank by the linear VAE."""
    from skvae import LinearVAERecommender

    model = LinearVAERecommender(options.components, random_state=0)
    return fit_and_rank(model, options)


def mult_vae(options):
    """Fit and rank by Mult-VAE."""
    from skvae import MultVAERecommender

    model = MultVAERecommender(
        options.components,
        n_sampled_items=options.sampled_items,
        batch_size=options.batch_size,
        max_iter=1,
        random_state=0,
    )
    return fit_and_rank(model, options)


def fit_and_rank(model, options):
    """Fit a model on the rows, rank for a hundredth of the users, and score it."""
    from skvae.datasets import RowsOnDisk

    rows = RowsOnDisk(Path(options.folder, "rows"))
    start = time.perf_counter()
    model.fit(rows)
    fitted = time.perf_counter()
    print(f"{type(model).__name__}: {fitted - start:.0f} s", flush=True)
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(len(rows), len(rows) // 100, replace=False))
    some = rows[chosen]
    read = time.perf_counter()
    model.recommend(some, N_RANKED_ITEMS)
    ranked = time.perf_counter()
    return {
        "fit": fitted - start,
        "read": read - fitted,
        "rank": ranked - read,
        "n_ranked": len(chosen),
        "score": model.score(some[:2000]),
    }


STEPS = {"generate": generate, "convert": convert, "linear": linear}
STEPS["mult-vae"] = mult_vae


def write(results, options, group):
    """Write the table of all steps."""
    generated, converted, *models = results
    n_users, n_items = converted["shape"]
    means = "a cgroup" if group else "RLIMIT_DATA"
    lines = [
        f"# {converted['nnz'] / 1e6:,.0f} million interactions with "
        f"{options.memory:g} GB of memory",
        "",
        f"{n_users:,} users, {n_items:,} items and {converted['nnz']:,} interactions, "
        f"converted from {generated['n_lines']:,} lines "
        f"({generated['bytes'] / GIGABYTE:.1f} GB, {options.table}) to "
        f"{converted['bytes'] / GIGABYTE:.1f} GB on disk ({options.form}). As a CSR in "
        f"memory they are {8 * converted['nnz'] / GIGABYTE:.1f} GB. The memory of each "
        f"step was limited to {options.memory:g} GB by {means}.",
        "",
    ]
    rows = [["step", "minutes", "peak RSS, MB", "NDCG@100"]]
    rows.append(["convert", minutes(converted["seconds"]), peak(converted), ""])
    for model in models:
        name = model["step"]
        score = f"{model['score']:.3f}"
        rows.append([f"{name}: fit", minutes(model["fit"]), peak(model), score])
        ranking = f"{name}: read and rank {model['n_ranked']:,} users"
        rows.append([ranking, minutes(model["read"] + model["rank"]), "", ""])
    lines += aligned(rows)
    trained = (
        f"mult-vae trains one epoch with {options.sampled_items:,} sampled items and "
        f"batches of {options.batch_size} users. "
    )
    has_trained = any(model["step"] == "mult-vae" for model in models)
    lines += [
        "",
        f"Models have {options.components} components. {trained if has_trained else ''}"
        "The peak is that of the process of the step. NDCG@100 is of users of the "
        "training data, and no measure of quality.",
        "",
        describe(environment()),
    ]
    options.output.write_text("\n".join(lines) + "\n")


def minutes(seconds):
    """Seconds as text in minutes."""
    return f"{seconds / 60:.1f}"


def peak(result):
    """Peak of a step as text in megabytes."""
    return f"{result['peak'] / 1e6:,.0f}"


if __name__ == "__main__":
    main()
