"""Peak memory of Mult-VAE on a matrix with many users and items.

    python -m benchmarks.memory.recommender
    python -m benchmarks.memory.recommender --users 20000 --items 5000 --nnz 2000000

Each step runs in a separate process: one writes the matrix, one fits, one recommends.
The peak of a step is the largest resident set during the step, minus the resident set
just before it, with the package imported and the matrix in memory. It is sampled every
few milliseconds and compared with the peak that the system recorded for the process,
which covers every moment; the larger one counts.

The matrix is drawn uniformly over the items: values and popularity do not matter for
memory, only the shape, the number of non-zeros and the distribution of the row lengths.
It is exponential, so that there are long rows too.

The benchmark measures CPU memory. The exit code is 1 if a peak is above the limit.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.environment import REPOSITORY

LIMIT = 2 * 1024**3
SAMPLE_SECONDS = 0.005
MODEL = {"max_iter": 1, "batch_size": 500}  # and the defaults
CHUNK_USERS = 20_000


def main(arguments=None):
    """Run all steps and print the report; return the exit code."""
    options = parse(arguments)
    if options.step:
        result = STEPS[options.step](options)
        Path(options.folder, f"{options.step}.json").write_text(json.dumps(result))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        results = {step: run_step(step, options, folder) for step in STEPS}
    return report(results)


def parse(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Peak memory of fit and recommend beyond the matrix itself."
    )
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument(
        "--nnz", type=int, default=20_000_000, help="minimum number of non-zeros"
    )
    parser.add_argument(
        "--recommend-users",
        type=int,
        help="number of users to recommend to (default: all)",
    )
    parser.add_argument("--n-items", type=int, default=100, help="length of a list")
    parser.add_argument("--components", type=int, help="width of the latent code")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def run_step(step, options, folder):
    """Run one step in a new process and return its result."""
    given = {**vars(options), "step": step, "folder": folder}
    command = [sys.executable, "-m", "benchmarks.memory.recommender"]
    for name, value in given.items():
        if value is not None:
            command.append(f"--{name.replace('_', '-')}={value}")
    subprocess.run(command, check=True, cwd=REPOSITORY)
    return json.loads(Path(folder, f"{step}.json").read_text())


def make_matrix(options):
    """Write a random CSR with at least `nnz` entries as three arrays."""
    import numpy as np

    rng = np.random.default_rng(0)
    n_users, n_items = options.users, options.items
    start = time.perf_counter()
    lengths = rng.exponential(size=n_users)
    lengths = 1 + lengths / lengths.sum() * 1.02 * options.nnz  # duplicates are lost
    lengths = np.minimum(lengths, n_items // 2).astype(np.int64)
    indices, counts = [], []
    for first in range(0, n_users, CHUNK_USERS):
        part = lengths[first : first + CHUNK_USERS]
        rows = np.repeat(np.arange(len(part)), part)
        cells = np.unique(rows * n_items + rng.integers(n_items, size=len(rows)))
        indices.append((cells % n_items).astype(np.int32))
        counts.append(np.bincount(cells // n_items, minlength=len(part)))
    indices = np.concatenate(indices)
    indptr = np.concatenate([[0], *counts]).cumsum()
    folder = Path(options.folder)
    np.save(folder / "indices.npy", indices)
    np.save(folder / "indptr.npy", indptr.astype(np.int32))
    np.save(folder / "data.npy", np.ones(len(indices), dtype=np.float32))
    return {"seconds": time.perf_counter() - start}


def measure_fit(options):
    """Fit for one epoch; save the model for the next step."""
    import joblib

    from skvae import MultVAERecommender

    X = load_matrix(options)
    model = MultVAERecommender(**MODEL, device=options.device, random_state=0)
    if options.components:
        model.set_params(n_components=options.components)
    result = measure(lambda: model.fit(X))
    joblib.dump(model, Path(options.folder, "model.joblib"))
    return result | {
        "n_components": model.n_components,
        "shape": X.shape,
        "nnz": X.nnz,
        "matrix_bytes": X.data.nbytes + X.indices.nbytes + X.indptr.nbytes,
    }


def measure_recommend(options):
    """Rank the top items of many users."""
    import joblib

    X = load_matrix(options)
    model = joblib.load(Path(options.folder, "model.joblib"))
    X = X[: options.recommend_users]
    result = measure(lambda: model.recommend(X, n_items=options.n_items))
    return result | {
        "users": X.shape[0],
        "n_items": options.n_items,
        "output_bytes": X.shape[0] * options.n_items * 8,
    }


def load_matrix(options):
    """Read the matrix that the first step wrote."""
    import numpy as np
    import scipy.sparse as sp

    parts = [
        np.load(Path(options.folder, f"{name}.npy"))
        for name in ("data", "indices", "indptr")
    ]
    return sp.csr_array(tuple(parts), shape=(options.users, options.items))


def measure(function):
    """Call the function; return its duration and the rise of memory during it.

    Returns
    -------
    result : dict
        ``seconds``; ``level`` before the call and ``peak`` above it, in bytes.
    """
    import psutil

    process = psutil.Process()
    forget_recorded_peak()
    level = process.memory_info().rss
    peak, done = level, threading.Event()

    def watch():
        nonlocal peak
        while not done.wait(SAMPLE_SECONDS):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        function()
    finally:
        seconds = time.perf_counter() - start
        done.set()
        watcher.join()
    return {
        "seconds": seconds,
        "level": level,
        "peak": max(peak, recorded_peak()) - level,
        "sampled_peak": peak - level,
    }


def forget_recorded_peak():
    """Let the system record the largest resident set from now on, on Linux."""
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def recorded_peak():
    """Largest resident set since `forget_recorded_peak`, on Linux; elsewhere 0."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return 1024 * int(lines["VmHWM"].split()[0])


STEPS = {"matrix": make_matrix, "fit": measure_fit, "recommend": measure_recommend}


def report(results):
    """Print the figures; return 1 if a peak is above the limit, else 0."""
    from benchmarks.environment import describe, environment

    fit, recommend = results["fit"], results["recommend"]
    n_users, n_items = fit["shape"]
    print(
        f"Matrix: {n_users:,} users x {n_items:,} items, {fit['nnz']:,} non-zeros, "
        f"{_mib(fit['matrix_bytes'])} (written in {results['matrix']['seconds']:.0f} s)"
    )
    print(f"Limit above the level with the matrix in memory: {_mib(LIMIT)}\n")
    print(f"{'':34}{'level':>10}{'peak above':>13}{'seconds':>9}")
    ranked = f"recommend {recommend['n_items']} to {recommend['users']:,} users"
    fitted = f"fit, 1 epoch, {fit['n_components']} components"
    for name, step in ((fitted, fit), (ranked, recommend)):
        print(
            f"{name:34}{_mib(step['level']):>10}{_mib(step['peak']):>13}"
            f"{step['seconds']:>9.1f}"
        )
    print(
        f"\nThe lists alone are {_mib(recommend['output_bytes'])} of the second peak."
    )
    print(f"{describe(environment())}\n")
    within = all(step["peak"] <= LIMIT for step in (fit, recommend))
    print("Within the limit." if within else "ABOVE THE LIMIT.")
    return 0 if within else 1


def _mib(n_bytes):
    return f"{n_bytes / 2**20:,.0f} MiB"


if __name__ == "__main__":
    sys.exit(main())
