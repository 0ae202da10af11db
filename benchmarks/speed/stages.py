"""The parts of the speed benchmark: each measures and returns plain values."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from benchmarks.speed import shapes
from benchmarks.speed.contestant import Contestant, ContestantError
from benchmarks.speed.environments import WORKERS, interpreter
from benchmarks.speed.rounds import run_rounds, start_all

HERE = Path(__file__).resolve().parent
FLOOR, OURS = "floor", "skvae"
# Action of the contestant for each row of a table.
EPOCH_FLOORS = {
    "floor, sparse first layer": "epoch_sparse",
    "floor, dense first layer": "epoch_dense",
}
RANK_FLOOR = {"floor, no item left out": "rank"}
RECOMMENDERS = {"skvae": "recommend", "skvae, I-200-I": "recommend_linear"}
ALS_RECOMMENDERS = {
    "implicit, 600 factors": "recommend_wide",
    "implicit": "recommend",
    "implicit, 128 factors": "recommend_few",
}
N_BATCHES = 4  # per epoch at the shape of MovieLens 20M
RANKED_USERS = 2000  # at the shape of MovieLens 20M
GROWTH_BASE = (2_000, 4_000, 100_000)  # users, items, interactions
FACTORS = {"users": (1, 2, 4, 8), "items": (1, 2, 4, 8), "interactions": (1, 2, 4)}
IMPORT = "import time, torch, sklearn; t = time.perf_counter(); import skvae; \
print(time.perf_counter() - t)"


def ml_1m(options):
    """Time whole epochs, rankings and a scorer on the split of MovieLens 1M."""
    return _compare(shapes.ml_1m(options.data), options, peers=options.peers)


def ml_20m(options):
    """Time some steps and rankings at the shape of MovieLens 20M."""
    X = shapes.generated(*shapes.ML_20M)
    limits = {"n_batches": N_BATCHES, "n_users": RANKED_USERS}
    return _compare(X, options, peers=options.peers_at_20m, **limits)


def growth(options):
    """Measure epochs and memory as users, items and interactions grow."""
    sizes = {GROWTH_BASE: "base"}
    for axis, name in enumerate(FACTORS):
        for factor in FACTORS[name][1:]:
            size = np.array(GROWTH_BASE)
            size[axis] *= factor
            if name == "users":  # keep the number of interactions per user
                size[2] *= factor
            sizes[tuple(size.tolist())] = f"{name} x {factor}"
    with tempfile.TemporaryDirectory() as folder:
        contestants = []
        for size, title in sizes.items():
            path = _save(shapes.generated(*size), folder, title)
            contestants.append(_start(title, HERE / "ours.py", path, options)())
        epochs = run_rounds(contestants, "epoch", 1 + options.rounds)
        peaks = run_rounds(contestants, "memory", 1)
        for contestant in contestants:
            contestant.close()
    result = {"base": GROWTH_BASE, "seconds": {}, "bytes": {}, "exponents": {}}
    for size, title in sizes.items():
        result["seconds"][title] = _best(epochs[title])
        matrix = 8 * size[2] + 4 * size[0]
        result["bytes"][title] = peaks[title][0]["bytes"] - matrix
    for name, factors in FACTORS.items():
        titles = ["base", *(f"{name} x {factor}" for factor in factors[1:])]
        times = [result["seconds"][title] for title in titles]
        slope, _ = np.polyfit(np.log(factors), np.log(times), 1)
        result["exponents"][name] = slope
    return result


def import_time(options):
    """Time `import skvae` after torch and scikit-learn have been imported."""
    times = [
        float(subprocess.check_output([sys.executable, "-c", IMPORT]))
        for _ in range(1 + options.rounds)
    ]
    return {"seconds": min(times)}


STAGES = {
    "ml-1m": ml_1m,
    "ml-20m": ml_20m,
    "growth": growth,
    "import": import_time,
}


def _compare(X, options, peers, **limits):
    """Time floor, skvae and peers in interleaved rounds; the best of each counts."""
    with tempfile.TemporaryDirectory() as folder:
        path = _save(X, folder, "matrix")
        starters = [
            _start(FLOOR, HERE / "floor.py", path, options, **limits),
            _start(OURS, HERE / "ours.py", path, options, **limits),
        ]
        starters += [_start_peer(peer, path, options, **limits) for peer in peers]
        contestants = start_all(starters)
        floor, ours = contestants[:2]
        if (floor.title, ours.title) != (FLOOR, OURS):
            raise ContestantError(
                "The floor or skvae could not be started, but both are needed; see the "
                "message above."
            )
        rounds = 1 + options.rounds  # the first is slower: memory, caches
        result = {"shape": X.shape, "interactions": X.nnz, **limits}
        rankers = {FLOOR: RANK_FLOOR, OURS: RECOMMENDERS, "implicit": ALS_RECOMMENDERS}
        for name, contenders, own_rows in (
            ("epoch", contestants, {FLOOR: EPOCH_FLOORS}),
            ("recommend", contestants, rankers),
            ("scorer", contestants[:2], {FLOOR: RANK_FLOOR}),
        ):
            result[name] = _interleaved(contenders, rounds, name, own_rows)
        result["parts"] = floor.run("parts")["parts"]
        for contestant in contestants:
            contestant.close()
    return result


def _interleaved(contestants, n_rounds, action, own_rows):
    """Time an action of each contestant, or its own actions, round by round.

    Parameters
    ----------
    contestants : list of Contestant
        Contestants to time.
    n_rounds : int
        Number of rounds.
    action : str
        Action of the contestants that are not in `own_rows`.
    own_rows : dict
        For the title of a contestant, a dict from the names of its rows to the actions
        that it does instead.

    Returns
    -------
    rows : dict
        For the name of each row, the shortest seconds and the count.
    """
    replies = {}
    contestants = list(contestants)
    for _ in range(n_rounds):
        for contestant in list(contestants):
            rows = own_rows.get(contestant.title, {contestant.title: action})
            for row, name in rows.items():
                if contestant not in contestants:
                    break  # it has failed
                reply = run_rounds([contestant], name, 1)[contestant.title]
                if not reply:
                    contestants.remove(contestant)
                replies.setdefault(row, []).extend(reply)
    return {
        row: {"seconds": _best(found), "count": found[0].get("count")}
        for row, found in replies.items()
        if found
    }


def _start(title, worker, matrix, options, python=sys.executable, **limits):
    settings = {"matrix": matrix, "threads": options.threads, **limits}
    return lambda: Contestant(title, worker, settings, python)


def _start_peer(peer, matrix, options, **limits):
    def start():
        python = interpreter(peer, options.environments)
        return _start(peer, WORKERS[peer], matrix, options, python, **limits)()

    return start


def _save(X, folder, title):
    path = Path(folder) / f"{title.replace(' ', '-')}.npz"
    sp.save_npz(path, X, compressed=False)
    return path


def _best(replies):
    return min(reply["seconds"] for reply in replies)
