"""Tables of what very large catalogues cost."""

import json

import numpy as np

from benchmarks.environment import describe
from benchmarks.ranking.ml1m import aligned
from benchmarks.scale.models import MODELS, N_COMPONENTS

N_RANKED = 100  # items for each user
LIMIT = 12e9  # bytes in total, for "large"
MAX_STEP_EXPONENT = 0.2


def exponent(sizes, seconds):
    """Slope of the logarithm of the seconds over that of the sizes."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


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
            n_default = found.get("default passes", model.n_default)
            table.append(
                [
                    model.title,
                    f"{found['seconds to fit']:,.0f}{done}",
                    f"{found['processor seconds to fit']:,.0f}",
                    f"{whole:,.0f} ({n_default}, extrapolated)" if whole else "",
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
