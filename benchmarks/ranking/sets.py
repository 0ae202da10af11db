"""Recommenders compared on several sets of interactions, with settings tuned alike.

    python -m benchmarks.ranking.sets
    python -m benchmarks.ranking.sets --sets ml-1m --models linear ease --output trial
    python -m benchmarks.ranking.sets --models mult-vae --output trial --add

On ml-1m, ml-latest-small and citeulike-t whole users are held out in five folds, so
that every user is scored once, and a fifth of the interactions of each is to be
predicted. On yelp2018-part and amazon-book-part, whose splits are given, later
interactions of the training users are to be predicted.

With `--add`, models of an earlier run with the same output are kept, but for blends of
models that are run again. They are compared with new ones user by user if their results
by user lie in the folder beside it.

Each model has a grid of eight settings at most. In every fold they are compared on a
tenth of its training users (on the given splits, on the validation interactions of at
most 10,000 users), and the best one is fitted on all of its training users. Models that
need a matrix of items by items are left out where it would not fit 16 GB, and implicit
where it is not installed. Seconds are those of the final fit;
`benchmarks.memory.sets` measures memory.
"""

import argparse
import json
import sys
import time
from itertools import product
from pathlib import Path

import joblib
import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.model_selection import KFold, ParameterGrid

from benchmarks.environment import DATA, RESULTS, describe, environment
from benchmarks.ranking import implicit_als
from benchmarks.ranking.implicit_als import ImplicitALS
from benchmarks.ranking.ml1m import aligned, figure, mean_and_errors
from skvae import (
    BlendRecommender,
    CollaborativeVAE,
    LinearVAERecommender,
    MultVAERecommender,
)
from skvae.baselines import EASE, ItemKNN, Popularity
from skvae.baselines._ease import N_MATRICES
from skvae.datasets import fetch_citeulike, fetch_movielens, load_interactions
from skvae.metrics import coverage_at_k, ndcg_at_k, recall_at_k
from skvae.metrics._scorer import ranking_scores
from skvae.model_selection import hold_out_interactions, top_items

SCALED = {"user_exponent": 0.3, "item_exponent": 0.3}
# Title, estimator and grid of each model.
MODELS = {
    "popularity": ("popularity", Popularity(), {}),
    "knn": (
        "item-kNN",
        ItemKNN(),
        {"n_neighbors": [50, 100, 200, 400], "shrinkage": [0, 10]},
    ),
    "ease": ("EASE", EASE(), {"l2": [30, 100, 200, 300, 500, 700, 1000, 2000]}),
    "ease-exponents": (
        "EASE with exponents",
        EASE(**SCALED),
        {"l2": [0.3, 1, 3, 10], "output_exponent": [0.15, 0.24]},
    ),
    "als": (
        "iALS: CollaborativeVAE without content",
        CollaborativeVAE(b=1.0, random_state=0),
        [  # the grid of implicit's ALS, by other names
            {"a": [a], "lambda_u": [penalty], "lambda_v": [penalty]}
            for a in (1.0, 40.0)
            for penalty in (1.0, 5.0, 20.0, 50.0)
        ],
    ),
    "implicit": (
        "ALS of implicit",
        ImplicitALS(random_state=0),
        {"alpha": [1, 40], "regularization": [1, 5, 20, 50]},
    ),
    "linear": (
        "LinearVAERecommender",
        LinearVAERecommender(noise_variance="last", random_state=0),
        {"n_components": [150, 300, 600, 1200], "output_exponent": [0.15, 0.3]},
    ),
    "linear-defaults": (
        "LinearVAERecommender, defaults",
        LinearVAERecommender(random_state=0),
        {},
    ),
    "mult-vae": (
        "MultVAERecommender, defaults",
        MultVAERecommender(random_state=0),
        {},
    ),
    "mult-dae": (
        "Mult-DAE, defaults",
        MultVAERecommender(variational=False, random_state=0),
        {},
    ),
}
# Blends of models in their best settings of the fold.
BLENDS = {
    "linear + EASE": ("linear", "ease-exponents"),
    "linear + EASE + Mult-VAE": ("linear", "ease-exponents", "mult-vae"),
    "linear + iALS": ("linear", "als"),
}
N_FOLDS = 5
MAX_VALIDATION_USERS = 10_000  # of the given splits
DEEPEST = 100
FIGURES = ("seconds to fit", "seconds to rank", "coverage@20")
METRICS = {
    "ndcg@100": lambda y, ranked: ndcg_at_k(y, y_rank=ranked, k=100, per_user=True),
    "ndcg@20": lambda y, ranked: ndcg_at_k(y, y_rank=ranked, k=20, per_user=True),
    "recall@20": lambda y, ranked: recall_at_k(
        y, y_rank=ranked, k=20, denominator="relevant", per_user=True
    ),
    "recall@50": lambda y, ranked: recall_at_k(
        y, y_rank=ranked, k=50, denominator="relevant", per_user=True
    ),
}


def main(arguments=None):
    """Run the requested models on the requested sets, and write the tables."""
    options = parse(arguments)
    report = {"sets": {}}
    if options.output.with_suffix(".json").exists():  # other sets are kept
        earlier = json.loads(options.output.with_suffix(".json").read_text())
        report["sets"] = earlier["sets"]
    for name in options.sets:
        folds = run_set(name, options)
        results = summarize(folds)
        if options.add and name in report["sets"]:
            results = with_earlier(results, report["sets"][name])
        report["sets"][name] = results
        write(report, options.output)
        print("\n".join(table(name, report["sets"][name])), flush=True)


def run_set(name, options):
    """Run the models on all folds of a set: for each fold, results by model."""
    path = options.output.with_name(f"{options.output.name}-by-user") / f"{name}.joblib"
    path.parent.mkdir(parents=True, exist_ok=True)
    folds = joblib.load(path) if options.add and path.exists() else []
    for number, fold in enumerate(SETS[name](options)):
        if number == len(folds):
            folds.append({})
        for _ in run_fold(fold, options, folds[number]):
            joblib.dump(folds, path)  # after each model, as wide sets take hours
    return folds


def parse(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Compare recommenders on several sets of interactions."
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--folds", type=int, default=N_FOLDS, help="folds to run of 5")
    parser.add_argument("--output", type=Path, default=RESULTS / "sets")
    parser.add_argument("--add", action="store_true", help="keep the models of before")
    return parser.parse_args(arguments)


# Sets: for each fold training users, and (fold-in, held-out) of validation and test


def in_folds(X, options):
    """Hold out whole users in five folds."""
    X = sp.csr_array(X)
    splits = KFold(N_FOLDS, shuffle=True, random_state=0).split(X)
    for seed, (train, test) in enumerate(list(splits)[: options.folds]):
        held_out = np.random.default_rng(seed).permutation(train)[: len(train) // 10]
        yield {
            "train": X[train],
            "without validation": X[np.setdiff1d(train, held_out)],
            "validation": hold_out_interactions(X[held_out], random_state=seed),
            "test": hold_out_interactions(X[test], random_state=seed),
        }


def given_split(name):
    """Read a set whose split is given, with the interactions of the same users."""

    def read(options):
        train, val, test = read_split(name, options.data)
        some = np.random.default_rng(0).permutation(train.shape[0])[
            :MAX_VALIDATION_USERS
        ]
        yield {
            "train": train + val,
            "without validation": train,
            "validation": (train[some], val[some]),
            "test": (train + val, test),
        }

    return read


def read_split(name, folder):
    """Read the parts of a given split: training, validation and test interactions."""
    return tuple(
        sp.csr_array(sp.load_npz(folder / name / f"{part}.npz"))
        for part in ("train", "val", "test")
    )


def movielens_1m(options):
    """Read MovieLens-1M; every rating is an interaction."""
    path = options.data / "movielens" / "ml-1m-interactions.csv.gz"
    data = load_interactions(path, user="user_id", item="item_id")
    return in_folds(data.matrix, options)


def movielens_small(options):
    """Read ml-latest-small; every rating is an interaction.

    Items with one or two users, half of them, are left out: a fold has hardly any of
    their interactions to learn from.
    """
    data = fetch_movielens(
        "latest-small", data_home=options.data, min_rating=None, min_item_users=3
    )
    return in_folds(data.matrix, options)


def citeulike_t(options):
    """Read the users of citeulike-t with three articles or more."""
    X = fetch_citeulike("t", data_home=options.data).matrix
    return in_folds(X[np.diff(X.indptr) >= 3], options)


SETS = {
    "ml-1m": movielens_1m,
    "ml-latest-small": movielens_small,
    "citeulike-t": citeulike_t,
    "yelp2018-part": given_split("yelp2018-part"),
    "amazon-book-part": given_split("amazon-book-part"),
}


# Runs


def run_fold(fold, options, results):
    """Choose, fit and score the models that `results` lacks; yield after each one."""
    for name in options.models:
        _, estimator, grid = MODELS[name]
        if isinstance(estimator, EASE) and not fits(estimator, fold["train"]):
            continue
        if isinstance(estimator, ImplicitALS) and not implicit_als.INSTALLED:
            continue
        if name not in results:
            results[name] = score(best_setting(estimator, grid, fold), fold)
            yield name
    for title, parts in BLENDS.items():
        if set(parts) <= results.keys() and title not in results:
            models = [(part, results[part]["chosen"]) for part in parts]
            blend = BlendRecommender(models, random_state=0)
            results[title] = score(blend, fold)
            yield title


def fits(ease, X):
    """Whether the matrices of EASE take no more than it allows itself."""
    return N_MATRICES * 8 * X.shape[1] ** 2 <= ease.max_gigabytes * 1e9


def best_setting(estimator, grid, fold):
    """Choose by NDCG@100 on the validation users; an unfitted estimator."""
    settings = list(ParameterGrid(grid))
    if len(settings) == 1:
        return clone(estimator).set_params(**settings[0])
    scores = []
    for setting in settings:
        model = clone(estimator).set_params(**setting).fit(fold["without validation"])
        scores.append(ranking_scores(model, *fold["validation"], "ndcg@100"))
        print(f"  {type(model).__name__} {setting}: {scores[-1]:.4f}", flush=True)
    return clone(estimator).set_params(**settings[int(np.argmax(scores))])


def score(model, fold):
    """Fit on all training users, and rank for the test users."""
    started = time.perf_counter()
    fitted = clone(model).fit(fold["train"])
    seconds = time.perf_counter() - started
    fold_in, held_out = fold["test"]
    started = time.perf_counter()
    ranked = top_items(fitted, fold_in, n_items=DEEPEST)
    result = {
        "chosen": model,
        "run": environment(),
        "seconds to fit": seconds,
        "seconds to rank": time.perf_counter() - started,
        "coverage@20": coverage_at_k(y_rank=ranked, n_items=fold_in.shape[1], k=20),
        "per user": {name: f(held_out, ranked) for name, f in METRICS.items()},
    }
    print(f"{shown(model)}: {np.nanmean(result['per user']['ndcg@100']):.4f}")
    return result


def shown(model):
    """Describe the setting of a model."""
    return " ".join(str(model).split())


# Report


def summarize(folds):
    """Join the folds: figures of each model, and differences user by user.

    A model that was not run on all folds is left out.
    """
    models, per_user = {}, {}
    for model in (*MODELS, *BLENDS):
        if not all(model in fold for fold in folds):
            continue
        title = f"blend: {model}" if model in BLENDS else MODELS[model][0]
        results = [fold[model] for fold in folds]
        per_user[title] = {
            metric: np.concatenate([one["per user"][metric] for one in results])
            for metric in METRICS
        }
        models[title] = {
            "settings": [shown(one["chosen"]) for one in results],
            "test": {k: mean_and_errors(v[None]) for k, v in per_user[title].items()},
            "run": results[0]["run"],
        }
        for name in FIGURES:
            models[title][name] = float(np.mean([one[name] for one in results]))
    compared = {}
    for one, other in product(models, models):
        difference = per_user[one]["ndcg@100"] - per_user[other]["ndcg@100"]
        difference = difference[~np.isnan(difference)]
        error = difference.std(ddof=1) / np.sqrt(len(difference))
        compared[f"{one} minus {other}"] = [float(difference.mean()), float(error)]
    n_users = int(np.sum(~np.isnan(per_user[title]["ndcg@100"])))
    return {
        "n_folds": len(folds),
        "n_users": n_users,
        "models": models,
        "compared": compared,
    }


def with_earlier(results, earlier):
    """Add the models of an earlier run on the same users that a summary lacks."""
    sizes = ("n_folds", "n_users")
    if any(results[size] != earlier[size] for size in sizes):
        raise ValueError("The earlier run has other folds or users; leave out --add.")
    new, titles = results["models"], [t for t, *_ in MODELS.values()]
    titles += [f"blend: {model}" for model in BLENDS]
    models = {t: new.get(t) or earlier["models"].get(t) for t in titles}
    again = {name for name, (title, *_) in MODELS.items() if title in new}
    for blend, parts in BLENDS.items():
        if f"blend: {blend}" not in new and again & set(parts):
            models[f"blend: {blend}"] = None
    changed = {t for t, m in new.items() if m["test"] != _test(earlier, t)}
    kept = {
        pair: difference
        for pair, difference in earlier["compared"].items()
        if not set(pair.split(" minus ")) & changed
    }
    return {
        **results,
        "models": {title: model for title, model in models.items() if model},
        "compared": kept | results["compared"],
    }


def _test(results, title):
    return results["models"].get(title, {}).get("test")


def table(name, results):
    """Lines of Markdown for a set."""
    models = results["models"]
    reference = "EASE" if "EASE" in models else next(iter(models))
    best = max(models, key=lambda title: models[title]["test"]["ndcg@100"]["mean"])
    rows = [
        [
            "model",
            *METRICS,
            f"minus {reference}",
            "coverage@20",
            "s to fit",
            "s to rank",
        ]
    ]
    for title, model in models.items():
        difference = results["compared"].get(f"{title} minus {reference}")
        figures = [figure(model["test"][metric]) for metric in METRICS]
        rows.append(
            [
                f"**{title}**" if title == best else title,
                *figures,
                "{:+.4f} ± {:.4f}".format(*difference) if difference else "",
                f"{model['coverage@20']:.3f}",
                f"{model['seconds to fit']:.1f}",
                f"{model['seconds to rank']:.1f}",
            ]
        )
    settings = [
        f"- {title}: {'; '.join(sorted(set(model['settings'])))}"
        for title, model in models.items()
    ]
    runs = {}
    for title, model in models.items():
        runs.setdefault(describe(model["run"]), []).append(title)
    described = list(runs)
    if len(runs) > 1:
        described = [f"{', '.join(titles)}: {run}" for run, titles in runs.items()]
    folds = f"{results['n_folds']} folds, " if results["n_folds"] > 1 else ""
    return [
        f"## {name}",
        "",
        f"{folds}{results['n_users']} users. Mean ± standard error over users. The "
        f'differences "minus {reference}" are of NDCG@100, user by user.',
        "",
        *aligned(rows),
        "",
        "Settings chosen:",
        "",
        *settings,
        "",
        *(line for run in described for line in (run, "")),
    ]


def write(report, output):
    """Write the report as JSON and as Markdown."""
    lines = ["# Recommenders on several sets of interactions", ""]
    for name, results in report["sets"].items():
        lines += table(name, results)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    output.with_suffix(".md").write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    sys.exit(main())
