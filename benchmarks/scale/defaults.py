"""The default Mult-VAE and the linear VAE on a wide catalogue: time, memory, ranking.

    OMP_NUM_THREADS=1 python -m benchmarks.scale.defaults
    python -m benchmarks.scale.defaults --users 2000 --items 3000 --interactions 40000

Interactions are generated, by power laws and with tastes. 5,000 users are held out, and
a fifth of the interactions of each is to be predicted. The peak is that of the process,
with the matrix in it; each model has a process of its own. One seed.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.environment import REPOSITORY, RESULTS, describe, environment
from benchmarks.memory.recommender import measure
from benchmarks.ranking.ml1m import aligned
from benchmarks.scale.interactions import draw_interactions
from skvae import LinearVAERecommender, MultVAERecommender
from skvae.metrics._scorer import ranking_scores
from skvae.model_selection import hold_out_interactions

MODELS = {
    "LinearVAERecommender()": LinearVAERecommender(random_state=0),
    "MultVAERecommender()": MultVAERecommender(random_state=0),
}
METRICS = ("ndcg@100", "recall_relevant@20")
N_HELD_OUT = 5000


def main(arguments=None):
    """Run both models, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--interactions", type=int, default=2_000_000)
    parser.add_argument("--output", type=Path, default=RESULTS / "defaults.md")
    parser.add_argument("--one", choices=MODELS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    shape = options.users, options.items, options.interactions
    if options.one:
        print(json.dumps(run(MODELS[options.one], shape)))
        return
    results = {name: run_apart(name, shape) for name in MODELS}
    options.output.write_text(report(results, shape))


def run_apart(name, shape):
    """Run a model in a process of its own."""
    numbers = zip(
        ("--users", "--items", "--interactions"), map(str, shape), strict=True
    )
    command = [sys.executable, "-m", "benchmarks.scale.defaults", "--one", name]
    command += [word for pair in numbers for word in pair]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    print(name, done.stdout.decode(), flush=True)
    return json.loads(done.stdout.splitlines()[-1])


def run(model, shape):
    """Fit on all users but those held out, and rank for these; a dict of numbers."""
    X = draw_interactions(*shape)
    n_held_out = min(N_HELD_OUT, shape[0] // 10)
    order = np.random.default_rng(0).permutation(shape[0])
    train = X[np.sort(order[n_held_out:])]
    fold_in, truth = hold_out_interactions(X[order[:n_held_out]], random_state=0)
    found = measure(lambda: model.fit(train))
    scores = ranking_scores(model, fold_in, truth, METRICS)
    return {
        "seconds": found["seconds"],
        "bytes": found["level"] + found["peak"],
        **{name: float(scores[name]) for name in METRICS},
    }


def report(results, shape):
    """Table of the models as Markdown."""
    rows = [["", "s to fit", "peak, GB", *METRICS]]
    for name, result in results.items():
        figures = [f"{result[metric]:.4f}" for metric in METRICS]
        rows.append(
            [name, f"{result['seconds']:.0f}", f"{result['bytes'] / 1e9:.2f}", *figures]
        )
    users, items, interactions = shape
    lines = [
        "# The defaults on a wide catalogue",
        "",
        f"{users:,} users, {items:,} items, {interactions:,} interactions, generated. "
        "Users who were not in the training data.",
        "",
        *aligned(rows),
        "",
        describe(environment()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
