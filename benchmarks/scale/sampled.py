"""Mult-VAE with sampled items and with all items: time and quality by epoch.

    python -m benchmarks.scale.sampled
    python -m benchmarks.scale.sampled --components 200 --epochs 10 --output trial.md

On amazon-book-part both models train in turn, an epoch each, so that both meet the same
load of the machine; seconds are those of the processor. The first epoch includes the
fit of the linear start, and epochs are compared without it. After each epoch NDCG@20 is
computed for the validation interactions of 5,000 of the training users. One seed.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.environment import DATA, RESULTS, describe, environment
from benchmarks.ranking.ml1m import aligned
from benchmarks.ranking.sets import read_split
from skvae import MultVAERecommender
from skvae.metrics._scorer import ranking_scores

N_VALIDATED = 5000


def main(arguments=None):
    """Train both models, and write the table after each epoch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--set", default="amazon-book-part", dest="name")
    parser.add_argument("--components", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=5, help="2 or more")
    parser.add_argument("--rate", type=float, default=0.001)
    parser.add_argument("--init", choices=("linear", "random"), default="linear")
    parser.add_argument("--sampled-items", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=RESULTS / "sampled.md")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    X, held_out, _ = read_split(options.name, options.data)
    users = np.random.default_rng(0).permutation(X.shape[0])[:N_VALIDATED]
    models = {
        name: MultVAERecommender(
            options.components,
            n_sampled_items=n_sampled,
            init=options.init,
            learning_rate_init=options.rate,
            max_iter=options.epochs,
            random_state=0,
        )
        for name, n_sampled in (("all", None), ("sampled", options.sampled_items))
    }
    curves = {name: [] for name in models}  # (seconds until then, NDCG@20)
    for _ in range(options.epochs):
        for name, model in models.items():
            started = time.process_time()
            model.partial_fit(X)
            seconds = time.process_time() - started
            score = ranking_scores(model, X[users], held_out[users], "ndcg@20")
            before = curves[name][-1][0] if curves[name] else 0.0
            curves[name].append((before + seconds, score))
            print(name, len(curves[name]), *curves[name][-1], flush=True)
        if len(curves["all"]) > 1:
            options.output.write_text(report(options, X.shape, curves))


def report(options, shape, curves):
    """Table of the epochs, and what follows from it, as Markdown.

    Parameters
    ----------
    curves : dict of str to list of (float, float)
        Seconds up to each epoch, and the score after it, of "all" and "sampled".
    """
    rows = [["epoch", "all: s", "all: NDCG@20", "sampled: s", "sampled: NDCG@20"]]
    for epoch, pair in enumerate(zip(*curves.values(), strict=True), 1):
        rows.append([str(epoch)])
        for seconds, score in pair:
            rows[-1] += [f"{seconds:.1f}", f"{score:.4f}"]
    exact, sampled = curves["all"], curves["sampled"]
    goal = 0.98 * exact[-1][1]
    reached = {name: time_to(goal, curve) for name, curve in curves.items()}
    shares = [curve[-1][0] - curve[0][0] for curve in (sampled, exact)]
    last = f"after {len(exact)} of {options.epochs} epochs"
    lines = [
        "# Mult-VAE with sampled items",
        "",
        f"{options.name}: {shape[0]:,} users, {shape[1]:,} items, "
        f"{options.components} components, {options.sampled_items:,} items drawn for "
        f"a step, {options.init} start. Seconds of the processor up to each epoch; "
        "NDCG@20 of validation interactions.",
        "",
        f"- An epoch takes {shares[0] / shares[1]:.3f} of the time of an epoch with "
        "all items.",
        f"- NDCG@20 {last} is {sampled[-1][1] / exact[-1][1]:.3f} of that with all "
        "items.",
    ]
    if None not in reached.values():
        share = reached["sampled"] / reached["all"]
        lines.append(
            f"- 98 % of the final NDCG@20 with all items, {goal:.4f}, is reached after "
            f"{reached['sampled']:.0f} s, and with all items after "
            f"{reached['all']:.0f} s: {share:.3f} of the time, and "
            f"{reached['sampled'] / exact[-1][0]:.3f} of that of all epochs."
        )
    lines += ["", *aligned(rows), "", describe(environment())]
    return "\n".join(lines) + "\n"


def time_to(goal, curve):
    """Seconds until the score first reaches the goal; None if it never does."""
    return next((seconds for seconds, score in curve if score >= goal), None)


if __name__ == "__main__":
    main()
