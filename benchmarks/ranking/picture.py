"""Draw quality against fit time on all sets, from results/sets.json.

python -m benchmarks.ranking.picture [--results sets.json] [--output sets.svg]
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.ticker import NullFormatter

from benchmarks.environment import REPOSITORY, RESULTS

# Colours (colour-blind safe, Okabe & Ito) and markers by the start of a title.
STYLES = {
    "LinearVAERecommender, defaults": ("#0072B2", "o"),
    "LinearVAERecommender": ("#56B4E9", "o"),
    "MultVAERecommender": ("#D55E00", "s"),
    "Mult-DAE": ("#E69F00", "s"),
    "blend: linear + EASE + Mult-VAE": ("#000000", "*"),
    "blend": ("#777777", "*"),
    "EASE with exponents": ("#009E73", "^"),
    "EASE": ("#009E73", "v"),
    "iALS": ("#CC79A7", "D"),
    "ALS of implicit": ("#CC79A7", "P"),
    "item-kNN": ("#999999", "x"),
}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS / "sets.json")
    output = REPOSITORY / "docs" / "images" / "sets.svg"
    parser.add_argument("--output", type=Path, default=output)
    options = parser.parse_args(arguments)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    draw(json.loads(options.results.read_text())["sets"]).savefig(options.output)


def draw(sets):
    """Make a figure with a panel for each set; popularity is out of its range."""
    plt.rcParams["svg.hashsalt"] = "skvae"  # the same results give the same file
    figure, axes = plt.subplots(2, 3, figsize=(10, 6.4), layout="constrained")
    handles = {}
    for ax, (name, results) in zip(axes.flat, sets.items(), strict=False):
        for title, model in results["models"].items():
            start = next((start for start in STYLES if title.startswith(start)), None)
            if start is None:
                continue
            colour, marker = STYLES[start]
            handles[title] = ax.scatter(
                model["seconds to fit"],
                model["test"]["ndcg@100"]["mean"],
                color=colour,
                marker=marker,
                s=110 if marker == "*" else 55,
                zorder=2,
            )
        ax.set_title(name, loc="left")
        ax.set_xscale("log")
        ax.xaxis.set_minor_formatter(NullFormatter())  # its labels would overlap
        ax.margins(0.12)
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_xlabel("seconds to fit, one thread")
    for ax in axes[:, 0]:
        ax.set_ylabel("NDCG@100")
    for ax in axes.flat[len(sets) :]:
        ax.set_axis_off()
    last = axes.flat[-1]
    if len(sets) < axes.size:
        last.legend(handles.values(), handles, loc="center", frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    main()
