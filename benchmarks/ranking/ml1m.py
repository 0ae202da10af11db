"""Mult-VAE and Mult-DAE beside EASE, item-kNN and popularity on MovieLens-1M.

    python -m benchmarks.ranking.ml1m
    python -m benchmarks.ranking.ml1m --only best --seeds 1 --max-iter 5

The data are one strong-generalisation split, `ml-1m-split` in the data folder: whole
users are held out, and of these a fifth of the interactions. Everything is chosen on
the validation users (the epoch of an autoencoder, the penalty of EASE, the neighbours
of item-kNN) and reported on the test users. Users without held-out items are left out.

The same test users are ranked by every model, so that two models are compared user by
user: the standard error of their mean difference is much less than that of a mean.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid

from benchmarks.environment import DATA, RESULTS, describe, environment
from skvae import MultVAERecommender
from skvae.baselines import EASE, ItemKNN, Popularity
from skvae.metrics import ndcg_at_k, recall_at_k
from skvae.metrics._scorer import ranking_scores
from skvae.model_selection import top_items

PARTS = ("train", "val_in", "val_out", "test_in", "test_out")

# Liang et al. 2018, as their code has it, for 100 epochs instead of 200 and with the
# annealing as a fraction of them. Our alpha is decoupled from the gradient, so the same
# number is a weaker penalty.
PAPER_VAE = {
    "n_components": 200,
    "hidden_layer_sizes": (600,),
    "activation": "tanh",
    "tied_weights": False,
    "initial_log_variance": 0.0,
    "beta": 0.2,
    "annealing": 0.8,
    "dropout": 0.5,
    "label_smoothing": 0.0,
    "learning_rate_init": 1e-3,
    "lr_schedule": None,
    "alpha": 0.0,
    "batch_size": 500,
    "max_iter": 100,
}
PAPER_DAE = PAPER_VAE | {
    "hidden_layer_sizes": (),
    "variational": False,
    "alpha": 0.01 / 500,
}
# The best found on the validation users are the defaults; Mult-DAE likes a wider code.
BEST_VAE = {}
BEST_DAE = {
    "variational": False,
    "activation": "identity",
    "n_components": 1000,
    "learning_rate_init": 1.5e-3,
}

# Name on the command line -> (title, estimator, grid searched on the validation users).
MODELS = {
    "best": ("Mult-VAE, best found", MultVAERecommender(**BEST_VAE), {}),
    "best-dae": ("Mult-DAE, best found", MultVAERecommender(**BEST_DAE), {}),
    "paper": ("Mult-VAE, paper", MultVAERecommender(**PAPER_VAE), {}),
    "paper-dae": ("Mult-DAE, paper", MultVAERecommender(**PAPER_DAE), {}),
    "ease": ("EASE", EASE(), {"l2": [100, 200, 300, 500, 700, 1000, 1500, 2000]}),
    "knn": (
        "item-kNN",
        ItemKNN(),
        {"n_neighbors": [20, 50, 100, 200, 400], "shrinkage": [0, 10, 100]},
    ),
    "popularity": ("popularity", Popularity(), {}),
}
COMPARED = (("best", "ease"), ("best-dae", "ease"), ("best", "paper"))

# The name in the table -> function of (y_true, y_rank) giving a number per user.
METRICS = {
    "ndcg@100": lambda y, ranked: ndcg_at_k(y, y_rank=ranked, k=100, per_user=True),
    "recall@20": lambda y, ranked: recall_at_k(y, y_rank=ranked, k=20, per_user=True),
    "recall@50": lambda y, ranked: recall_at_k(y, y_rank=ranked, k=50, per_user=True),
}
DEEPEST = 100
CHOSEN_BY = "ndcg@100"


def main(arguments=None):
    """Run the models asked for, print the table and write it to files."""
    options = parse(arguments)
    data = load_split(options.data)
    results = {}
    for name in options.only or MODELS:
        results[name] = run_model(name, data, options)
    report = summarize(results) | environment()
    text = table(report)
    print(f"\n{text}")
    write(report, text, options.output)


def parse(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Mult-VAE and Mult-DAE beside simple models on MovieLens-1M."
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=DATA,
        help="folder with ml-1m-split (default: SKVAE_DATA, or the shared data)",
    )
    parser.add_argument("--seeds", type=int, default=3, help="fits of each autoencoder")
    parser.add_argument("--max-iter", type=int, help="fewer epochs, for a quick run")
    parser.add_argument(
        "--only", action="append", choices=MODELS, help="a model; may be repeated"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS / "ml1m",
        help="where to write, without the endings .json and .md",
    )
    options = parser.parse_args(arguments)
    if not (options.data / "ml-1m-split").is_dir():
        parser.error(
            f"{options.data} holds no ml-1m-split; pass the data folder as --data."
        )
    return options


def load_split(folder):
    """Read the parts of the split, as a dict of CSR arrays."""
    return {
        part: sp.csr_array(sp.load_npz(folder / "ml-1m-split" / f"{part}.npz"))
        for part in PARTS
    }


def run_model(name, data, options):
    """Choose on the validation users, rank for the test users.

    Returns
    -------
    result : dict
        What `summarize` takes: the title, the parameters that were chosen, the
        validation score and the seconds of each fit, and ``per_user``, metric -> array
        of shape (n_fits, n_users).
    """
    title, estimator, grid = MODELS[name]
    print(f"{title}:", flush=True)
    if isinstance(estimator, MultVAERecommender):
        fits = fit_seeds(estimator, data, options)
    else:
        fits = [fit_best(estimator, grid, data)]
    per_user = [per_user_scores(fit["model"], data, "test") for fit in fits]
    return {
        "title": title,
        "parameters": fits[0]["parameters"],
        "validation": [fit["validation"] for fit in fits],
        "seconds": [fit["seconds"] for fit in fits],
        "best_iter": [getattr(fit["model"], "best_iter_", None) for fit in fits],
        "per_user": {
            metric: np.array([scores[metric] for scores in per_user])
            for metric in METRICS
        },
    }


def fit_seeds(estimator, data, options):
    """Fit an autoencoder with several seeds, each time keeping the best epoch."""
    fits = []
    for seed in range(options.seeds):
        model = clone(estimator).set_params(random_state=seed, device=options.device)
        if options.max_iter:
            model.set_params(max_iter=options.max_iter)
        start = time.perf_counter()
        model.fit(data["train"], X_val=data["val_in"], y_val=data["val_out"])
        fits.append(
            {
                "model": model,
                "parameters": _shown_parameters(model),
                "seconds": time.perf_counter() - start,
                "validation": model.best_validation_score_,
            }
        )
        _say(f"seed {seed}, epoch {model.best_iter_} of {model.max_iter}", fits[-1])
    return fits


def fit_best(estimator, grid, data):
    """Fit a simple model with every setting and return the best on validation users.

    Its seconds are those of the one fit.
    """
    best = None
    for parameters in ParameterGrid(grid):
        start = time.perf_counter()
        model = clone(estimator).set_params(**parameters).fit(data["train"])
        fit = {
            "model": model,
            "parameters": parameters,
            "seconds": time.perf_counter() - start,
            "validation": ranking_scores(
                model, data["val_in"], data["val_out"], CHOSEN_BY
            ),
        }
        _say(", ".join(f"{k}={v}" for k, v in parameters.items()) or "fit", fit)
        if best is None or fit["validation"] > best["validation"]:
            best = fit
    return best


def per_user_scores(model, data, part):
    """Metric -> array of a number for each user, NaN for one with nothing held out."""
    ranked = top_items(model, data[f"{part}_in"], n_items=DEEPEST)
    truth = data[f"{part}_out"]
    return {name: metric(truth, ranked) for name, metric in METRICS.items()}


def _shown_parameters(model):
    """Parameters of the configuration, without what only concerns the run."""
    shown = {**PAPER_VAE, "variational": True}
    return {name: value for name, value in model.get_params().items() if name in shown}


def _say(what, fit):
    print(
        f"  {what}: validation {CHOSEN_BY} {fit['validation']:.4f}, "
        f"{fit['seconds']:.1f} s",
        flush=True,
    )


def summarize(results):
    """Means, standard errors and paired comparisons, as plain values."""
    models = {}
    for name, result in results.items():
        summary = {key: value for key, value in result.items() if key != "per_user"}
        summary["test"] = {
            metric: mean_and_errors(scores)
            for metric, scores in result["per_user"].items()
        }
        models[name] = summary
    compared = [
        {
            "models": pair,
            "titles": [results[name]["title"] for name in pair],
            "difference": {
                metric: paired_difference(
                    *(results[name]["per_user"][metric] for name in pair)
                )
                for metric in METRICS
            },
        }
        for pair in COMPARED
        if set(pair) <= results.keys()
    ]
    n_users = {len(r["per_user"][CHOSEN_BY][0]) for r in results.values()}
    return {"n_test_users": n_users.pop(), "models": models, "compared": compared}


def mean_and_errors(scores):
    """Mean over seeds and users with its standard errors.

    Parameters
    ----------
    scores : ndarray of shape (n_seeds, n_users)
        NaN for users who do not count.

    Returns
    -------
    summary : dict
        ``mean``; ``se_users``, over users of their mean over seeds; ``se_seeds``, over
        seeds of the mean over users, None for one seed.
    """
    by_user, by_seed = scores.mean(axis=0), np.nanmean(scores, axis=1)
    return {
        "mean": float(np.nanmean(by_user)),
        "se_users": _standard_error(by_user[~np.isnan(by_user)]),
        "se_seeds": _standard_error(by_seed) if len(by_seed) > 1 else None,
    }


def paired_difference(scores, others):
    """Mean difference user by user, and its standard error."""
    difference = scores.mean(axis=0) - others.mean(axis=0)
    difference = difference[~np.isnan(difference)]
    return {
        "mean": float(difference.mean()),
        "se_users": _standard_error(difference),
        "users_better": int((difference > 0).sum()),
        "users_worse": int((difference < 0).sum()),
    }


def _standard_error(values):
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def table(report):
    """Write the report as Markdown that reads well as plain text."""
    rows = [["model", *METRICS, "validation", "s a fit", "chosen"]]
    for model in report["models"].values():
        rows.append(
            [
                model["title"],
                *(_figure(model["test"][metric]) for metric in METRICS),
                f"{np.mean(model['validation']):.4f}",
                f"{np.mean(model['seconds']):.1f}",
                _chosen(model),
            ]
        )
    lines = [
        "# MovieLens-1M, one strong-generalisation split",
        "",
        f"{report['n_test_users']} test users. Mean ± standard error over users; in "
        "brackets that over seeds.",
        f"Validation: {CHOSEN_BY} of the epoch or the setting that was chosen by it.",
        "",
        *_aligned(rows),
    ]
    if report["compared"]:
        rows = [["user by user", *METRICS, "better : worse"]]
        for pair in report["compared"]:
            difference = pair["difference"]
            counts = difference[CHOSEN_BY]
            rows.append(
                [
                    " minus ".join(pair["titles"]),
                    *(
                        f"{d['mean']:+.4f} ± {d['se_users']:.4f}"
                        for d in difference.values()
                    ),
                    f"{counts['users_better']} : {counts['users_worse']}",
                ]
            )
        lines += ["", *_aligned(rows)]
    return "\n".join([*lines, "", describe(report)])


def _figure(summary):
    text = f"{summary['mean']:.4f} ± {summary['se_users']:.4f}"
    seeds = summary["se_seeds"]
    return text if seeds is None else f"{text} ({seeds:.4f})"


def _chosen(model):
    epochs = [epoch for epoch in model["best_iter"] if epoch is not None]
    if epochs:
        return "epoch " + ", ".join(map(str, epochs))
    return ", ".join(f"{k}={v}" for k, v in model["parameters"].items())


def _aligned(rows):
    """Lines of a Markdown table whose columns line up."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows = [rows[0], ["-" * width for width in widths], *rows[1:]]
    return [
        "| "
        + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        + " |"
        for row in rows
    ]


def write(report, text, output):
    """Write the report as JSON and as Markdown."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    output.with_suffix(".md").write_text(text + "\n")
    print(f"\nWritten: {output.name}.json and {output.name}.md")


if __name__ == "__main__":
    sys.exit(main())
