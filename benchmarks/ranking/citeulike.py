"""CollaborativeVAE compared with item-kNN on citeulike-t, on the authors' splits.

    python -m benchmarks.ranking.citeulike [--only paper] [--protocol p1 cold]
        [--seeds 0 1 2]

Protocols: P = 1 or P = 10 items of each user are for training and the others for
testing; or cold start, where a fifth of the items is held out with all its
interactions. Recall@M is divided by the number of test items of the user, training
items of the user are left out of the ranking, and the mean is over the users with test
items (Li & She 2017). The content model is pre-trained once per seed and used for all
protocols with the same content settings; only the first of them includes its seconds.
The recall of every tenth round is recorded too, but nothing is chosen by it.

Results are kept as JSON, with one file for each model. A run of some models leaves the
files of the others unchanged. The table contains all results (``--seeds`` without a
number only makes the table).
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from joblib import Memory
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import normalize

from benchmarks.environment import DATA, RESULTS, describe, environment
from skvae import CollaborativeVAE
from skvae.baselines import ContentItemKNN, HybridItemKNN
from skvae.datasets import fetch_citeulike
from skvae.metrics import recall_at_k
from skvae.model_selection import hold_out_items, top_items

LENGTHS = (50, 100, 150, 200, 250, 300)
PROTOCOLS = {
    "p1": "P = 1, one item a user for training",
    "p10": "P = 10, up to ten items a user for training",
    "cold": "Cold start, recall among the held-out items",
    "cold-all": "Cold start, the held-out items among all",
}
COLD_SEED, COLD_SHARE = 0, 0.2

# Li & She 2017 and the authors' code. Their weight decay of 2e-4 belongs to a mean over
# items, lambda_w to a sum.
PAPER = CollaborativeVAE(
    50,
    hidden_layer_sizes=(200, 100),
    activation="logistic",
    likelihood="bernoulli",
    beta=1.0,
    annealing=0,
    dropout=0.0,
    a=1.0,
    b=0.01,
    lambda_u=0.1,
    lambda_v=10.0,
    lambda_w=2e-4 * 25_975,
    layer_epochs=50,
    content_epochs=100,
    max_iter=100,
    learning_rate_init=0.001,
    lr_schedule=None,
    batch_size=128,
)


def tfidf(counts):
    """Compute tf-idf with rows of unit length, for baselines and best settings."""
    weights = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
    return sp.csr_array(weights, dtype=np.float32)


def scaled(counts):
    """Compute tf-idf with a maximum of 1 in each row, for the Bernoulli likelihood."""
    return normalize(tfidf(counts), norm="max")


# Hybrid item-kNN, factorization and the best settings for P = 10 were chosen by holding
# out a fifth of the P = 10 training interactions. Users of P = 1 have nothing to hold
# out, so the settings for P = 1 were chosen on the same interactions, with one per user
# for training and the others held out. This choice has therefore used interactions that
# are in the test set of P = 1, although not as its test set. For the cold start, a
# fifth of the training items was held out.
HYBRID_P1 = HybridItemKNN(500, content_weight=100)
HYBRID_P10 = HybridItemKNN(2000, shrinkage=1000, content_weight=1.75)
FACTORIZATION_P1 = CollaborativeVAE(50, b=0.3, lambda_u=3, lambda_v=3)
FACTORIZATION_P10 = CollaborativeVAE(100, b=0.01, lambda_u=0.3, lambda_v=0.3)
BEST_P1 = CollaborativeVAE(100, beta=0.3, lambda_v=1.0, max_iter=1)
BEST_P10 = CollaborativeVAE()  # the defaults were chosen like this
BEST_COLD = CollaborativeVAE(lambda_v=10.0, max_iter=1)


def by_protocol(p1, p10, cold=None):
    """Map each protocol to an estimator; `cold` None means that of P = 10."""
    return {"p1": p1, "p10": p10, "cold": cold or p10}.__getitem__


# For each name: title, estimator by protocol, and the function that weighs the word
# counts (None for a model without content).
MODELS = {
    "best": (
        "CollaborativeVAE, best settings",
        by_protocol(BEST_P1, BEST_P10, BEST_COLD),
        tfidf,
    ),
    "paper": ("CVAE, the paper's settings", by_protocol(PAPER, PAPER), scaled),
    "hybrid": ("hybrid item-kNN", by_protocol(HYBRID_P1, HYBRID_P10), tfidf),
    "content": (
        "content item-kNN",
        by_protocol(ContentItemKNN(300), ContentItemKNN(300)),
        tfidf,
    ),
    "factorization": (
        "factorization without content",
        by_protocol(FACTORIZATION_P1, FACTORIZATION_P10),
        None,
    ),
}


def main(arguments=None):
    """Run the requested models, save their results, and print the table of all."""
    options = parse(arguments)
    with tempfile.TemporaryDirectory() as folder:
        options.cache = options.cache or folder
        for name in options.only or MODELS:
            for seed in options.seeds:
                for protocol in options.protocol:
                    run(name, protocol, seed, options)
    text = table(options.output)
    print(f"\n{text}")
    (options.output / "README.md").write_text(text + "\n")


def parse(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        type=Path,
        default=DATA,
        help="folder with citeulike-t (default: SKVAE_DATA, or the shared folder)",
    )
    parser.add_argument(
        "--only", nargs="+", choices=MODELS, help="models to run (default: all)"
    )
    parser.add_argument(
        "--protocol", nargs="+", choices=("p1", "p10", "cold"), default=["p1", "p10"]
    )
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--cache", help="folder for pre-trained models")
    parser.add_argument(
        "--output", type=Path, default=RESULTS / "citeulike", help="folder for results"
    )
    return parser.parse_args(arguments)


def run(name, protocol, seed, options):
    """Fit and score one model, and save the scores in the file of the model."""
    title, make, weigh = MODELS[name]
    model = clone(make(protocol))
    deterministic = "random_state" not in model.get_params()
    if deterministic and seed:
        return
    train, test, features, candidates = load(options.data, protocol)
    if not deterministic:
        model.set_params(
            random_state=seed,
            device=options.device,
            memory=Memory(options.cache, verbose=0),
        )
    start = time.perf_counter()
    model.fit(train, item_features=weigh and weigh(features))
    seconds = time.perf_counter() - start
    found = {protocol: recalls(model, train, test, candidates)}
    if candidates is not None:
        found["cold-all"] = recalls(model, train, test)
    for kind, figures in found.items():
        line = " ".join(f"{figure:.4f}" for figure in figures)
        print(f"{title}, {kind}, seed {seed}: {line} ({seconds:.0f} s)", flush=True)
        keep(
            options.output / f"{name}.json",
            f"{kind}-{seed}",
            {
                "title": title,
                "protocol": kind,
                "seed": None if deterministic else seed,
                "recall": dict(zip(map(str, LENGTHS), figures, strict=True)),
                "seconds": round(seconds, 1),
                "parameters": {
                    key: value
                    for key, value in model.get_params().items()
                    if key not in ("memory", "device", "random_state")
                },
                **environment(),
            },
        )


def load(folder, protocol):
    """Return train and test matrices, word counts, and the items to rank or None."""
    if protocol == "cold":
        data = fetch_citeulike("t", data_home=folder, download_if_missing=False)
        parts = hold_out_items(data.matrix, COLD_SHARE, random_state=COLD_SEED)
        return *parts[:2], data.item_features, parts[2]
    p = int(protocol.removeprefix("p"))
    data = fetch_citeulike("t", data_home=folder, download_if_missing=False, p=p)
    return data.train, data.test, data.item_features, None


def recalls(model, train, test, candidates=None):
    """Compute the recall at each of `LENGTHS`: the mean over users with test items."""
    users = np.flatnonzero(np.diff(test.indptr))
    ranked = top_items(model, train[users], max(LENGTHS), candidates=candidates)
    return [
        float(
            np.nanmean(
                recall_at_k(
                    test[users], y_rank=ranked, k=length, denominator="relevant"
                )
            )
        )
        for length in LENGTHS
    ]


def keep(path, key, result):
    """Add a result to those in a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(path.read_text()) if path.exists() else {}
    results[key] = result
    text = json.dumps(dict(sorted(results.items())), indent=1, default=str)
    path.write_text(text + "\n")


def table(folder):
    """Make a table of all results of a folder for each protocol."""
    results = [
        (path.stem, result)
        for path in sorted(folder.glob("*.json"))
        for result in json.loads(path.read_text()).values()
    ]
    order = list(MODELS)
    lines = ["# Recall@M on citeulike-t", ""]
    for protocol, title in PROTOCOLS.items():
        rows = {}
        for name, result in results:
            if result["protocol"] == protocol:
                rows.setdefault(name, []).append(result)
        if not rows:
            continue
        lines += [
            f"{title}:",
            "",
            "| | " + " | ".join(f"@{m}" for m in LENGTHS) + " | seeds | commit |",
            "|---" * (len(LENGTHS) + 3) + "|",
        ]
        for name in sorted(rows, key=order.index):
            recall = np.array([list(r["recall"].values()) for r in rows[name]])
            cells = [f"{mean:.4f}" for mean in recall.mean(axis=0)]
            if len(recall) > 1:
                spread = recall.std(axis=0, ddof=1)
                cells = [f"{c} ± {s:.4f}" for c, s in zip(cells, spread, strict=True)]
            seeds = len(recall) if rows[name][0]["seed"] is not None else "-"
            commits = ", ".join(sorted({r["commit"] for r in rows[name]}))
            lines.append(
                f"| {rows[name][0]['title']} | {' | '.join(cells)} | {seeds} "
                f"| {commits} |"
            )
        lines.append("")
    lines += ["± is the standard deviation over seeds.", "", describe(environment())]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
