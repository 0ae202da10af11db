"""Draw the parts of the time of a training step, from results/speed.json.

python -m benchmarks.speed.picture [--results speed.json] [--output performance.svg]
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt

from benchmarks.environment import REPOSITORY, RESULTS
from benchmarks.speed.report import TITLES

# Groups of the floor's parts, and their colours (colour-blind safe, Okabe & Ito).
GROUPS = {
    "first layer and its gradient": ("#0072B2", ("first layer", "its gradient")),
    "layers between": ("#56B4E9", ("layers between",)),
    "output layer and its gradients": ("#009E73", ("output layer", "its gradients")),
    "loss": ("#E69F00", ("loss",)),
    "optimiser": ("#D55E00", ("optimiser",)),
}
REST = ("all else", "#BBBBBB")
SHAPES = {"ml-1m": "MovieLens 1M", "ml-20m": "shape of MovieLens 20M"}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    results = RESULTS / "speed.json"
    parser.add_argument("--results", type=Path, default=results)
    output = REPOSITORY / "docs" / "images" / "performance.svg"
    parser.add_argument("--output", type=Path, default=output)
    options = parser.parse_args(arguments)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    draw(json.loads(options.results.read_text())).savefig(options.output)


def draw(results):
    """Make a figure with one panel for each shape."""
    shapes = [name for name in SHAPES if name in results]
    figure, axes = plt.subplots(
        len(shapes), figsize=(8, 1.2 + 2.2 * len(shapes)), layout="constrained"
    )
    plt.rcParams["svg.hashsalt"] = "skvae"  # the same results give the same file
    for name, ax in zip(shapes, [axes] if len(shapes) == 1 else axes, strict=True):
        _panel(ax, results[name])
        ax.set_title(SHAPES[name], loc="left")
    axes = figure.axes
    axes[-1].set_xlabel("time of a training step (ms)")
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=3,
        frameon=False,
    )
    return figure


def _panel(ax, result):
    """Draw stacked bars for floor and skvae, and single bars for the peers."""
    steps = {
        name: 1e3 * found["seconds"] / found["count"]
        for name, found in result["epoch"].items()
        if found["count"]
    }
    kind = min(("sparse", "dense"), key=lambda k: steps[f"floor, {k} first layer"])
    floor = steps[f"floor, {kind} first layer"]
    peers = [name for name in steps if name in TITLES]
    rows = [f"floor, {kind} first layer", "skvae", *peers]
    other = {"sparse": "dense", "dense": "sparse"}[kind]
    parts = {n: 1e3 * s for n, s in result["parts"].items() if not n.endswith(other)}
    scale = floor / sum(parts.values())  # parts were timed separately
    left = 0.0
    for label, (colour, starts) in GROUPS.items():
        width = scale * sum(v for n, v in parts.items() if n.split(",")[0] in starts)
        ax.barh([0, 1], width, left=left, color=colour, label=label)
        left += width
    ax.barh(1, steps["skvae"] - left, left=left, color=REST[1], label=REST[0])
    for place, name in enumerate(peers, start=2):
        ax.barh(place, steps[name], color=REST[1])
    for place, name in enumerate(rows):
        ax.text(steps[name], place, f" {steps[name] / floor:.2f} x", va="center")
    ax.set_yticks(range(len(rows)), [TITLES.get(name, name) for name in rows])
    ax.invert_yaxis()
    ax.margins(x=0.1)
    ax.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
