"""Make Markdown tables of the results of the speed benchmark."""

from benchmarks.environment import describe
from benchmarks.speed.stages import EPOCH_FLOORS

TITLES = {
    "recbole": "RecBole MultiVAE",
    "cornac": "Cornac VAECF",
    "recpack": "RecPack MultVAE",
    "implicit": "implicit ALS, 200 factors (no VAE)",
    "implicit, 600 factors": "implicit ALS, 600 factors",
    "implicit, 128 factors": "implicit ALS, 128 factors",
}
# Pairs of rows whose scores are products of vectors of the same length.
EQUAL_WIDTHS = {"skvae": "implicit, 600 factors", "skvae, I-200-I": "implicit"}
EQUAL_WIDTH_NOTE = (
    "With scores that are products of vectors of the same length (implicit uses stored "
    "vectors of the users, a VAE encodes their rows each time)"
)
NETWORK = "network I-600-200-600-I, batches of 500"


def table(results):
    """Make the text for all parts that were run."""
    parts = ["# Speed", INTRODUCTION]
    for name, make in PARTS.items():
        if name in results:
            parts += [make(results[name]), describe(results[name]["environment"])]
    return "\n\n".join(parts) + "\n"


def _comparison(title, result):
    users, items = result["shape"]
    lines = [
        f"## {title}: {users:,} users x {items:,} items, "
        f"{result['interactions']:,} interactions",
        "",
        f"Training, {NETWORK}:",
        "",
        "| | s | steps | of skvae's time |",
        "|---|---|---|---|",
    ]
    epoch = result["epoch"]
    ours = epoch["skvae"]["seconds"]
    for name, found in epoch.items():
        steps = found["count"] or "an iteration"
        ratio = found["seconds"] / ours
        title = TITLES.get(name, name)
        lines.append(f"| {title} | {found['seconds']:.3f} | {steps} | {ratio:.2f} |")
    floor = min(epoch[name]["seconds"] for name in EPOCH_FLOORS)
    lines += ["", f"skvae takes {ours / floor:.2f} x the time of the faster floor.", ""]
    lines += ["Top 100 unseen items of users:", ""]
    lines += ["| | users/s | of skvae's rate |", "|---|---|---|"]
    rates = {n: f["count"] / f["seconds"] for n, f in result["recommend"].items()}
    for name, rate in rates.items():
        lines.append(
            f"| {TITLES.get(name, name)} | {rate:,.0f} | {rate / rates['skvae']:.2f} |"
        )
    matched = [
        f"{name} {rates[name] / rates[other]:.2f} x {TITLES[other]}"
        for name, other in EQUAL_WIDTHS.items()
        if other in rates
    ]
    if matched:
        lines += ["", f"{EQUAL_WIDTH_NOTE}: {', '.join(matched)}."]
    bare, ours = (
        found["seconds"] / found["count"] for found in result["scorer"].values()
    )
    lines += [
        "",
        "A ranking scorer (NDCG@100, including the hold-out) takes "
        f"{ours / bare:.2f} x the time of the bare products and top 100 of the same "
        "users.",
        "",
        "Parts of the floor of a step, in ms: "
        + ", ".join(f"{n} {1e3 * s:.1f}" for n, s in result["parts"].items())
        + ".",
    ]
    return "\n".join(lines)


def _growth(result):
    users, items, interactions = result["base"]
    lines = [
        f"## Growth, from {users:,} users x {items:,} items with {interactions:,} "
        "interactions",
        "",
        "| | s per epoch | ratio to the base | MiB beyond the matrix |",
        "|---|---|---|---|",
    ]
    base = result["seconds"]["base"]
    for title, seconds in result["seconds"].items():
        lines.append(
            f"| {title} | {seconds:.3f} | {seconds / base:.2f} "
            f"| {result['bytes'][title] / 2**20:,.0f} |"
        )
    exponents = ", ".join(f"{v:.2f} in {n}" for n, v in result["exponents"].items())
    lines += ["", f"Fitted exponents of the time: {exponents}."]
    return "\n".join(lines)


def _import(result):
    return (
        "## Import\n\n`import skvae` takes "
        f"{result['seconds']:.2f} s once torch and scikit-learn are imported."
    )


PARTS = {
    "ml-1m": lambda result: _comparison("MovieLens 1M", result),
    "ml-20m": lambda result: _comparison("Shape of MovieLens 20M", result),
    "growth": _growth,
    "import": _import,
}

INTRODUCTION = (
    "All packages are timed on the same matrix and with the same number of threads, "
    "each in a separate process, in interleaved rounds; the best round of each counts. "
    "Seconds depend on the machine, ratios less so. The floor is the bare arithmetic: "
    "matrix products, the loss with its gradient and a fused Adam, on fixed arrays, "
    "without noise, dropout, activations, biases or making batches."
)
